import numpy as np
import pytest

from thetanet import Predictor, Theta, forward


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_the_network(dtype):
    theta = Theta.random(30, 20, 4, seed=1, dtype=dtype)
    predict = Predictor(theta)
    X = np.random.default_rng(0).normal(size=(30, 50)) * 3
    expected = forward(theta, X).Y
    close = {"rtol": 1e-12} if dtype == "float64" else {"atol": 1e-6}
    for m in range(50):
        np.testing.assert_allclose(predict(X[:, m]), expected[:, m], **close)
    pixels = np.arange(30, dtype=np.uint8)
    np.testing.assert_allclose(predict(pixels), forward(theta, pixels).Y, atol=1e-6)


def test_a_result_is_not_overwritten_by_the_next():
    predict = Predictor(Theta.random(3, 4, 2))
    first = predict(np.ones(3))
    kept = first.copy()
    predict(np.zeros(3))
    np.testing.assert_array_equal(first, kept)
