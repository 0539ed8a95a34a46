"""Grids of images: samples, mistakes of a classifier, weights of hidden units."""

import time

import numpy as np
import pytest

from thetanet.errors import InputError
from thetanet.plots import plot_hidden_units, plot_images, plot_mistakes, save_figure
from thetanet.theta import Theta

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def theta():
    return Theta.random(784, 30, 10)


def image_of(ax):
    (image,) = ax.images
    return image.get_array()


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


def test_images_of_another_shape_are_refused():
    for X in (np.zeros((3, 5)), np.zeros((0, 6)), np.zeros(6)):
        with pytest.raises(InputError, match="rows of 2 x 3 pixels"):
            plot_images(X, (2, 3))
    with pytest.raises(InputError, match="2 texts for 3 images"):
        plot_images(np.zeros((3, 6)), (2, 3), labels=["a", "b"])


@pytest.mark.parametrize("form", ["images", "rows", "sparse", "coo"])
def test_mistakes_stand_in_order_of_their_probability(bars, form, bars_net):
    from scipy import sparse

    X, y = bars
    rows = X.reshape(6, -1)
    given = {"images": X, "rows": rows, "sparse": sparse.csr_array(rows), "coo": sparse.coo_matrix(rows)}[
        form
    ]
    ax = plot_mistakes(bars_net, given, y, shape=None if form == "images" else (3, 5))
    assert [text.get_text() for text in ax.texts] == [
        "low, not top\n77.8%",
        "middle, not low\n71.4%",
        "top, not middle\n60.0%",
    ]
    assert ax.get_title(loc="left") == "3 of 6 wrong, the surest first"
    np.testing.assert_allclose(ax.images[0].get_array()[:3, :5], X[5] / 7)
    ax = plot_mistakes(bars_net, X, y, n=1)
    assert (len(ax.texts), ax.get_title(loc="left")) == (1, "3 of 6 wrong, the 1 surest")


def test_a_network_without_mistakes_says_so(bars, tmp_path, bars_net):
    X, _ = bars
    ax = plot_mistakes(bars_net, X, bars_net.predict(X))
    assert [text.get_text() for text in ax.texts] == ["All 6 answers are right."]
    save_figure(ax, tmp_path / "none.png")


def test_mistakes_refuse_what_are_no_images_or_no_labels(bars, bars_net):
    X, y = bars
    for wrong in (X.reshape(6, -1), X[0], X[:0], X.ravel()):
        with pytest.raises(InputError, match="pixels of images"):
            plot_mistakes(bars_net, wrong, y[: len(wrong)])
    with pytest.raises(InputError, match="pixels of images"):
        plot_mistakes(bars_net, X.reshape(6, -1), y, shape=(4, 4))
    with pytest.raises(InputError, match="one label each"):
        plot_mistakes(bars_net, X, np.zeros((6, 3)))
    with pytest.raises(InputError, match="n=0"):
        plot_mistakes(bars_net, X, y, n=0)


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
    start = time.process_time()  # whatever else runs on the machine
    ax = plot_hidden_units(theta)
    save_figure(ax, tmp_path / "units.png")
    assert time.process_time() - start < 5
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
