"""Engines compute the numbers of network.py, whatever the tile, the type of X and the targets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thetanet import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Averaged,
    Clipped,
    CPUEngine,
    RMSprop,
    Theta,
    error_and_gradient,
    forward,
)
from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.engine import Measure
from thetanet.errors import InputError

sizes = st.integers(1, 9)
TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 1e-5}, "float64": {"rtol": 1e-12, "atol": 1e-12}}


@st.composite
def problems(draw):
    D_I, D_H, D_O, M = draw(sizes), draw(sizes), draw(sizes), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    X = rng.normal(size=(M, D_I)) * (rng.random((M, D_I)) < draw(st.sampled_from([0.2, 1.0])))
    kind = draw(st.sampled_from(["float64", "float32", "uint8", "csr"]))
    X = {
        "float64": X,
        "float32": X.astype(np.float32),
        "uint8": (np.abs(X) * 60).astype(np.uint8),
        "csr": sparse.csr_array(X),
    }[kind]
    one_of_many = D_O > 1 and draw(st.booleans())
    L = rng.integers(D_O, size=M) if one_of_many else rng.random((M, D_O))
    weight = rng.exponential(size=M) if draw(st.booleans()) else None
    theta = Theta.random(D_I, D_H, D_O, seed=draw(st.integers(0, 999)))
    return theta, Samples(X, L, D_O, Scaling.of(X, draw(st.sampled_from(["auto", "none"]))), weight)


def columns(samples):
    """Return scaled X and L as network.py wants them."""
    X = samples.scaling.apply(samples.X)
    X = X if isinstance(X, np.ndarray) else X.toarray()
    L = np.eye(samples.D_O)[samples.L] if samples.L.ndim == 1 else samples.L
    return X.T, L.T


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(problem=problems(), tile=st.integers(1, 50))
@settings(deadline=None)
def test_whole_pass_equals_the_oracle(dtype, problem, tile):
    theta, samples = problem
    X, L = columns(samples)
    E, gradient = error_and_gradient(theta, X, L, samples.weight)
    engine = CPUEngine(dtype, tile=tile)
    measure, ours = engine.error_and_gradient(theta.astype(dtype), samples)
    scale = max(np.abs(gradient.flat).max(), samples.total_weight)  # a sample adds about 1 at most
    assert ours.dtype == dtype
    assert measure.error == pytest.approx(E, rel=TOLERANCE[dtype]["rtol"])
    np.testing.assert_allclose(ours.flat / scale, gradient.flat / scale, **TOLERANCE[dtype])
    assert measure.weight == pytest.approx(samples.total_weight)
    again = engine.measure(theta.astype(dtype), samples)
    assert again.error == pytest.approx(measure.error, rel=1e-6)
    assert again.correct == pytest.approx(measure.correct)


@given(problem=problems(), tile=st.integers(1, 50))
@settings(deadline=None)
def test_propagation_equals_the_oracle(problem, tile):
    theta, samples = problem
    dense = samples.X if isinstance(samples.X, np.ndarray) else samples.X.toarray()
    expected = forward(theta, dense.T)
    for to in ("Z", "A2", "Y"):
        ours = CPUEngine(tile=tile).propagate(theta, samples.X, to)
        np.testing.assert_allclose(ours, getattr(expected, to).T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        SGD(nesterov=False),
        SGD(momentum=0.0),
        SGD(),
        Adagrad(),
        RMSprop(epsilon=1e-3),  # where a gradient is rounding alone, so would be its step
        Adam(),
        AdamW(weight_decay=0.5),
    ],
)
@given(problem=problems(), batch_size=st.integers(1, 50), decay=st.sampled_from([0.0, 0.01]))
@settings(deadline=None, max_examples=30)
def test_steps_equal_the_rule_applied_to_the_oracle(rule, problem, batch_size, decay):
    theta, samples = problem
    X, L = columns(samples)
    batch_size = min(batch_size, samples.M)
    order = np.random.default_rng(0).permutation(samples.M)
    steps = -(-samples.M // batch_size)
    c = np.array([rule.coefficients(t, 0.1) for t in range(steps)])
    stepper = CPUEngine("float64").stepper(theta, rule, batch_size, decay)
    measure = Measure.of(stepper.run(samples, order, c))

    flat, state, E = theta.flat.copy(), (np.zeros(theta.flat.size),) * rule.slots, 0.0
    for t in range(steps):
        rows = order[t * batch_size : (t + 1) * batch_size]
        w = np.ones(samples.M) if samples.weight is None else samples.weight
        at = theta.like(flat)
        error, gradient = error_and_gradient(at, X[:, rows], L[:, rows], w[rows])
        E += error
        gradient.flat /= w[rows].sum()
        gradient.W1[...] += decay * at.W1
        gradient.W2[...] += decay * at.W2
        if isinstance(rule, AdamW):
            at.W1[...] -= 0.1 * 0.5 * at.W1
            at.W2[...] -= 0.1 * 0.5 * at.W2
        flat, state = rule.update(flat, gradient.flat, state, c[t])
    assert measure.error == pytest.approx(E, rel=1e-9)
    np.testing.assert_allclose(stepper.theta().flat, flat, rtol=1e-7, atol=1e-7)
    if rule != SGD(momentum=0.0):  # which never looks at what it remembers
        np.testing.assert_allclose(stepper.state(), np.array(state), rtol=1e-7, atol=1e-7)


def test_decoupled_decay_spares_biases_and_reaches_inputs_that_are_never_lit():
    rng = np.random.default_rng(0)
    X = np.zeros((30, 4))
    X[:, :2] = rng.normal(size=(30, 2))
    L = np.full((30, 3), 0.5)
    theta = Theta(rng.normal(size=(5, 6)), np.zeros((7, 3)))  # Y = L: no gradient anywhere
    rule = AdamW(weight_decay=0.2)
    c = np.array([rule.coefficients(t, 0.5) for t in range(3)])
    for sparse_inputs in (False, True):
        stepper = CPUEngine("float64", sparse=sparse_inputs).stepper(theta, rule, 10)
        stepper.run(Samples(X, L, 3, Scaling.identity(4)), np.arange(30), c)
        end = stepper.theta()
        np.testing.assert_allclose(end.W1, 0.9**3 * theta.W1, rtol=1e-12)
        np.testing.assert_array_equal(end.b1, theta.b1)


def test_steps_go_on_from_a_saved_state():
    rng = np.random.default_rng(0)
    X, rule, order = rng.normal(size=(60, 4)), Adam(), rng.permutation(60)
    samples = Samples(X, rng.integers(3, size=60), 3, Scaling.identity(4))
    c = np.array([rule.coefficients(t, 0.1) for t in range(6)])
    whole = CPUEngine().stepper(Theta.random(4, 5, 3), rule, 10)
    whole.run(samples, order, c)
    first = CPUEngine().stepper(Theta.random(4, 5, 3), rule, 10)
    first.run(samples, order[:30], c[:3])
    second = CPUEngine().stepper(first.theta(), rule, 10, state=first.state())
    second.run(samples, order[30:], c[3:])
    assert second.theta() == whole.theta()


def test_right_answers_are_counted_as_a_person_would():
    theta = Theta(np.zeros((2, 1)), np.array([[1.0, 2.0, 0.5], [0, 0, 0]]))  # always says class 1
    X = np.zeros((4, 1))
    classes = Samples(X, np.array([1, 1, 0, 2]), 3, Scaling.identity(1))
    assert CPUEngine().measure(theta, classes).correct == 2
    labels = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]])
    assert CPUEngine().measure(theta, Samples(X, labels, 3, Scaling.identity(1))).correct == 2


@pytest.mark.parametrize(("share", "bytes_a_sample"), [(1.0, 40), (0.1, 120)])
def test_memory_beside_the_data_is_small(share, bytes_a_sample):
    import tracemalloc

    # Dense: only labels and the order of the samples grow with their number. Sparse: 3 bytes a non-zero too
    # (60 of these 200 bytes), and where rows begin.
    theta, peaks = Theta.random(200, 20, 3), []
    for M in (4_000, 40_000):
        X = (np.random.default_rng(0).random((M, 200)) < share).astype(np.uint8)
        samples = Samples(X, np.zeros(M, np.int64), 3, Scaling.identity(200))
        CPUEngine().error_and_gradient(theta, samples.take(slice(10)))
        tracemalloc.start()
        CPUEngine().error_and_gradient(theta, samples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 36_000 < bytes_a_sample


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"dtype": "int8"}, "dtype='int8'"), ({"tile": 0}, "tile=0: must be a whole number at least 1")],
)
def test_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        CPUEngine(**arguments)


@pytest.mark.parametrize(
    "rule",
    [
        Averaged(Adam()),
        Averaged(SGD()),
        Clipped(SGD(), 0.01),
        Clipped(Averaged(Adam()), 0.01),
        Clipped(AdamW(weight_decay=0.3), 0.01),
        Averaged(AdamW(weight_decay=0.3)),
    ],
)
@pytest.mark.parametrize("sparse", [True, False])
def test_wrapped_rules_step_like_the_oracle(rule, sparse):
    rng = np.random.default_rng(0)
    X = rng.random((60, 20)) * (rng.random((60, 20)) < 0.3)
    X[:, 3] = 0  # an input that is never lit
    L, theta = rng.random((60, 3)), Theta.random(20, 9, 3, seed=1)
    samples = Samples(X, L, 3, Scaling.identity(20))
    stepper = CPUEngine("float64", sparse=sparse).stepper(theta, rule, 20, decay=0.01)
    order = rng.permutation(60)
    c = np.array([rule.coefficients(t, 0.05) for t in range(3)])
    stepper.run(samples, order, c)
    flat, state = theta.flat, (np.zeros(theta.flat.size),) * rule.slots
    for t in range(3):
        rows, at = order[20 * t : 20 * t + 20], theta.like(flat)
        gradient = error_and_gradient(at, X[rows].T, L[rows].T)[1]
        gradient = gradient.like(gradient.flat / 20)
        gradient.W1[...] += 0.01 * at.W1
        gradient.W2[...] += 0.01 * at.W2
        flat_gradient = gradient.flat
        norm = np.linalg.norm(flat_gradient)
        if isinstance(rule, Clipped):
            assert norm > 0.01
            flat_gradient = flat_gradient * (0.01 / norm)
        if rule.decay_index is not None:
            at = theta.like(flat.copy())
            for W in (at.W1, at.W2):
                W *= 1 - c[t][rule.decay_index]
            flat = at.flat
        flat, state = rule.update(flat, flat_gradient, state, c[t])
    np.testing.assert_allclose(stepper.theta().flat, flat, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(stepper.state(), np.array(state), rtol=1e-9, atol=1e-12)
