"""The learning curve of a training, and the errors of several methods side by side."""

import numpy as np
import pytest

from thetanet.errors import InputError
from thetanet.plots import plot_learning_curve, plot_methods, save_figure

pytest.importorskip("matplotlib")

HISTORY = {
    "epoch": [1, 2, 3],
    "error": [0.4, 0.2, 0.1],
    "accuracy": [0.8, 0.9, 0.95],
    "val_error": [0.5, 0.3, 0.2],
    "val_accuracy": [0.7, 0.85, 0.9],
}


def lines_of(ax):
    return {line.get_label(): line for axes in ax.figure.axes for line in axes.get_lines()}


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


def test_methods_are_drawn_against_passes_over_the_data(train_on_xor):
    histories = {name: train_on_xor(name, 8)[1] for name in ("gd", "lbfgs", "adam")}
    ax = plot_methods(histories)
    for name, history in histories.items():
        line = lines_of(ax)[name]
        np.testing.assert_allclose(line.get_xdata(), np.array(history["samples"]) / 4)
        np.testing.assert_allclose(line.get_ydata(), history["error"])
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel().endswith("(M = 4)")
    ends = [histories[text.get_text()]["error"][-1] for text in ax.get_legend().get_texts()]
    assert ends == sorted(ends, reverse=True)  # as the curves lie


def test_methods_against_seconds_and_as_shares_of_errors():
    histories = {
        "a": {"seconds": [1, 2, 3], "val_accuracy": [0.5, None, 0.9], "samples": [8, 16, 24]},
        "b": {"seconds": [2, 4, 6], "val_accuracy": [0.5, 0.75, 1.0], "samples": [16, 40, 48]},
    }
    ax = plot_methods(histories, x="seconds", y="val_accuracy")
    np.testing.assert_allclose(lines_of(ax)["a"].get_xydata(), [[1, 0.5], [3, 0.1]])
    np.testing.assert_allclose(lines_of(ax)["b"].get_xydata(), [[2, 0.5], [4, 0.25], [6, np.nan]])
    ax = plot_methods(histories, y="val_accuracy", M=4)
    np.testing.assert_allclose(lines_of(ax)["b"].get_xdata(), [4, 10, 12])
    assert plot_methods(histories, y="val_accuracy").get_xlabel().endswith("(M = 8)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"histories": {}}, "at least one history"),
        ({"histories": [{"error": [1.0]}]}, "at least one history"),
        ({"histories": {"gd": {"error": [1.0]}}}, "'gd' has no 'samples'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [1, 2]}}}, "2 values of 'samples', 1 of 'error'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [0.5]}}}, "whole numbers"),
        ({"histories": {"gd": {"error": [1.0], "samples": [4]}}, "x": "hours"}, "x='hours'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [4]}}, "y": "loss"}, "y='loss'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [4]}}, "M": 0}, "M=0"),
    ],
)
def test_methods_refuse_what_is_no_history(arguments, words):
    with pytest.raises(InputError, match=words):
        plot_methods(**arguments)
