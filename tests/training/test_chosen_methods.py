"""What "auto" chooses, averages of weights, and what is counted as seconds of training."""

import time

import numpy as np
import pytest
from networks import net
from scipy import sparse

from thetanet import Adam, Averaged, Clipped, CPUEngine
from thetanet.errors import InputError


def words(M, D_I, each, seed=0):
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.integers(D_I, size=(M, each)), axis=1)
    X = sparse.csr_array((np.ones(M * each), columns.ravel(), np.arange(M + 1) * each), (M, D_I))
    X.sum_duplicates()
    return X, np.arange(M) % 2


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


def test_seconds_leave_out_what_is_compiled_before_the_descent(iris, monkeypatch):
    warm_up = CPUEngine.warm_up

    def slow(*arguments):
        time.sleep(0.5)
        warm_up(*arguments)

    monkeypatch.setattr(CPUEngine, "warm_up", slow)
    assert net(epochs=1).fit(*iris).history_["seconds"][0] < 0.4


def test_an_average_goes_inside_of_a_limit():
    with pytest.raises(InputError, match=r"as in Clipped\(Averaged\(Adam\(\)\)\)"):
        Averaged(Clipped(Adam()))
