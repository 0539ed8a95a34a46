"""Labels and targets: soft ones, several a sample, and what cannot be used."""

import numpy as np
import pytest
from networks import net, small_net
from sklearn.preprocessing import StandardScaler

from thetanet import Theta, forward
from thetanet.errors import InputError
from thetanet.evaluation.figures import evaluate


def test_soft_labels_are_learnt(iris, exact):
    X, _ = iris
    teacher = Theta.random(4, 3, 3, seed=1)
    L = forward(teacher, StandardScaler().fit_transform(X).T).Y.T
    student = net(**exact | {"epochs": 400}).fit_targets(X, L)
    assert np.abs(student.outputs(X) - L).max() < 0.05
    assert student.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(student.predict(X), student.outputs(X) > 0.5)  # rows do not sum to one


def test_hard_targets_are_labels(iris, exact):
    X, y = iris
    names = np.array(["a", "b", "c"])
    by_labels, by_targets = net(**exact).fit(X, names[y]), net(**exact).fit_targets(X, np.eye(3)[y], names)
    np.testing.assert_allclose(by_targets.predict_proba(X), by_labels.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(by_targets.predict(X), by_labels.predict(X))


def test_two_soft_classes_share_one_output(iris):
    X, y = iris
    share = np.where(y == 0, 0.1, 0.8)
    for L in (share[:, None], np.column_stack([1 - share, share])):
        soft = net(epochs=200, alpha=0).fit_targets(X, L, ["no", "yes"])
        assert soft.theta_.D_O == 1
        np.testing.assert_allclose(soft.predict_proba(X)[:, 1], share, atol=0.15)
        assert set(soft.predict(X)) == {"no", "yes"}


@pytest.mark.parametrize(
    ("L", "message"),
    [
        (np.full((150, 2), 1.5), r"L: targets must lie in \[0, 1\]"),
        (np.full(150, 0.5), r"L has shape \(150,\): must be \(M, D_O\)"),
        (np.full((149, 2), 0.5), "149"),
        (np.full((150, 2), np.nan), "L"),
    ],
)
def test_targets_that_cannot_be_used(iris, L, message):
    with pytest.raises(ValueError, match=message):
        net().fit_targets(iris[0], L)


@pytest.mark.parametrize("values", [(-1, 1), (0, 2), (1, 2)])
def test_several_labels_are_zeros_and_ones(halves, values):
    X, _ = halves
    with pytest.raises(InputError, match=r"y contains -?[12]: multi-label y is a matrix of 0 and 1"):
        small_net().fit(X, np.where(X[:, :3] > 0.5, values[1], values[0]))


def test_a_column_of_labels_is_measured_as_it_is_learnt(halves):
    X, y = halves
    network = small_net(epochs=40).fit(X, y)
    flat, column = (evaluate(network, X, labels) for labels in (y, y[:, None]))
    assert flat == column
    assert column.accuracy > 0.9
    assert column.confusion is not None


def test_targets_may_name_their_classes_in_any_order(halves):
    X, y = halves
    names = np.array(["no", "maybe", "yes"])
    index = y + (X[:, 1] > 0.5) * y
    network = small_net(epochs=60).fit_targets(X, np.eye(3)[index], classes=names)
    assert network.score(X, names[index]) > 0.9
    assert network.measure(X, names[index]).correct == round(400 * network.score(X, names[index]))
    with pytest.raises(InputError, match="classes has 'no' twice"):
        small_net().fit_targets(X, np.eye(3)[index], classes=["no", "yes", "no"])


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({"class_weight": "balanced"}, {}, "class_weight: needs labels"),
        ({"scoring": "accuracy"}, {}, "scoring: needs labels"),
        ({"validation_fraction": 0.1}, {}, "validation_fraction: needs labels"),
        ({"patience": 3}, {}, "patience=3: needs X_val and L_val"),
        ({}, {"L_val": np.zeros((3, 1))}, "X_val and L_val: give both or neither"),
    ],
)
def test_what_targets_cannot_have_is_said(halves, options, arguments, message):
    X, y = halves
    with pytest.raises(InputError, match=message):
        small_net(**options).fit_targets(X, y[:, None], **arguments)
