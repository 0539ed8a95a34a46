"""What users ask of training: weights, soft labels, validation, early stopping, callbacks, warm starts."""

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thetanet import SGD, Adam, Averaged, CPUEngine, DivergedError, Theta, ThetaNetClassifier, forward
from thetanet.errors import InputError


def net(**options):
    return ThetaNetClassifier(**{"hidden": 10, "epochs": 15, "random_state": 0} | options)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    return X[order], y[order]


@pytest.fixture
def exact():
    return {"descent": "gd", "engine": CPUEngine("float64")}


# --- weights ------------------------------------------------------------------------------------------


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


# --- soft labels --------------------------------------------------------------------------------------


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


# --- validation and early stopping --------------------------------------------------------------------


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


def test_on_epoch_sees_records_and_stops(iris):
    seen = []
    network = net(on_epoch=lambda record: seen.append(record.epoch) or record.epoch == 4).fit(*iris)
    assert seen == network.history_["epoch"] == [1, 2, 3, 4]


def test_an_exception_in_a_callback_leaves_a_usable_network(iris):
    def broken(record):
        if record.epoch == 3:
            raise RuntimeError("broken")

    network = net(on_epoch=broken)
    with pytest.raises(RuntimeError, match="broken"):
        network.fit(*iris)
    assert len(network.history_["epoch"]) == 3
    assert network.score(*iris) > 0.3


# --- scikit-learn's callbacks -------------------------------------------------------------------------


def test_a_scoring_monitor_sees_every_epoch(iris):
    monitor = ScoringMonitor(scoring="accuracy")
    network = net(epochs=6).set_callbacks(monitor)
    network.fit(*iris)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log.task_name == "epoch"]
    assert epochs.task_id.tolist() == [0, 1, 2, 3, 4, 5]
    assert epochs.accuracy.iloc[-1] == pytest.approx(network.score(*iris))
    assert epochs.accuracy.iloc[0] < epochs.accuracy.iloc[-1]


def test_a_progress_bar_works(iris, capsys):
    net(epochs=3).set_callbacks(ProgressBar()).fit(*iris)
    assert "ThetaNetClassifier" in "".join(capsys.readouterr())


def test_older_scikit_learn_without_callbacks_will_do():
    program = (
        "import sys; sys.modules['sklearn.callback'] = None\n"
        "from sklearn.base import clone\n"
        "from thetanet import ThetaNetClassifier\n"
        "net = clone(ThetaNetClassifier(hidden=4, epochs=2)).fit([[0.0], [1.0]], [0, 1])\n"
        "print(net.predict([[1.0]]).shape)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "(1,)\n"), run.stderr


def test_callbacks_nest_in_a_search_and_a_pipeline(iris, capsys):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), net(epochs=2)), {"thetanetclassifier__hidden": [3, 5]}, cv=2
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None))
    search.fit(*iris)
    assert "ThetaNetClassifier" in "".join(capsys.readouterr())
    assert search.best_estimator_[-1].history_["epoch"] == [1, 2]


class Stopper:
    """Stops after some epochs, and breaks if told to."""

    def __init__(self, after, error=None):
        self.after, self.error, self.torn_down, self.metadata = after, error, False, None

    def setup(self, estimator, context):
        self.seen = 0

    def teardown(self, estimator, context):
        self.torn_down = True

    def on_fit_task_begin(self, estimator, context, *, metadata=None):
        self.metadata = metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, X=None):
        if context.task_name != "epoch":
            return False
        self.seen += 1
        fitted_estimator.predict(X)
        if self.seen == self.after and self.error is not None:
            raise self.error
        return self.seen == self.after


def test_callbacks_allow_for_samples_that_are_held_out(iris):
    X, y = (
        np.tile(iris[0], (14, 1)),
        np.tile(iris[1], 14),
    )  # the number of epochs depends on the number of samples
    network = net(epochs="auto", validation_fraction=0.3).set_callbacks(Stopper(after=999)).fit(X, y)
    assert network.history_["epoch"] == list(range(1, len(network.history_["epoch"]) + 1))


def test_a_callback_stops_training_and_sees_the_weights(iris):
    stopper = Stopper(after=4)
    network = net().set_callbacks(stopper).fit(*iris, sample_weight=np.ones(150))
    assert network.history_["epoch"] == [1, 2, 3, 4]
    assert stopper.torn_down
    assert len(stopper.metadata["sample_weight"]) == 150


