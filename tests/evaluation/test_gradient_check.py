import numpy as np
import pytest

from thetanet import Theta, error_and_gradient, forward
from thetanet.evaluation.gradient_check import PARTS, TOLERANCE, engine_gradient, largest_differences


@pytest.mark.parametrize("gradient", [error_and_gradient, engine_gradient])
def test_the_gradients_pass(gradient):
    worst = largest_differences(count=30, seed=3, gradient=gradient)
    assert set(worst) == set(PARTS)
    assert 0 < max(worst.values()) < TOLERANCE


def without_bias_row(theta, X, L, w):
    E, gradient = error_and_gradient(theta, X, L, w)
    gradient.b1[...] = 0
    return E, gradient


def without_slope_of_sigma(theta, X, L, w):
    E, gradient = error_and_gradient(theta, X, L, w)
    delta3 = (forward(theta, X).Y - L) * (1 if w is None else w)
    delta2 = theta.W2 @ delta3  # the factor Z (1 - Z) is missing
    return E, Theta(np.vstack([delta2.sum(axis=1), X @ delta2.T]), gradient.two)


def without_sample_weights(theta, X, L, w):
    return error_and_gradient(theta, X, L, None)


def one_millionth_too_large(theta, X, L, w):
    E, gradient = error_and_gradient(theta, X, L, w)
    gradient.W2[...] *= 1 + 1e-6
    return E, gradient


@pytest.mark.parametrize(
    ("broken", "parts"),
    [
        (without_bias_row, {"Theta1 bias row"}),
        (without_slope_of_sigma, {"Theta1 bias row", "Theta1 weights"}),
        (without_sample_weights, set(PARTS)),
        (one_millionth_too_large, {"Theta2 weights"}),
    ],
)
def test_broken_gradients_are_caught_where_they_are_broken(broken, parts):
    worst = largest_differences(count=12, gradient=broken)
    assert {part for part, difference in worst.items() if difference > TOLERANCE} == parts
