import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest

from thetanet import Adam, CPUEngine, GradientDescent, Theta, ThetaNetClassifier, error
from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.errors import InputError
from thetanet.training.initial import random_theta
from thetanet.training.loop import descend
from thetanet.training.session import Session


def problem(M=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(M, 6))
    y = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
    return Samples(X, y, 3, Scaling.identity(6))


def run(samples, method, epochs=10, seed=0, **more):
    rng = np.random.default_rng(seed)
    engine = more.pop("engine", CPUEngine())
    theta = random_theta(samples, 8, rng, engine.dtype)
    validation = more.pop("validation", None)
    session = Session(theta, samples, engine, method, epochs, 32, rng, **more)
    return theta, descend(session, validation)


def test_one_record_an_epoch():
    samples, validation = problem(), problem(100, seed=1)
    theta, records = run(samples, Adam(), epochs=7, validation=validation)
    records = list(records)
    assert [r.epoch for r in records] == [1, 2, 3, 4, 5, 6, 7]
    assert [r.samples for r in records] == [300 * e for e in range(1, 8)]
    assert all(a.seconds < b.seconds for a, b in pairwise(records))
    assert records[-1].error < records[0].error
    L = np.eye(3)[validation.L].T
    assert records[-1].val_error == pytest.approx(error(theta, validation.X.T, L) / 100, rel=1e-5)
    assert 0 <= records[-1].val_accuracy <= 1


def test_the_same_seed_gives_the_same_bits():
    thetas = []
    for seed in (0, 0, 1):
        theta, records = run(problem(), Adam(), seed=seed)
        list(records)
        thetas.append(theta)
    assert thetas[0] == thetas[1]
    assert thetas[0] != thetas[2]


def test_whole_passes_never_raise_the_error_and_report_the_error_at_theta():
    samples = problem()
    theta, records = run(samples, GradientDescent(), epochs=40, alpha=0.3, engine=CPUEngine("float64"))
    L, before = np.eye(3)[samples.L].T, np.inf
    for record in records:
        penalised = record.error + 0.15 * ((theta.W1**2).sum() + (theta.W2**2).sum()) / samples.M
        assert penalised <= before
        before = penalised
        assert record.error == pytest.approx(error(theta, samples.X.T, L) / samples.M, rel=1e-9)


def test_whole_passes_do_not_depend_on_the_order_of_samples():
    samples = problem()
    other = samples.take(np.random.default_rng(5).permutation(samples.M))
    ends = []
    for data in (samples, other):
        theta, records = run(data, GradientDescent(), epochs=20, engine=CPUEngine("float64"))
        list(records)
        ends.append(theta.flat)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-8, atol=1e-10)


def test_a_penalty_shrinks_weights():
    norms = []
    for alpha in (0.0, 30.0):
        theta, records = run(problem(), Adam(), alpha=alpha, epochs=30)
        list(records)
        norms.append((theta.W1**2).sum() + (theta.W2**2).sum())
    assert norms[1] < 0.5 * norms[0]


def test_stopping_early_keeps_what_was_learnt():
    theta, records = run(problem(), Adam(), epochs=50)
    first = next(records)
    now = theta.copy()
    records.close()
    assert first.epoch == 1
    assert theta == now


def test_an_interrupt_inside_an_epoch_keeps_what_was_learnt():
    def interrupt(seen, M):
        if seen > M / 2:
            raise KeyboardInterrupt

    theta, records = run(problem(), Adam(), progress=interrupt)
    before = theta.copy()
    with pytest.raises(KeyboardInterrupt):
        list(records)
    assert theta != before
    assert np.isfinite(theta.flat).all()


def test_progress_reaches_the_number_of_samples():
    seen = []
    for method in (Adam(), GradientDescent()):
        _, records = run(problem(), method, epochs=1, progress=lambda s, M: seen.append((s, M)))
        list(records)
        assert seen[-1] == (300, 300)


def test_the_start_makes_the_first_outputs_the_means_of_the_targets():
    samples = problem()
    theta = random_theta(samples, 8, np.random.default_rng(0), np.float64)
    measure = CPUEngine("float64").measure(theta, samples)
    shares = np.bincount(samples.L) / samples.M
    entropy = -(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).sum()
    assert measure.error / samples.M == pytest.approx(entropy, rel=1e-3)


def test_a_target_that_never_or_always_happens_starts_finite():
    samples = Samples(np.zeros((9, 2)), np.tile([0.0, 1.0], (9, 1)), 2, Scaling.identity(2))
    assert np.isfinite(random_theta(samples, 3, np.random.default_rng(0), np.float32).flat).all()


@pytest.mark.parametrize(
    ("X", "L", "weight", "message"),
    [
        (np.zeros((0, 2)), np.zeros((0, 1)), None, "no samples; give at least one row"),
        (np.zeros((3, 2)), np.zeros((2, 1)), None, r"L has shape \(2, 1\): must be \(3,\) or \(3, 1\)"),
        (np.zeros((3, 2)), np.zeros((3, 1)), np.ones(2), r"weight has shape \(2,\): must be \(3,\)"),
    ],
)
def test_samples_that_do_not_fit_each_other(X, L, weight, message):
    with pytest.raises(InputError, match=message):
        Samples(X, L, 1, Scaling.identity(2), weight)


def test_theta_is_trained_in_place():
    samples = problem()
    theta = Theta.random(6, 4, 3, dtype=np.float32)
    one = theta.one
    list(descend(Session(theta, samples, CPUEngine(), Adam(), 1, 50, np.random.default_rng(0))))
    assert theta.one is one
    assert theta != Theta.random(6, 4, 3, dtype=np.float32)


def test_samples_are_given_back_when_a_training_ends():
    """By counting references alone: Python looks for cycles seldom, and samples can fill the memory."""
    gc.collect()
    gc.disable()
    try:
        X, y = np.random.default_rng(0).random((200, 5)), np.arange(200) % 2
        for settings in ({}, {"patience": 2}, {"descent": "lbfgs"}, {"scoring": "accuracy", "patience": 2}):
            before = weakref.ref(held := X.copy())
            ThetaNetClassifier(hidden=3, epochs=2, random_state=0, **settings).fit(held, y)
            del held
            assert before() is None, settings
    finally:
        gc.enable()
