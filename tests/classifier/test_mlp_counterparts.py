"""What scikit-learn's tests of its MLP demand, and which of our tests demand it of this network.

Names of theirs that say nothing of this network (regression, tanh, softmax) have a reason instead.
"""

# ruff: noqa: E501

import ast
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.preprocessing import LabelBinarizer

from thetanet import SGD, Adam, CPUEngine, Theta, ThetaNetClassifier, forward
from thetanet.errors import InputError

HERE = Path(__file__).parents[1]
NOT_OURS = "regression: this network classifies"
NO_STALL = "training has no stopping at a stalled loss; `patience` watches validation data"

COUNTERPARTS = {
    "test_alpha": "test_training.py::test_a_penalty_shrinks_weights",
    "test_fit": "test_mlp_counterparts.py::test_one_step_by_hand",
    "test_gradient": "test_gradient_check.py::test_the_gradients_pass",
    "test_lbfgs_classification": "test_mlp_counterparts.py::test_lbfgs_learns_digits",
    "test_lbfgs_regression": NOT_OURS,
    "test_lbfgs_classification_maxfun": "test_every_problem.py::test_errors_fall_and_are_those_of_theta_and_passes_are_counted",
    "test_lbfgs_regression_maxfun": NOT_OURS,
    "test_learning_rate_warmstart": "test_warm_start.py::test_a_warm_start_goes_on_with_other_sizes",
    "test_multilabel_classification": "test_estimator.py::test_multilabel",
    "test_multioutput_regression": NOT_OURS,
    "test_partial_fit_classes_error": "test_mlp_counterparts.py::test_partial_fit_needs_the_same_classes",
    "test_partial_fit_classification": "test_estimator.py::test_partial_fit_learns_from_a_stream",
    "test_partial_fit_unseen_classes": "test_mlp_counterparts.py::test_partial_fit_with_classes_that_come_later",
    "test_partial_fit_regression": NOT_OURS,
    "test_partial_fit_errors": "test_estimator.py::test_partial_fit_is_not_offered_for_whole_passes",
    "test_nonfinite_params": "test_divergence.py::test_overflow_is_divergence",
    "test_predict_proba_binary": "test_estimator.py::test_probabilities_are_the_outputs_shared_out",
    "test_predict_proba_multiclass": "test_estimator.py::test_probabilities_are_the_outputs_shared_out",
    "test_predict_proba_multilabel": "test_estimator.py::test_multilabel",
    "test_shuffle": "test_mlp_counterparts.py::test_mini_batches_are_shuffled_and_whole_passes_are_not",
    "test_sparse_matrices": "test_estimator.py::test_sparse_is_learnt_as_dense_is",
    "test_tolerance": NO_STALL,
    "test_verbose_sgd": "test_estimator.py::test_verbose_shows_a_line_an_epoch",
    "test_early_stopping": "test_early_stopping.py::test_early_stopping_restores_the_best",
    "test_adaptive_learning_rate": "test_descent.py::test_schedules_have_their_shapes",
    "test_warm_start": "test_warm_start.py::test_a_warm_start_goes_on_with_other_sizes",
    "test_warm_start_full_iteration": "test_mlp_counterparts.py::test_a_warm_start_trains_for_all_its_epochs",
    "test_n_iter_no_change": "test_early_stopping.py::test_early_stopping_restores_the_best",
    "test_n_iter_no_change_inf": "test_mlp_counterparts.py::test_without_patience_every_epoch_is_trained",
    "test_early_stopping_stratified": "test_early_stopping.py::test_a_fraction_is_held_out_with_all_classes",
    "test_mlp_early_stopping_string_labels": "test_mlp_counterparts.py::test_early_stopping_with_text_labels",
    "test_mlp_classifier_dtypes_casting": "test_estimator.py::test_floating_point_types",
    "test_mlp_regressor_dtypes_casting": NOT_OURS,
    "test_mlp_param_dtypes": "test_estimator.py::test_floating_point_types",
    "test_mlp_loading_from_joblib_partial_fit": "test_mlp_counterparts.py::test_partial_fit_after_joblib",
    "test_preserve_feature_names": "test_mlp_counterparts.py::test_feature_names_survive_early_stopping",
    "test_mlp_warm_start_with_early_stopping": "test_mlp_counterparts.py::test_a_warm_start_with_early_stopping",
    "test_mlp_warm_start_no_convergence": "test_mlp_counterparts.py::test_a_warm_start_trains_for_all_its_epochs",
    "test_mlp_partial_fit_after_fit": "test_warm_start.py::test_partial_fit_goes_on_after_fit_and_after_pickling",
    "test_mlp_diverging_loss": "test_divergence.py::test_a_rate_too_high_is_named_and_the_last_healthy_theta_kept",
    "test_mlp_sample_weight_with_early_stopping": "test_mlp_counterparts.py::test_weights_with_early_stopping",
    "test_mlp_vs_poisson_glm_equivalent": NOT_OURS,
    "test_minimum_input_sample_size": "test_mlp_counterparts.py::test_four_samples_are_enough_to_hold_some_out",
}


@pytest.mark.parametrize("theirs", COUNTERPARTS)
def test_the_counterpart_exists(theirs):
    ours = COUNTERPARTS[theirs]
    if "::" not in ours:
        assert ours in (NOT_OURS, NO_STALL)
        return
    file, name = ours.split("::")
    assert name in {
        n.name for n in ast.parse(next(HERE.rglob(file)).read_text()).body if isinstance(n, ast.FunctionDef)
    }


