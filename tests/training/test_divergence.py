"""Errors that grow: divergence is noticed, and the last healthy Theta kept."""

import numpy as np
import pytest
from networks import net, small_net
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import train_test_split

from thetanet import SGD, Adam, CPUEngine, DivergedError, Theta


def test_a_rate_too_high_is_named_and_the_last_healthy_theta_kept():
    X, y = load_digits(return_X_y=True)
    network = net(descent=SGD(learning_rate=1e4, schedule="constant"), epochs=5)
    with pytest.raises(
        DivergedError, match=r"diverged in epoch 1 with SGD.*try learning_rate=2e\+03"
    ) as caught:
        network.fit(X, y)
    assert (caught.value.epoch, caught.value.learning_rate) == (1, 1e4)
    assert np.isfinite(network.theta_.flat).all()
    assert np.isfinite(network.predict_proba(X)).all()


@pytest.mark.parametrize("descent", [SGD(learning_rate=1e38, schedule="constant"), Adam(learning_rate=1e37)])
def test_overflow_is_divergence(iris, descent):
    network = net(descent=descent)
    with pytest.raises(DivergedError):
        network.fit(*iris)
    assert np.isfinite(network.theta_.flat).all()


def test_a_start_that_is_too_far_off_is_divergence(iris):
    far = Theta.zeros(4, 10, 3)
    far.flat[...] = np.finfo(np.float64).max
    with pytest.raises(DivergedError, match="diverged in epoch 1"):
        net(descent="lbfgs", engine=CPUEngine("float64"), init=far, scaling="none", alpha=0).fit(*iris)


@pytest.mark.parametrize("seed", [0, 6, 9])
def test_rprop_does_not_leap_away_from_a_solution(seed):
    """Where E is nearly zero, signs stay the same and steps grow: one lifted E to 50 (divergence)."""
    X, y = load_iris(return_X_y=True)
    rows, _ = train_test_split(np.arange(150), train_size=30, random_state=seed, stratify=y)
    errors = (
        net(descent="rprop", hidden=300, epochs=80, random_state=seed).fit(X[rows], y[rows]).history_["error"]
    )
    assert min(errors) < 1e-5
    assert max(errors) <= 2 * errors[0]
    assert errors[-1] < 1e-4


def test_a_network_that_learnt_before_still_diverges_by_too_high_a_rate(halves):
    X, y = halves
    theta = Theta.random(5, 8, 1, seed=0)
    with pytest.raises(DivergedError), np.errstate(all="ignore"):
        small_net(init=theta, epochs=30, descent=SGD(learning_rate=1e9, momentum=0)).fit(X, y)
