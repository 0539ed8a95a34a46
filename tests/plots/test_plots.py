from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from thetanet.errors import InputError, MissingExtraError
from thetanet.plots import (
    plot_confusion,
    plot_hidden_units,
    plot_images,
    plot_learning_curve,
    plot_methods,
    plot_reliability,
    save_figure,
)
from thetanet.theta import Theta

matplotlib = pytest.importorskip("matplotlib")

HISTORY = {
    "epoch": [1, 2, 3],
    "error": [0.4, 0.2, 0.1],
    "accuracy": [0.8, 0.9, 0.95],
    "val_error": [0.5, 0.3, 0.2],
    "val_accuracy": [0.7, 0.85, 0.9],
}


@pytest.fixture(scope="module")
def theta():
    return Theta.random(784, 30, 10)


def lines_of(ax):
    return {line.get_label(): line for axes in ax.figure.axes for line in axes.get_lines()}


def image_of(ax):
    (image,) = ax.images
    return image.get_array()


def test_learning_curve_shows_all_four_curves_with_accuracy_as_share_of_errors():
    ax = plot_learning_curve(HISTORY)
    lines = lines_of(ax)
    assert len(lines) == 4
    np.testing.assert_allclose(lines["E per sample, validation"].get_ydata(), HISTORY["val_error"])
    np.testing.assert_allclose(lines["share of errors, training"].get_ydata(), [0.2, 0.1, 0.05])
    left, right = ax.figure.axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("E per sample", "share of errors")
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0
    assert len(right.get_legend().get_texts()) == 4


@pytest.mark.parametrize("absent", [None, "left out", [], [None, None]])
def test_learning_curve_without_validation_or_accuracy(absent):
    history = {"error": [3.0, 2.0]}
    if absent != "left out":
        history |= dict.fromkeys(("epoch", "accuracy", "val_error", "val_accuracy"), absent)
    ax = plot_learning_curve(history)
    assert list(lines_of(ax)) == ["E per sample, training"]
    assert ax.figure.axes == [ax]
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), [1, 2])


@pytest.mark.parametrize("epochs", [1, 2, 7, 100])
def test_epochs_are_marked_by_whole_numbers(epochs, tmp_path):
    ax = plot_learning_curve({"error": list(np.linspace(1, 0.5, epochs))})
    save_figure(ax, tmp_path / "curve.png")
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(float(tick).is_integer() for tick in ticks)


def test_learning_curve_bridges_unmeasured_epochs():
    ax = plot_learning_curve({"error": [3.0, 2.0, 1.0], "val_error": [None, 2.5, None]})
    np.testing.assert_array_equal(lines_of(ax)["E per sample, validation"].get_ydata(), [np.nan, 2.5, np.nan])


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ({}, 'no "error"'),
        ({"error": []}, 'no "error"'),
        ({"error": [1.0], "accuracy": [0.5, 0.6]}, "differ in length"),
    ],
)
def test_learning_curve_refuses_what_is_no_history(history, words):
    with pytest.raises(InputError, match=words):
        plot_learning_curve(history)


def test_hidden_units_appear_in_order_each_scaled_by_its_largest_weight(theta):
    ax = plot_hidden_units(theta, units=[4, 7, 2], columns=2)
    image = image_of(ax)
    for place, unit in enumerate([4, 7, 2]):
        row, column = divmod(place, 2)
        gap = image.shape[0] - 2 * 28
        tile = image[row * (28 + gap) :, column * (28 + gap) :][:28, :28]
        weights = theta.W1[:, unit].reshape(28, 28)
        np.testing.assert_allclose(tile, weights / np.abs(weights).max())
    assert np.ma.getmaskarray(image)[-28:, -28:].all()  # no fourth unit
    assert ax.images[0].get_clim() == (-1, 1)
    assert "3 of 30" in ax.get_title(loc="left")


def test_a_unit_without_weights_is_drawn_as_zero():
    ax = plot_hidden_units(Theta.zeros(6, 2, 2), shape=(2, 3), units=[0])
    np.testing.assert_array_equal(image_of(ax), np.zeros((2, 3)))


def test_three_hundred_units_are_one_image_and_quick(tmp_path):
    theta = Theta.random(784, 300, 10, dtype=np.float32)
    start = time.perf_counter()
    ax = plot_hidden_units(theta)
    save_figure(ax, tmp_path / "units.png")
    assert time.perf_counter() - start < 5
    assert len(ax.images) == 1
    assert "300" in ax.get_title(loc="left")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": (27, 28)}, "756 pixels.*D_I=784"),
        ({"shape": (-28, -28)}, "784 pixels"),
        ({"units": []}, "units"),
        ({"units": [0, 30]}, "0 to 29"),
        ({"units": [-1]}, "0 to 29"),
        ({"units": [0.5]}, "whole number"),
        ({"columns": 0}, "columns=0"),
    ],
)
def test_hidden_units_refuses_what_does_not_fit(theta, arguments, words):
    with pytest.raises(InputError, match=words):
        plot_hidden_units(theta, **arguments)


def test_confusion_shows_counts_names_and_the_share_of_errors():
    ax = plot_confusion([[50, 0], [2, 48]], ["cat", "dog"])
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {
        ((0, 0), "50"),
        ((0, 1), "2"),
        ((1, 1), "48"),
    }
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog"]
    assert "2.00%" in ax.get_title(loc="left")


