"""The mathematics: a worked example, finite differences, and three independent oracles."""

import math

import array_api_strict as strict
import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neural_network import MLPClassifier

from thetanet import Theta, error, error_and_gradient, forward
from thetanet.errors import InputError
from thetanet.network import sigma

sizes = st.integers(1, 7)


def problem(D_I, D_H, D_O, M, seed=0):
    rng = np.random.default_rng(seed)
    theta = Theta.random(D_I, D_H, D_O, seed=seed)
    theta.flat += 0.3 * rng.normal(size=theta.flat.size)
    return theta, rng.normal(size=(D_I, M)), rng.random((D_O, M)), rng.exponential(size=M)


def test_worked_example():
    # x = 2, A1 = ln 3, so Z = 3/4;  A2 = 4 * 3/4 - 3 = 0, so Y = 1/2;  L = 1.
    theta = Theta([[math.log(3) - 2], [1]], [[-3], [4]])
    a = forward(theta, [2.0])
    assert a.A1[0] == pytest.approx(math.log(3))
    assert a.Z[0] == pytest.approx(3 / 4)
    assert a.A2[0] == pytest.approx(0, abs=1e-15)
    assert a.Y[0] == pytest.approx(1 / 2)
    E, gradient = error_and_gradient(theta, [2.0], [1.0])
    assert pytest.approx(math.log(2)) == E  # -ln(1/2)
    # delta3 = -1/2; delta2 = 4 * -1/2 * 3/4 * 1/4 = -3/8
    np.testing.assert_allclose(gradient.two.ravel(), [-1 / 2, -3 / 8], rtol=1e-14)
    np.testing.assert_allclose(gradient.one.ravel(), [-3 / 8, -3 / 4], rtol=1e-14)


@given(sizes, sizes, sizes, sizes, st.integers(0, 99))
@settings(deadline=None)
def test_gradient_is_the_derivative_of_the_error(D_I, D_H, D_O, M, seed):
    theta, X, L, w = problem(D_I, D_H, D_O, M, seed)
    _, gradient = error_and_gradient(theta, X, L, w)
    direction = np.random.default_rng(seed).normal(size=theta.flat.size)
    h = 1e-5
    plus, minus = (theta.like(theta.flat + s * h * direction) for s in (1, -1))
    slope = (error(plus, X, L, w) - error(minus, X, L, w)) / (2 * h)
    assert gradient.flat @ direction == pytest.approx(slope, rel=1e-6, abs=1e-7)


