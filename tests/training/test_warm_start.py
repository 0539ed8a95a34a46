"""Training that goes on: `init`, warm starts and `partial_fit`."""

import pickle

import numpy as np
import pytest
from networks import net, small_net
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification

from thetanet import SGD, Adam, Averaged, Clipped
from thetanet.errors import InputError


def test_init_is_where_descent_starts(iris, exact):
    X, y = iris
    first = net(**exact).fit(X, y)
    again = net(**exact | {"epochs": 1}, init=first.theta_).fit(X, y)
    assert again.history_["error"][0] < first.history_["error"][-1]
    assert clone(again).init == first.theta_
    with pytest.raises(InputError, match=r"init has shape .*\(D_I, D_H, D_O\) = \(4, 11, 3\)"):
        net(hidden=11, init=first.theta_).fit(X, y)


def test_a_warm_start_goes_on_with_other_sizes(iris):
    X, y = iris
    network = net(warm_start=True, epochs=40).fit(X, y)
    before = network.measure(X, y).error
    for M, batch_size in ((150, 7), (60, 50), (149, 200)):
        network.set_params(batch_size=batch_size, epochs=2).fit(X[:M], y[:M])
        assert network.measure(X, y).error < 3 * before + 5
    with pytest.raises(InputError, match="warm_start=True: the last Theta has shape"):
        network.set_params(hidden=4).fit(X, y)
    with pytest.raises(InputError, match="warm_start=True: y has the classes"):
        network.set_params(hidden=10).fit(X, y + 1)


def test_partial_fit_goes_on_after_fit_and_after_pickling(iris):
    X, y = iris
    network = net(epochs=60).fit(X, y)
    before = network.measure(X, y).error
    network.partial_fit(X, y)
    assert network.measure(X, y).error < before + 5
    copy = pickle.loads(pickle.dumps(network))
    assert copy.partial_fit(X[:50], y[:50]).theta_ == network.partial_fit(X[:50], y[:50]).theta_


def test_partial_fit_takes_any_sizes_and_several_labels():
    X, Y = make_multilabel_classification(200, n_features=6, n_classes=4, random_state=0)
    network = net(batch_size=64)
    for low, high in ((0, 100), (100, 101), (101, 180), (180, 200)):
        network.partial_fit(X[low:high], Y[low:high])
    assert network.predict(X).shape == (200, 4)
    for _ in range(60):
        network.partial_fit(X, Y)
    assert network.score(X, Y) > 0.3  # all four labels right; 0.06 by chance


def test_a_network_may_learn_that_all_is_different_now(halves):
    X, y = halves
    before = small_net(epochs=80).fit(X, y).theta_
    before.two[...] *= 20  # very sure of what is wrong now
    after = small_net(epochs=300, init=before).fit(X, 1 - y)
    assert after.history_["error"][0] > 8
    assert after.score(X, 1 - y) > 0.9


def test_partial_fit_answers_by_the_average(halves):
    X, y = halves
    raw, averaged = (
        small_net(descent=SGD(learning_rate=0.5)),
        small_net(descent=Averaged(SGD(learning_rate=0.5), decay=0.5)),
    )
    path = []
    for _ in range(4):
        raw.partial_fit(X, y)
        averaged.partial_fit(X, y)
        path.append(raw.theta_.flat.copy())
    between = np.abs(averaged.theta_.flat - path[-1]).max()
    assert 1e-4 < between < np.abs(path[-1] - path[0]).max()


@pytest.mark.parametrize("rules", [("sgd", "adam"), ("adam", "sgd"), ("adam", Clipped(Averaged(Adam())))])
def test_partial_fit_takes_another_rule(halves, rules):
    X, y = halves
    network = small_net()
    for rule in rules:
        network.set_params(descent=rule)
        for _ in range(30):
            network.partial_fit(X, y)
    assert network.score(X, y) > 0.9
