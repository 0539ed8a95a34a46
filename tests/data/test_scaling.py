import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thetanet import Theta, forward
from thetanet.data.scaling import KINDS, Scaling
from thetanet.errors import InputError


@given(st.integers(0, 99), st.sampled_from(KINDS), st.floats(-6, 6), st.floats(-3, 3))
@settings(deadline=None)
def test_a_folded_network_gives_for_raw_inputs_what_the_network_gave_for_scaled_ones(seed, kind, size, shift):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(20, 4)) + shift) * 10**size
    scaling = Scaling.of(X, kind)
    theta = Theta.random(4, 5, 2, seed=seed)
    folded = scaling.fold(theta)
    expected = forward(theta, scaling.apply(X).T).A2
    np.testing.assert_allclose(forward(folded, X.T).A2, expected, rtol=1e-9, atol=1e-9)


def test_standard_is_mean_zero_and_deviation_one_at_any_size():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 5)) * [1e-200, 1e-6, 1, 1e6, 1e200] + [0, 1, -5, 1e7, 0]
    scaled = Scaling.of(X, "standard").apply(X)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 3.7, 1e9, -0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_input_becomes_nothing(value, dtype):
    X = np.full((777, 1), value, dtype)
    assert np.abs(Scaling.of(X, "standard").apply(X)).max() < 1e-6 * max(abs(value), 1)


@pytest.mark.parametrize(("brightest", "full"), [(1, 1), (16, 16), (127, 127), (128, 255), (255, 255)])
def test_pixels_of_any_depth_reach_from_zero_to_one(brightest, full):
    X = np.array([[0, brightest], [brightest // 2, 0]], np.uint8)
    scaling = Scaling.of(X)
    assert scaling.kind == "pixels"
    np.testing.assert_allclose(scaling.apply(X), X / full)
    np.testing.assert_allclose(Scaling.of(X, "pixels").apply(X), X / 255)  # as asked for
    assert np.isfinite(Scaling.of(np.zeros((0, 2), np.uint8)).factor).all()


def test_maximum_keeps_zeros_and_bounds_the_rest():
    rng = np.random.default_rng(0)
    X = sparse.csr_array(1e5 * rng.random((50, 9)) * (rng.random((50, 9)) < 0.2))
    scaled = Scaling.of(X).apply(X)
    assert (scaled != 0).nnz == (X != 0).nnz
    largest = abs(scaled).max(axis=0).toarray().ravel()
    lit = abs(X).max(axis=0).toarray().ravel() > 0
    np.testing.assert_allclose(largest[lit], 1)


def test_auto_chooses_by_kind_of_input():
    assert Scaling.of(np.zeros((2, 2), np.uint8)).kind == "pixels"
    assert Scaling.of(np.zeros((2, 2))).kind == "standard"
    assert Scaling.of(sparse.csr_array((2, 2))).kind == "maximum"


def test_errors():
    with pytest.raises(InputError, match="scaling='minmax': must be one of auto, none"):
        Scaling.of(np.zeros((2, 2)), "minmax")
    with pytest.raises(InputError, match="would make a sparse X dense"):
        Scaling.of(sparse.csr_array((2, 2)), "standard")
