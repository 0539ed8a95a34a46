"""Weights of samples and classes."""

import numpy as np
import pytest
from networks import net

from thetanet.errors import InputError


def test_a_weight_of_two_is_the_sample_twice(iris, exact):
    X, y = iris
    weight = np.where(np.arange(150) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(150), weight.astype(int))
    weighted, repeated = net(**exact).fit(X, y, weight), net(**exact).fit(X[twice], y[twice])
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-10)


def test_a_weight_of_zero_leaves_the_sample_out(iris, exact):
    X, y = iris
    weight = (np.arange(150) % 4 > 0).astype(float)
    X_spoilt = X.copy()
    X_spoilt[weight == 0] = 1e6
    weighted = net(**exact).fit(X_spoilt, y, weight)
    left_out = net(**exact).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(weighted.predict_proba(X), left_out.predict_proba(X), rtol=1e-10)


def test_balanced_classes_weigh_the_same(iris, exact):
    X, y = iris
    rare = np.concatenate([np.flatnonzero(y == 0)[:5], np.flatnonzero(y == 1), np.flatnonzero(y == 2)[:20]])
    X, y = X[rare], y[rare]
    factor = np.array([75 / 3 / 5, 75 / 3 / 50, 75 / 3 / 20])
    by_hand = net(**exact).fit(X, y, factor[y])
    for class_weight in ("balanced", dict(enumerate(factor))):
        again = net(**exact, class_weight=class_weight).fit(X, y)
        np.testing.assert_allclose(again.predict_proba(X), by_hand.predict_proba(X), rtol=1e-10)


def test_balanced_counts_the_whole_stream_in_partial_fit():
    X = np.random.default_rng(0).random((400, 3))
    y = (np.arange(400) % 10 == 0).astype(int)
    network = net(class_weight="balanced", batch_size=50)
    for low in range(0, 400, 100):
        network.partial_fit(X[low : low + 100], y[low : low + 100])
    assert abs(network.predict_proba(X)[:, 1].mean() - 0.5) < 0.1
    assert net(batch_size=50, epochs=4).fit(X, y).predict_proba(X)[:, 1].mean() < 0.2


@pytest.mark.parametrize(
    ("options", "weight", "message"),
    [
        ({}, [1.0, 2.0], r"sample_weight has shape \(2,\): must be \(150,\)"),
        ({}, np.full(150, -1.0), "sample_weight: must hold finite numbers >= 0"),
        ({}, np.zeros(150), "not all of them zero"),
        ({"class_weight": "fair"}, None, "class_weight='fair': must be None, 'balanced' or a dict"),
        ({"class_weight": {7: 2.0}}, None, "class_weight has 7, which is not among the classes"),
        ({"class_weight": {1: -2.0}}, None, "class_weight.1.=-2.0"),
    ],
)
def test_weights_that_cannot_be_used(iris, options, weight, message):
    with pytest.raises(InputError, match=message):
        net(**options).fit(*iris, weight)
