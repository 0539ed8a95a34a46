"""Callbacks of training, ours and those of scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
from networks import net
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


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