def net(**options):
    return ThetaNetClassifier(**{"hidden": 10, "epochs": 20, "random_state": 0} | options)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_one_step_by_hand():
    # Two samples, one hidden unit: the numbers are worked out here, sample by sample.
    theta = Theta(np.array([[0.1], [0.2], [-0.4]]), np.array([[0.3], [0.5]]))
    X, L = np.array([[1.0, 2.0], [-1.0, 0.5]]), np.array([1.0, 0.0])
    rate, gradient = 0.1, np.zeros(5)  # b1, w1, w2, b2, v
    for x, label in zip(X, L, strict=True):
        z = 1 / (1 + np.exp(-(0.1 + 0.2 * x[0] - 0.4 * x[1])))
        y = 1 / (1 + np.exp(-(0.3 + 0.5 * z)))
        back = (y - label) * 0.5 * z * (1 - z)
        gradient += [back, back * x[0], back * x[1], y - label, (y - label) * z]
    expected = np.array([0.1, 0.2, -0.4, 0.3, 0.5]) - rate * gradient / 2
    rule = SGD(learning_rate=rate, momentum=0.0, nesterov=False, schedule="constant")
    exact = {"alpha": 0, "scaling": "none", "engine": CPUEngine("float64")}
    network = net(hidden=1, epochs=1, batch_size=2, init=theta, descent=rule, **exact)
    network.fit(X, L)
    np.testing.assert_allclose(network.theta_.flat, expected, rtol=1e-12)
    assert forward(network.theta_, X.T).Y.shape == (1, 2)


def test_lbfgs_learns_digits():
    X, y = load_digits(return_X_y=True)
    assert (
        net(hidden=50, descent="lbfgs", epochs=60, engine=CPUEngine("float64")).fit(X, y).score(X, y) > 0.99
    )


def test_partial_fit_needs_the_same_classes(iris):
    X, y = iris
    network = net().partial_fit(X, y)
    with pytest.raises(InputError, match="differ from those of the first call"):
        network.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(InputError, match="y contains 3"):
        network.partial_fit(X, y + 1)


def test_partial_fit_with_classes_that_come_later(iris):
    X, y = iris
    network = net(hidden=30, batch_size=10).partial_fit(X[:50], y[:50], classes=[0, 1, 2])
    for _ in range(80):
        network.partial_fit(X, y)
    assert network.score(X, y) > 0.9


def test_mini_batches_are_shuffled_and_whole_passes_are_not(iris):
    X, y = iris
    one, other = (net(random_state=seed, init=Theta.random(4, 10, 3)).fit(X, y).theta_ for seed in (0, 1))
    assert one != other
    one, other = (
        net(random_state=seed, init=Theta.random(4, 10, 3), descent="lbfgs").fit(X, y).theta_
        for seed in (0, 1)
    )
    assert one == other


def test_a_warm_start_trains_for_all_its_epochs(iris):
    for descent in ("adam", "sgd", "lbfgs"):
        network = net(descent=descent, warm_start=True, epochs=3)
        for _ in range(3):
            assert len(network.fit(*iris).history_["epoch"]) == 3


def test_without_patience_every_epoch_is_trained(iris):
    assert len(net(epochs=120).fit(*iris).history_["epoch"]) == 120


@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_early_stopping_with_text_labels(iris, scoring):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    network = net(epochs=200, patience=40, scoring=scoring).fit(X, names)
    assert network.score(X, names) > 0.8


def test_partial_fit_after_joblib(iris, tmp_path):
    X, y = iris
    network = net().fit(X, y)
    joblib.dump(network, tmp_path / "net.joblib")
    twin = joblib.load(tmp_path / "net.joblib")
    assert network.partial_fit(X, y).theta_ == twin.partial_fit(X, y).theta_


def test_feature_names_survive_early_stopping(iris):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    network = net(patience=2).fit(frame, iris[1])
    assert network.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    network.predict(frame)


def test_a_warm_start_with_early_stopping(iris):
    network = net(warm_start=True, patience=3, epochs=50).fit(*iris)
    first = len(network.history_["epoch"])
    network.fit(*iris)
    assert 0 < len(network.history_["epoch"]) <= 50
    assert first > 0


def test_weights_with_early_stopping(iris):
    X, y = iris
    weight = np.where(y == 2, 0.0, 1.0)
    network = net(epochs=150, patience=20, descent=Adam(learning_rate=0.05)).fit(X, y, weight)
    assert (network.predict(X) != 2).mean() > 0.9


def test_four_samples_are_enough_to_hold_some_out():
    network = net(validation_fraction=0.5).fit([[0.0], [1.0], [0.1], [0.9]], [0, 1, 0, 1])
    assert network.history_["samples"][0] == 2


def test_multilabel_targets_are_binarised_labels(iris):
    X, y = iris
    by_label = net(engine=CPUEngine("float64")).fit(X, y)
    by_matrix = net(engine=CPUEngine("float64")).fit(X, LabelBinarizer().fit_transform(y))
    np.testing.assert_allclose(by_matrix.outputs(X), by_label.outputs(X), rtol=1e-9)
