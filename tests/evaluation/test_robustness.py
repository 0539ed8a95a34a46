"""Changed images, confidence, calibration, rejection: figures that need no network, or come out by hand."""

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit

from thetanet import Theta, array_source
from thetanet.data.labels import Labels
from thetanet.errors import InputError
from thetanet.evaluation.figures import compute_calibration_error, evaluate
from thetanet.evaluation.robustness import affine, list_changes, robustness
from thetanet.models.fitted import FittedNetwork

IMAGES = np.random.default_rng(0).integers(256, size=(20, 12, 12)).astype(np.uint8)


def test_shifts_by_whole_pixels_move_every_pixel():
    for y, x in ((1, 0), (-2, 0), (0, 3), (2, -1)):
        expected = np.zeros_like(IMAGES)
        rows, columns = slice(max(y, 0), 12 + min(y, 0)), slice(max(x, 0), 12 + min(x, 0))
        back = slice(max(-y, 0), 12 + min(-y, 0)), slice(max(-x, 0), 12 + min(-x, 0))
        expected[:, rows, columns] = IMAGES[:, back[0], back[1]]
        assert (affine(IMAGES, shift=(y, x)) == expected).all()


def test_quarter_turns_are_exact_and_counter_clockwise():
    images = IMAGES.astype(np.float32)
    for quarters in (1, 2, 3):
        turned = affine(images, angle=90 * quarters)
        assert turned == pytest.approx(np.rot90(images, quarters, axes=(1, 2)), abs=0.05)


def test_scaling_makes_the_ink_wider_or_narrower():
    disc = (np.hypot(*(np.mgrid[:28, :28] - 13.5)) < 6).astype(np.float32)[None]
    for factor in (0.8, 1.2):
        assert affine(disc, factor=factor).sum() == pytest.approx(disc.sum() * factor**2, rel=0.05)


def test_every_change_keeps_type_and_shape_and_changes_something():
    for images in (IMAGES, (IMAGES / 255).astype(np.float32)):
        for name, ways in list_changes(images.max()).items():
            for change in ways:
                new = change(images)
                assert (new.dtype, new.shape) == (images.dtype, images.shape), name
                assert (new != images).any() == (name != "as they are"), name
                assert new.min() >= 0
                assert new.max() <= images.max()
    ink = {name: ways[0](IMAGES).sum(dtype=float) for name, ways in list_changes(255).items()}
    assert ink["thinner by a pixel"] < ink["as they are"] < ink["thicker by a pixel"]
    assert ink["inverted"] == pytest.approx(IMAGES.size * 255 - ink["as they are"])


def brightest_quarter():
    """Return a network that answers the quarter of an image of 28 x 28 pixels with the most ink."""
    theta = Theta.zeros(784, 4, 4)
    quarter = np.kron([[0, 1], [2, 3]], np.ones((14, 14), int)).ravel()
    theta.W1[...] = 2.0**-16 * (quarter[:, None] == np.arange(4))  # sums of pixels are exact
    theta.W2[...] = np.eye(4)
    return FittedNetwork(theta, Labels(np.arange(4)))


def four_quarters():
    """Return four images, each with a square in the middle of another quarter."""
    X = np.zeros((4, 28, 28), np.uint8)
    for k, (y, x) in enumerate(itertools.product((0, 14), (0, 14))):
        X[k, y + 4 : y + 10, x + 4 : x + 10] = 200
    return X


def test_robustness_measures_the_share_of_errors():
    X, net = four_quarters(), brightest_quarter()
    measured = robustness(net, X.reshape(4, -1), np.arange(4))
    assert measured["as they are"] == 0
    assert measured["shifted by 3 pixels"] == 0
    assert measured["inverted"] == 1
    X[0, 4:10, 4:10] = 0
    X[0, 11:17, 4:10] = 200  # 3 of its 6 rows below the middle: a shift by one pixel down moves the most
    measured = robustness(net, X.reshape(4, -1), np.arange(4))
    assert measured["shifted by 1 pixel"] == 1 / 16  # one image of four, in one direction of four
    assert measured["shifted by 3 pixels"] == 1 / 16
    with pytest.raises(InputError, match=r"shape=\(4, 5\)"):
        robustness(net, X.reshape(4, -1), np.arange(4), shape=(4, 5))
    with pytest.raises(InputError, match="has 783 inputs, but the model takes 784"):
        robustness(net, X.reshape(4, -1)[:, :-1], np.arange(4))
    no_square = FittedNetwork(Theta.zeros(783, 4, 4), Labels(np.arange(4)))
    with pytest.raises(InputError, match="are not the h x w pixels of an image; give shape"):
        robustness(no_square, X.reshape(4, -1)[:, :-1], np.arange(4))


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_robustness_of_images_in_parts_is_that_of_all_at_once(dtype):
    rng = np.random.default_rng(4)
    X, y = rng.integers(0, 256, (50, 784)).astype(dtype), rng.integers(0, 4, 50)
    changes = []
    in_parts = robustness(brightest_quarter(), array_source(X, y, rows=13), on_change=changes.append)
    assert in_parts == robustness(brightest_quarter(), X, y)
    assert changes == 4 * list(in_parts)
    assert 0 < in_parts["noise of 30% of the ink"] < 1


