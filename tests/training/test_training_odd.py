"""Training on data and settings that are unusual, but that users have."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

from thetanet import (
    SGD,
    Adam,
    Averaged,
    Clipped,
    Deform,
    DivergedError,
    Theta,
    ThetaNetClassifier,
    normalise_images,
)  # fmt: skip
from thetanet.errors import CheckpointError, InputError
from thetanet.evaluation.figures import evaluate


def net(**options):
    return ThetaNetClassifier(**{"hidden": 8, "epochs": 5, "random_state": 0} | options)


@pytest.fixture(scope="module")
def halves():
    X = np.random.default_rng(0).random((400, 5))
    return X, (X[:, 0] > 0.5).astype(int)


# --- labels and targets -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, sparse.coo_matrix, sparse.csr_matrix])
@pytest.mark.parametrize("options", [{"patience": 2}, {"validation_fraction": 0.2}])
def test_samples_of_several_labels_are_held_out(halves, kind, options):
    X, _ = halves
    network = net(**options).fit(X, kind((X[:, :3] > 0.5).astype(int)))
    assert len(network.history_["val_error"]) == 5
    assert np.isfinite(network.history_["val_error"]).all()


def test_a_part_without_weight_cannot_be_held_out(halves):
    X, y = halves
    weight = np.zeros(400)
    weight[:2] = 1
    with pytest.raises(InputError, match=r"validation_fraction=0\.2: one of the parts has no weight"):
        net(validation_fraction=0.2).fit(X, y, weight)


@pytest.mark.parametrize("values", [(-1, 1), (0, 2), (1, 2)])
def test_several_labels_are_zeros_and_ones(halves, values):
    X, _ = halves
    with pytest.raises(InputError, match=r"y contains -?[12]: multi-label y is a matrix of 0 and 1"):
        net().fit(X, np.where(X[:, :3] > 0.5, values[1], values[0]))


def test_a_column_of_labels_is_measured_as_it_is_learnt(halves):
    X, y = halves
    network = net(epochs=40).fit(X, y)
    flat, column = (evaluate(network, X, labels) for labels in (y, y[:, None]))
    assert flat == column
    assert column.accuracy > 0.9
    assert column.confusion is not None


def test_targets_may_name_their_classes_in_any_order(halves):
    X, y = halves
    names = np.array(["no", "maybe", "yes"])
    index = y + (X[:, 1] > 0.5) * y
    network = net(epochs=60).fit_targets(X, np.eye(3)[index], classes=names)
    assert network.score(X, names[index]) > 0.9
    assert network.measure(X, names[index]).correct == round(400 * network.score(X, names[index]))
    with pytest.raises(InputError, match="classes has 'no' twice"):
        net().fit_targets(X, np.eye(3)[index], classes=["no", "yes", "no"])


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
        net(**options).fit_targets(X, y[:, None], **arguments)


# --- inputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("view", ["upright", "even", "wide", "upright-wide"])
def test_views_refuse_ink_without_a_centre(value, view):
    X = np.random.default_rng(0).random((3, 49))
    X[1, 3] = value
    with pytest.raises(InputError, match="X holds NaN"):
        normalise_images(X, [view])


def test_deformations_have_a_limit():
    X = load_digits().data[:50, :49]
    with pytest.raises(InputError, match="strength=1000000000000"):
        Deform()(X, strength=1e12)
    strongest = Deform(rotate=180, scale=2, shear=2, shift=1, elastic=1, pen=1)
    assert np.isfinite(strongest(X, strength=10)).all()


def test_a_sparse_matrix_of_the_user_stays_as_it_is(halves):
    X, y = halves
    data, (rows, columns) = np.repeat(X.ravel() / 2, 2), np.indices(X.shape).reshape(2, -1).repeat(2, axis=1)
    matrix = sparse.csr_matrix((400, 5))
    order = np.argsort(rows, kind="stable")
    matrix.data, matrix.indices = data[order], columns[order].astype(np.int32)
    matrix.indptr = np.arange(0, 4001, 10, dtype=np.int32)  # every entry is given in two halves
    matrix.data.flags.writeable = False
    network = net().fit(matrix, y)
    assert matrix.nnz == 4000
    np.testing.assert_allclose(network.theta_.flat, net().fit(sparse.csr_matrix(X), y).theta_.flat, rtol=1e-5)


# --- where training begins and ends -----------------------------------------------------------------


def test_a_network_may_learn_that_all_is_different_now(halves):
    X, y = halves
    before = net(epochs=80).fit(X, y).theta_
    before.two[...] *= 20  # very sure of what is wrong now
    after = net(epochs=300, init=before).fit(X, 1 - y)
    assert after.history_["error"][0] > 8
    assert after.score(X, 1 - y) > 0.9


def test_a_network_that_learnt_before_still_diverges_by_too_high_a_rate(halves):
    X, y = halves
    theta = Theta.random(5, 8, 1, seed=0)
    with pytest.raises(DivergedError), np.errstate(all="ignore"):
        net(init=theta, epochs=30, descent=SGD(learning_rate=1e9, momentum=0)).fit(X, y)


def test_a_score_that_is_no_number_is_never_the_best(halves):
    X, y = halves
    scores = iter([np.nan, 0.1, 0.3, np.nan, 0.2])
    network = net(patience=5, scoring=lambda *_: next(scores)).fit(X, y)
    assert (network.best_epoch_, network.best_score_) == (3, 0.3)


# --- checkpoints ------------------------------------------------------------------------------------


def test_checkpoints_of_an_earlier_training_are_not_mixed_with_new_ones(halves, tmp_path):
    X, y = halves
    net(random_state=1).fit(X, y, checkpoint=tmp_path)
    files = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="holds the checkpoints of an earlier"):
        net(random_state=2).fit(X, y, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="was made with random_state=1, not 2"):
        net(random_state=2).fit(X, y, checkpoint=tmp_path, resume=True)
    assert sorted(tmp_path.iterdir()) == files


def test_a_part_held_out_at_random_cannot_be_found_again(halves, tmp_path):
    X, y = halves
    with pytest.raises(InputError, match="give random_state=0, or X_val"):
        net(random_state=None, patience=3).fit(X, y, checkpoint=tmp_path)


# --- one part at a time -----------------------------------------------------------------------------


def test_partial_fit_answers_by_the_average(halves):
    X, y = halves
    raw, averaged = (
        net(descent=SGD(learning_rate=0.5)),
        net(descent=Averaged(SGD(learning_rate=0.5), decay=0.5)),
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
    network = net()
    for rule in rules:
        network.set_params(descent=rule)
        for _ in range(30):
            network.partial_fit(X, y)
    assert network.score(X, y) > 0.9


def test_an_average_goes_inside_of_a_limit():
    with pytest.raises(InputError, match=r"as in Clipped\(Averaged\(Adam\(\)\)\)"):
        Averaged(Clipped(Adam()))