@given(sizes, sizes, sizes, sizes, st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_agrees_with_automatic_differentiation(D_I, D_H, D_O, M, seed):
    theta, X, L, w = problem(D_I, D_H, D_O, M, seed)

    def E(one, two):  # as the derivation writes it, with logarithms of Y
        Z = 1 / (1 + anp.exp(-(one[1:].T @ X + one[:1].T)))
        Y = 1 / (1 + anp.exp(-(two[1:].T @ Z + two[:1].T)))
        return -anp.sum(w * (L * anp.log(Y) + (1 - L) * anp.log(1 - Y)))

    value, gradient = error_and_gradient(theta, X, L, w)
    assert value == pytest.approx(E(theta.one, theta.two), rel=1e-10)
    one, two = autograd.grad(E, (0, 1))(theta.one, theta.two)
    np.testing.assert_allclose(gradient.one, one, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(gradient.two, two, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed):
    # One step of its plain gradient descent at rate 1 on the whole batch moves by the gradient of E / M.
    M, D_O = 40, 4
    theta, X, _, _ = problem(6, 5, D_O, M, seed)
    L = np.eye(D_O)[np.random.default_rng(seed).integers(D_O, size=M)].T
    mlp = MLPClassifier(
        (5,), activation="logistic", alpha=0, solver="sgd", learning_rate_init=1.0, momentum=0.0, batch_size=M
    )
    mlp.partial_fit(X.T, L.T, classes=np.arange(D_O))
    mlp.coefs_ = [theta.W1.copy(), theta.W2.copy()]
    mlp.intercepts_ = [theta.b1.copy(), theta.b2.copy()]
    mlp._optimizer.params = mlp.coefs_ + mlp.intercepts_
    mlp.partial_fit(X.T, L.T)
    E, gradient = error_and_gradient(theta, X, L)
    assert mlp.loss_ * M == pytest.approx(E, rel=1e-10)
    for before, after, ours in (
        (theta.W1, mlp.coefs_[0], gradient.W1),
        (theta.W2, mlp.coefs_[1], gradient.W2),
        (theta.b1, mlp.intercepts_[0], gradient.b1),
        (theta.b2, mlp.intercepts_[1], gradient.b2),
    ):
        np.testing.assert_allclose((before - after) * M, ours, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_runs_on_any_array_library_and_keeps_its_type(dtype):
    theta, X, L, w = problem(4, 5, 3, 6)
    theta = theta.astype(dtype)
    E, gradient = error_and_gradient(theta, X, L, w)
    other = Theta(strict.asarray(theta.one), strict.asarray(theta.two))
    E2, gradient2 = error_and_gradient(other, strict.asarray(X), strict.asarray(L), strict.asarray(w))
    assert isinstance(E2, float)
    assert type(gradient2.flat).__module__.startswith("array_api_strict")
    assert str(gradient2.dtype).endswith(dtype)
    assert pytest.approx(E2, rel=1e-6) == E
    np.testing.assert_allclose(np.asarray(gradient2.flat), gradient.flat, rtol=1e-5, atol=1e-6)
    assert gradient.dtype == dtype
    assert all(a.dtype == dtype for a in forward(theta, X))


def test_sums_over_samples_and_columns_are_samples():
    theta, X, L, w = problem(3, 4, 2, 9)
    E, gradient = error_and_gradient(theta, X, L, w)
    parts = [error_and_gradient(theta, X[:, m], L[:, m], None) for m in range(9)]
    assert sum(w[m] * parts[m][0] for m in range(9)) == pytest.approx(E)
    np.testing.assert_allclose(sum(w[m] * parts[m][1].flat for m in range(9)), gradient.flat, rtol=1e-12)
    assert error(theta, X, L, w) == E
    assert forward(theta, X[:, 0]).Y.shape == (2,)
    np.testing.assert_allclose(forward(theta, X[:, 0]).Y, forward(theta, X).Y[:, 0])


def test_pixels_may_be_whole_numbers():
    theta = Theta.random(4, 3, 2)
    X = np.array([[0, 255], [3, 4], [0, 0], [9, 1]], np.uint8)
    np.testing.assert_array_equal(forward(theta, X).Y, forward(theta, X.astype(float)).Y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigma_is_accurate_in_both_tails_and_never_overflows(dtype):
    largest = np.finfo(dtype).max
    a = np.array([0, 1, -1, 30, -30, -80, 1e4, -1e4, 3e38, -3e38, largest, -largest], dtype)
    exact = [0.5, *(1 / (1 + math.exp(-x)) for x in (1, -1, 30, -30, -80)), 1, 0, 1, 0, 1, 0]
    np.testing.assert_allclose(sigma(a), np.array(exact, dtype), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 3e38])
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
def test_extreme_pre_activations_give_finite_errors_and_gradients(dtype, size, target):
    # Warnings are errors in these tests, so this also shows that nothing overflows on the way.
    L = np.full((2, 3), target)
    for one, two in ((size, 1.0), (1.0, size), (-size, -1.0), (1.0, -size)):
        theta = Theta(np.full((2, 1), [[one], [0]], dtype), np.array([[two, -two], [1, -1]], dtype))
        E, gradient = error_and_gradient(theta, np.ones((1, 3), dtype), L)
        assert np.isfinite(E)
        assert np.isfinite(gradient.flat).all()
        a = forward(theta, np.ones((1, 3), dtype))
        assert max(abs(a.A1).max(), abs(a.A2).max()) >= 0.99 * size


THETA = Theta.random(3, 4, 2)
GOOD = np.zeros((3, 5))
TARGETS = np.full((2, 5), 0.5)


@pytest.mark.parametrize(
    ("X", "L", "w", "message"),
    [
        (np.full((3, 5), np.nan), TARGETS, None, "X contains NaN or infinity: remove or impute"),
        (np.full((3, 5), np.inf), TARGETS, None, "X contains NaN or infinity"),
        (np.zeros((4, 5)), TARGETS, None, r"X has shape \(4, 5\), but Theta takes D_I=3"),
        (np.zeros((5, 3)), TARGETS, None, r"rows look like samples, use X\.T"),
        (np.zeros((5, 2, 2)), TARGETS, None, r"X has shape \(5, 2, 2\).*X\.reshape\(M, -1\)\.T"),
        (np.zeros((3, 0)), np.zeros((2, 0)), None, "no samples; give at least one column"),
        (np.full((3, 5), "a", object), TARGETS, None, r"X has dtype object.*X\.astype\(float\)"),
        (GOOD.astype(complex), TARGETS, None, "X has dtype complex128"),
        (GOOD, np.full((2, 5), 1.5), None, r"L contains 1\.5: targets must lie in \[0, 1\]"),
        (GOOD, np.full((2, 5), -0.1), None, r"L contains -0\.1"),
        (GOOD, np.full((2, 5), np.nan), None, "L contains nan"),
        (GOOD, np.zeros((5, 2)), None, r"use L\.T"),
        (GOOD, np.zeros((3, 5)), None, r"L has shape \(3, 5\).*need \(2, 5\)"),
        (GOOD, TARGETS, np.ones(4), r"sample_weight has shape \(4,\): it must be \(5,\)"),
        (GOOD, TARGETS, np.full(5, -1.0), "sample_weight contains a negative number"),
        (GOOD, TARGETS, np.full(5, np.nan), "sample_weight contains"),
    ],
)
def test_errors_name_argument_value_and_remedy(X, L, w, message):
    with pytest.raises(InputError, match=message):
        error_and_gradient(THETA, X, L, w)
    with pytest.raises(InputError, match=message):
        error(THETA, X, L, w)