# --- confidence -------------------------------------------------------------------------------------------


def test_confidence_is_the_probability_of_the_answer_among_all_patterns():
    A2 = np.random.default_rng(1).normal(0, 3, (50, 4))
    Y = expit(A2)
    confidence = Labels(np.arange(4)).confidence(A2)
    patterns = np.array(list(itertools.product((0, 1), repeat=4)))
    chances = np.prod(np.where(patterns[None], Y[:, None], 1 - Y[:, None]), axis=2)
    assert chances.sum(axis=1) == pytest.approx(1)
    answers = np.eye(4, dtype=int)[A2.argmax(axis=1)]
    row = (patterns[None] == answers[:, None]).all(axis=2)
    assert confidence == pytest.approx(chances[row])
    several = Labels(np.arange(4), multilabel=True)
    row = (patterns[None] == several.decide(A2)[:, None]).all(axis=2)
    assert several.confidence(A2) == pytest.approx(chances[row])
    two = Labels(np.array(["no", "yes"]))
    assert two.confidence(A2[:, :1]) == pytest.approx(np.maximum(Y[:, 0], 1 - Y[:, 0]))


@pytest.mark.parametrize("scale", [1e-300, 1, 1e3, 1e8])
def test_confidence_stays_a_probability(scale):
    A2 = np.random.default_rng(2).normal(0, 1, (100, 5)) * scale
    found = Labels(np.arange(5)).confidence(A2)
    assert ((found >= 0) & (found <= 1)).all()


def network(Y):
    """A network with the outputs Y, whatever the input: a sample has its row of Y."""
    M, D_O = Y.shape
    theta = Theta.zeros(M, M, D_O)
    theta.W1[...] = 40 * np.eye(M)
    theta.b1[...] = -20
    theta.W2[...] = logit(Y)
    return FittedNetwork(theta, Labels(np.arange(D_O))), np.eye(M)


def test_rejection_answers_what_is_sure():
    Y = np.array([[0.9, 0.1, 0.1], [0.1, 0.2, 0.1], [0.8, 0.7, 0.1], [0.1, 0.1, 0.99]])
    net, X = network(Y)
    sure = [0.9 * 0.9 * 0.9, 0.9 * 0.2 * 0.9, 0.8 * 0.3 * 0.9, 0.9 * 0.9 * 0.99]
    assert net.confidence(X) == pytest.approx(sure, rel=1e-6)
    y = [0, 1, 1, 0]
    found = evaluate(net, X, y, reject_below=0.5)
    assert (found.mistakes, found.answered, found.accuracy_answered) == (2, 2, 0.5)
    found = evaluate(net, X, y)
    assert (found.answered, found.accuracy_answered) == (4, 0.5)
    assert evaluate(net, X, y, reject_below=1).accuracy_answered is None


def test_calibration_error_by_hand_and_of_honest_answers():
    # bins of 1/15: two answers of 0.9 (one right), one of 0.5 (right)
    assert compute_calibration_error([0.9, 0.9, 0.5], [True, False, True]) == pytest.approx(
        (abs(1.8 - 1) + 0.5) / 3
    )
    rng = np.random.default_rng(3)
    probability = rng.uniform(0.1, 1, 200_000)
    assert compute_calibration_error(probability, rng.uniform(size=200_000) < probability) < 0.01
    assert compute_calibration_error(
        probability, rng.uniform(size=200_000) < probability - 0.1
    ) == pytest.approx(0.1, abs=0.01)
    assert compute_calibration_error([1.0], [True]) == 0