@pytest.mark.parametrize("matrix", [np.zeros((3, 3), int), np.eye(3), [[7]], np.eye(31, dtype=int)])
def test_confusion_of_unusual_matrices(matrix, tmp_path):
    save_figure(plot_confusion(matrix, range(len(matrix))), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("matrix", "labels", "words"),
    [
        (np.ones((2, 3)), range(2), "square"),
        (np.zeros((0, 0)), [], "square"),
        ([[1, -1], [0, 1]], range(2), "numbers of samples"),
        ([[1, np.nan], [0, 1]], range(2), "numbers of samples"),
        (np.eye(2), range(3), "3 names for a matrix of 2"),
    ],
)
def test_confusion_refuses_what_is_no_confusion_matrix(matrix, labels, words):
    with pytest.raises(InputError, match=words):
        plot_confusion(matrix, labels)


def test_all_draw_on_given_axes_and_leave_the_others_alone(theta):
    from matplotlib.figure import Figure

    figure = Figure()
    one, two, three, four = figure.subplots(2, 2).ravel()
    assert plot_learning_curve(HISTORY, ax=one) is one
    assert plot_hidden_units(theta, ax=two) is two
    assert plot_confusion(np.eye(2), "ab", ax=three) is three
    assert not four.has_data()
    figure.canvas.draw()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_save_figure_writes_the_format_of_the_ending(ending, tmp_path):
    path = tmp_path / f"curve.{ending}"
    save_figure(plot_learning_curve(HISTORY), path)
    head = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(head)


@pytest.mark.parametrize("name", ["curve.xyz", "missing/curve.png"])
def test_save_figure_names_the_path_it_cannot_write(name, tmp_path):
    with pytest.raises(InputError, match=r"curve\."):
        save_figure(plot_learning_curve(HISTORY), tmp_path / name)


def test_neither_pyplot_nor_a_backend_is_touched():
    code = (
        "import sys, thetanet.plots as p; assert not any(m.startswith('matplotlib') for m in sys.modules);"
        "p.plot_learning_curve({'error': [1.0]}).figure.canvas.draw();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, theta):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for draw in (
        lambda: plot_learning_curve(HISTORY),
        lambda: plot_hidden_units(theta),
        lambda: plot_confusion(np.eye(2), "ab"),
    ):
        with pytest.raises(MissingExtraError, match=r"thetanet\[plot\]"):
            draw()


def test_images_lie_in_a_grid_dark_on_light_with_their_labels():
    X = np.zeros((7, 6))
    X[np.arange(6), np.arange(6)] = [1, 2, 50, 100, 200, 255]
    ax = plot_images(X, (2, 3), labels=[f"n{k}" for k in range(7)], columns=3, title="seven")
    picture = image_of(ax)
    assert picture.max() == 1
    height, width = picture.shape[0] // 3, picture.shape[1] // 3
    for k in range(6):
        row, column = divmod(k, 3)
        cell = picture[row * height : row * height + 2, column * width : column * width + 3]
        assert cell.ravel().tolist() == np.eye(6)[k].tolist()  # each by its own largest value
    assert (picture[2 * height :] == 0).all()  # the seventh is blank, and there are no more
    assert [text.get_text() for text in ax.texts] == [f"n{k}" for k in range(7)]
    assert ax.get_title(loc="left") == "seven"
    assert image_of(plot_images(X.reshape(7, 3, 2))).shape[0] > 3


@pytest.mark.parametrize("labels", [np.arange(3), ["a", "b", "c"], ("x\ny", 1, None)])
def test_images_take_labels_of_any_sequence(labels):
    ax = plot_images(np.ones((3, 6)), (3, 2), labels=labels)
    assert [text.get_text() for text in ax.texts] == [str(label) for label in labels]


def test_names_with_dollars_are_text_and_no_mathematics(tmp_path):
    names = ["$10-$20", "$20^$30"]
    drawn = [
        plot_confusion([[1, 2], [3, 4]], names),
        plot_images(np.ones((2, 4)), (2, 2), labels=names),
        plot_methods({name: {"samples": [4, 8], "error": [0.2, 0.1]} for name in names}),
    ]
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        for ax in drawn:
            save_figure(ax, tmp_path / "names.svg")
            assert all(name in (tmp_path / "names.svg").read_text() for name in names)


def test_images_of_another_shape_are_refused():
    for X in (np.zeros((3, 5)), np.zeros((0, 6)), np.zeros(6)):
        with pytest.raises(InputError, match="rows of 2 x 3 pixels"):
            plot_images(X, (2, 3))
    with pytest.raises(InputError, match="2 texts for 3 images"):
        plot_images(np.zeros((3, 6)), (2, 3), labels=["a", "b"])


def test_reliability_shows_the_share_of_right_answers_in_each_bin():
    confidence = [0.05, 0.15, 0.15, 0.95, 0.95, 0.95, 1.0]
    right = [0, 1, 0, 1, 1, 0, 1]
    ax = plot_reliability(confidence, right)
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx([0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.75])
    assert [text.get_text() for text in ax.texts] == ["1", "2", "4"]
    assert ax.get_title(loc="left") == "4 of 7 right"
    for wrong in ([0.5, 1.2], [[0.5]], []):
        with pytest.raises(InputError, match="confidence"):
            plot_reliability(wrong, np.ones(np.shape(wrong)))
    with pytest.raises(InputError, match="shapes"):
        plot_reliability([0.5, 0.5], [True])


def test_a_figure_shows_itself_in_a_notebook():
    figure = plot_learning_curve({"error": [2.0, 1.0]}).figure
    assert figure._repr_png_().startswith(b"\x89PNG")
