"""Normalised images: what is standard about them, and that a committee of several views is one network."""

import numpy as np
import pytest

from thetanet import Deform, Theta, forward, load_mnist, normalise_images
from thetanet.errors import InputError
from thetanet.images.normalise import NORMALISATIONS
from thetanet.models.committee import embed_in_view, merge_models
from thetanet.models.model_file import Model


@pytest.fixture(scope="module")
def digits():
    return load_mnist()[2][:500]


def moments(images):
    """Centre of mass from the middle, and the covariance matrix of the ink, image by image."""
    for image in images.reshape(-1, 28, 28).astype(float):
        r, c = np.indices(image.shape) - 13.5
        at = np.stack([r.ravel(), c.ravel()])
        mean = np.average(at, axis=1, weights=image.ravel())
        yield mean, np.cov(at, aweights=image.ravel(), bias=True)


def test_upright_images_are_centred_and_without_slant(digits):
    before = [cov[0, 1] / cov[0, 0] for _, cov in moments(digits)]
    for mean, cov in moments(normalise_images(digits, ["upright"])):
        assert np.abs(mean).max() < 1  # ink at the edge of the frame may hold it back
        assert abs(cov[0, 1] / cov[0, 0]) < 0.06
    assert np.std(before) > 0.2


def test_slanted_images_look_the_same_upright(digits):
    slanted = Deform(rotate=0, scale=0, shear=0.3, shift=0.05, elastic=0)(digits, seed=1)
    one, two = (normalise_images(X, ["upright"]).astype(float) for X in (digits, slanted))
    apart, before = np.abs(one - two).mean(), np.abs(digits.astype(float) - slanted).mean()
    assert apart < 0.3 * before


def test_even_images_extend_equally_far(digits):
    ones = [cov for _, cov in moments(digits)]
    evened = [cov for _, cov in moments(normalise_images(digits, ["even"]))]
    tall = np.sqrt([cov[0, 0] for cov in evened])
    assert np.median(tall) == pytest.approx(6, abs=0.3)
    for axis in (0, 1):
        spread = [np.std(np.sqrt([cov[axis, axis] for cov in some])) for some in (ones, evened)]
        assert spread[1] < 0.6 * spread[0]


def test_wide_images_have_one_width(digits):
    columns = (normalise_images(digits, ["wide"]).reshape(-1, 28, 28) > 60).any(axis=1)
    widths = 28 - columns[:, ::-1].argmax(axis=1) - columns.argmax(axis=1)
    assert np.quantile(widths, 0.1) >= 14
    assert np.quantile(widths, 0.9) <= 18


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("view", NORMALISATIONS)
def test_views_keep_type_shape_and_empty_images(digits, view, dtype):
    X = digits[:20].astype(dtype)
    X[3] = 0
    seen = normalise_images(X, [view])
    assert seen.dtype == dtype
    assert seen.shape == X.shape
    assert not seen[3].any()
    few = normalise_images(X[:5], [view]).astype(float)
    assert np.abs(few - seen[:5]).max() <= (1 if dtype == np.uint8 else 0.05)  # sums are rounded otherwise
    assert (
        np.abs(seen.astype(float) - normalise_images(digits[:20] * (X > 0), [view])).max() < 2
    )  # "even" rounds twice


def test_views_stand_side_by_side(digits):
    both = normalise_images(digits, ["raw", "even"])
    assert (both[:, :784] == digits).all()
    assert (both[:, 784:] == normalise_images(digits, ["even"])).all()
    tall = normalise_images(digits[:, :392], ["upright"], shape=(14, 28))
    assert tall.shape == (500, 392)


@pytest.mark.parametrize("views", [[], ["sideways"]])
def test_unknown_views_are_refused(digits, views):
    with pytest.raises(InputError, match="upright"):
        normalise_images(digits, views)


def test_members_with_views_of_their_own_merge_exactly():
    rng = np.random.default_rng(0)
    thetas = [Theta.random(9, width, 3, seed=width) for width in (2, 5, 4)]
    parts = [0, 2, 0]
    X = rng.uniform(0, 1, (3, 9, 20))  # three views of 20 images
    wide = [embed_in_view(Model(theta), part, 3) for theta, part in zip(thetas, parts, strict=True)]
    A2 = forward(merge_models(wide).theta, X.reshape(27, 20)).A2
    mean = np.mean([forward(theta, X[part]).A2 for theta, part in zip(thetas, parts, strict=True)], axis=0)
    np.testing.assert_allclose(A2, mean, rtol=0, atol=1e-12)
    with pytest.raises(InputError, match="view=3"):
        embed_in_view(Model(thetas[0]), 3, 3)
