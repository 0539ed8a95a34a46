"""Validation samples, scores, and early stopping."""

import numpy as np
import pytest
from networks import net, small_net
from scipy import sparse

from thetanet import Adam, array_source
from thetanet.errors import InputError
from thetanet.training.data import TrainingData
from thetanet.training.settings import TrainingSettings
from thetanet.training.trainer import Trainer


def test_early_stopping_restores_the_best(iris):
    X, y = iris
    network = net(
        hidden=100,
        epochs=300,
        batch_size=10,
        patience=5,
        descent=Adam(learning_rate=0.3, schedule="constant"),
    )
    network.fit(X[:75], y[:75], X_val=X[75:], y_val=y[75:])
    errors = network.history_["val_error"]
    assert len(errors) == network.best_epoch_ + 5 < 300
    assert min(errors) == errors[network.best_epoch_ - 1] == -network.best_score_
    measure = network.measure(X[75:], y[75:])
    assert measure.error / measure.weight == pytest.approx(min(errors), rel=1e-4)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", lambda e, X, y: float((e.predict(X) == y).mean())])
def test_scores_of_scikit_learn_judge_the_validation_data(iris, scoring):
    X, y = iris
    network = net(epochs=60, patience=8, scoring=scoring).fit(X[:90], y[:90], X_val=X[90:], y_val=y[90:])
    scores = network.history_["val_score"]
    assert network.best_score_ == max(scores) == scores[network.best_epoch_ - 1]


def test_a_fraction_is_held_out_with_all_classes(iris):
    X, y = iris
    network = net(validation_fraction=0.2).fit(X, y)
    assert network.history_["val_error"][-1] is not None
    assert network.history_["samples"][0] == 120
    assert net(patience=3, epochs=100).fit(X, y).history_["samples"][0] == 135
    again = net(validation_fraction=0.2).fit(X, y)
    assert again.theta_ == network.theta_


@pytest.mark.parametrize("kind", [np.asarray, sparse.coo_matrix, sparse.csr_matrix])
@pytest.mark.parametrize("options", [{"patience": 2}, {"validation_fraction": 0.2}])
def test_samples_of_several_labels_are_held_out(halves, kind, options):
    X, _ = halves
    network = small_net(**options).fit(X, kind((X[:, :3] > 0.5).astype(int)))
    assert len(network.history_["val_error"]) == 5
    assert np.isfinite(network.history_["val_error"]).all()


def test_a_part_without_weight_cannot_be_held_out(halves):
    X, y = halves
    weight = np.zeros(400)
    weight[:2] = 1
    with pytest.raises(InputError, match=r"validation_fraction=0\.2: one of the parts has no weight"):
        small_net(validation_fraction=0.2).fit(X, y, weight)


def test_a_score_that_is_no_number_is_never_the_best(halves):
    X, y = halves
    scores = iter([np.nan, 0.1, 0.3, np.nan, 0.2])
    network = small_net(patience=5, scoring=lambda *_: next(scores)).fit(X, y)
    assert (network.best_epoch_, network.best_score_) == (3, 0.3)


def test_a_trainer_that_runs_again_forgets_the_best_epoch_of_the_run_before(iris):
    X, y = iris
    settings = TrainingSettings(hidden=5, epochs=4, patience=4, descent="adam", random_state=0)
    data = TrainingData.from_source(array_source(X, y), settings)
    trainer = Trainer(settings)
    first = [record.val_error for record in trainer.run(data)]
    best = trainer.early_stopping
    assert [record.val_error for record in trainer.run(data)] == first
    assert trainer.early_stopping is not best
    assert trainer.network.theta == best.best_network.theta