def test_a_callback_that_breaks_leaves_a_usable_network(iris):
    stopper = Stopper(after=2, error=RuntimeError("broken"))
    network = net().set_callbacks(stopper)
    with pytest.raises(RuntimeError, match="broken"):
        network.fit(*iris)
    assert stopper.torn_down
    assert network.predict(iris[0]).shape == (150,)


def test_training_is_the_same_with_and_without_callbacks(iris):
    watched = net().set_callbacks(Stopper(after=99)).fit(*iris)
    assert watched.theta_ == net().fit(*iris).theta_


# --- warm starts --------------------------------------------------------------------------------------


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


# --- numerical health ---------------------------------------------------------------------------------


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


def test_an_averaged_network_is_smoother(iris):
    X, y = iris
    noisy = Adam(learning_rate=0.1, schedule="constant")
    options = {"batch_size": 8, "epochs": 30, "alpha": 0}
    plain, averaged = net(descent=noisy, **options), net(descent=Averaged(noisy, 0.98), **options)
    steps = [
        np.abs(np.diff(n.fit(X[:75], y[:75], X_val=X[75:], y_val=y[75:]).history_["val_error"])).mean()
        for n in (plain, averaged)
    ]
    assert steps[1] < steps[0]


def words(M, D_I, each, seed=0):
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.integers(D_I, size=(M, each)), axis=1)
    X = sparse.csr_array((np.ones(M * each), columns.ravel(), np.arange(M + 1) * each), (M, D_I))
    X.sum_duplicates()
    return X, np.arange(M) % 2


@pytest.mark.parametrize(
    ("M", "D_I", "D_H", "chosen"),
    [(100, 8, 10, "Scaled"), (2000, 8, 10, "Adam"), (100, 200, 10, "Adam"), (100, 8, 100, "Adam")],
)
def test_auto_takes_whole_passes_where_samples_inputs_and_units_are_few(M, D_I, D_H, chosen):
    X = np.random.default_rng(0).normal(size=(M, D_I))
    fitted = net(hidden=D_H, epochs="auto").fit(X, X[:, 0] > 0)
    assert fitted.explanation_.startswith(chosen)
    counted = net(hidden=D_H, epochs=2).fit(X, X[:, 0] > 0)  # whoever counts epochs gets so many
    assert counted.explanation_.startswith("Adam")
    fresh = net(hidden=D_H).partial_fit(X, X[:, 0] > 0, classes=[False, True])  # never by whole passes
    assert fresh.theta_ == net(hidden=D_H, descent="adam").partial_fit(X, X[:, 0] > 0).theta_


@pytest.mark.parametrize(
    ("D_I", "batch_size", "chosen"), [(20_000, 128, "Adagrad"), (20_000, 1000, "Adam"), (500, 128, "Adam")]
)
def test_auto_chooses_lazy_steps_where_a_mini_batch_lights_few_of_many_inputs(D_I, batch_size, chosen):
    X, y = words(1000, D_I, 20)
    fitted = net(hidden=40, epochs=1, batch_size=batch_size).fit(X, y)
    assert fitted.explanation_.startswith(f"{chosen}(")
    reason = "a mini-batch lights at most" if chosen == "Adagrad" else "as accurate as any"
    assert reason in fitted.explanation_
    assert (
        fitted.explanation_
        != net(hidden=4, epochs=1, batch_size=batch_size, descent="sgd").fit(X, y).explanation_
    )


def test_partial_fit_keeps_what_auto_chose_for_the_first_part():
    (few, y), (many, z) = words(200, 20_000, 20), words(200, 20_000, 2000)
    both = net(hidden=4).partial_fit(few, y).partial_fit(many, z)
    by_name = net(hidden=4, descent="adagrad").partial_fit(few, y).partial_fit(many, z)
    assert both.theta_ == by_name.theta_
    assert both.theta_ != net(hidden=4, descent="adam").partial_fit(few, y).partial_fit(many, z).theta_


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


def test_seconds_leave_out_what_is_compiled_before_the_descent(iris, monkeypatch):
    warm_up = CPUEngine.warm_up

    def slow(*arguments):
        time.sleep(0.5)
        warm_up(*arguments)

    monkeypatch.setattr(CPUEngine, "warm_up", slow)
    assert net(epochs=1).fit(*iris).history_["seconds"][0] < 0.4
