"""What any engine must compute: the numbers of network.py, whatever the kind of inputs, targets and weights.

A new engine joins by a row in the table of `test_conformance.py`. An engine that may be compared with the
reference computes on samples in memory, by any number of threads.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

from thetanet import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Averaged,
    Clipped,
    RMSprop,
    Theta,
    error,
    error_and_gradient,
    forward,
    hessian_product,
)
from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.engine import Engine, Measure, Stepper

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
INPUTS = ["float64", "float32", "uint8", "csr"]
TARGETS = ["class indices", "soft labels", "multi-label"]

# Every rule of the table, those that are lazy, and wrappers. RMSprop divides by the size of the gradient from
# the first step on: where a gradient is rounding alone, so would be its step.
RULES = {
    "sgd": SGD(),
    "sgd, classical momentum": SGD(nesterov=False),
    "sgd, no momentum (lazy)": SGD(momentum=0.0),
    "adagrad (lazy)": Adagrad(),
    "rmsprop": RMSprop(epsilon=1e-3),
    "adam": Adam(),
    "adamw": AdamW(weight_decay=0.5),
    "average of adam": Averaged(Adam()),
    "average of sgd": Averaged(SGD()),
    "average of adamw": Averaged(AdamW(weight_decay=0.3)),
    "clipped sgd": Clipped(SGD(), 0.01),
    "clipped adamw": Clipped(AdamW(weight_decay=0.3), 0.01),
    "clipped average of adam": Clipped(Averaged(Adam()), 0.01),
}


def damped(rule):
    """Return a rule with an epsilon that is large beside the rounding of float32 gradients."""
    if rule.rule is not None:
        return replace(rule, rule=damped(rule.rule))
    return replace(rule, epsilon=1e-2) if hasattr(rule, "epsilon") else rule


@dataclass(frozen=True)
class Problem:
    """A network, samples, and the samples as network.py takes them: scaled, dense, columns."""

    theta: Theta
    samples: Samples

    @property
    def columns(self):
        X = self.samples.scaling.apply(self.samples.X)
        X = X if isinstance(X, np.ndarray) else X.toarray()
        L = self.samples.L
        L = np.eye(self.samples.D_O)[L] if L.ndim == 1 else L.astype(float)
        return X.T, L.T

    @property
    def weights(self):
        w = self.samples.weight
        return np.ones(self.samples.M) if w is None else w


def make(inputs, targets, weighted, scaling, seed=0, D_I=9, D_H=6, D_O=4, M=37, density=0.5):
    """Return a problem with random numbers, one input of which is zero everywhere."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(M, D_I)) * (rng.random((M, D_I)) < density)
    X[:, D_I // 2] = 0
    X = {
        "float64": X,
        "float32": X.astype(np.float32),
        "uint8": (np.abs(X) * 60).astype(np.uint8),
        "csr": sparse.csr_array(X),
    }[inputs]
    L = {
        "class indices": rng.integers(D_O, size=M),
        "soft labels": rng.random((M, D_O)),
        "multi-label": rng.integers(2, size=(M, D_O)),
    }[targets]
    weight = rng.exponential(size=M) if weighted else None
    theta = Theta.random(D_I, D_H, D_O, seed=seed)
    return Problem(theta, Samples(X, L, D_O, Scaling.of(X, scaling), weight))


PROBLEMS = {
    f"{inputs}, {targets}{', weights' if weighted else ''}, scaling {scaling}": (
        inputs,
        targets,
        weighted,
        scaling,
    )
    for inputs in INPUTS
    for targets in TARGETS
    for weighted in (False, True)
    for scaling in ("auto", "none")  # "auto" shifts dense numbers, and multiplies pixels and sparse ones
}


@st.composite
def problems(draw):
    """Draw problems of all kinds and sizes."""
    return make(
        draw(st.sampled_from(INPUTS)),
        draw(st.sampled_from(TARGETS)),
        draw(st.booleans()),
        draw(st.sampled_from(["auto", "none"])),
        seed=draw(st.integers(0, 999)),
        D_I=draw(st.integers(1, 9)),
        D_H=draw(st.integers(1, 9)),
        D_O=draw(st.integers(1, 9)),
        M=draw(st.integers(1, 40)),
        density=draw(st.sampled_from([0.2, 1.0])),
    )


def correct_answers(problem, margin=0.0):
    """Return the weighted number of correct answers, and that of answers that are closer than `margin`."""
    X, L = problem.columns
    A2, labels = forward(problem.theta, X).A2, problem.samples.L
    if labels.ndim == 1:
        correct = A2.argmax(axis=0) == labels
        answers = np.sort(A2, axis=0)
        close = answers[-1] - answers[-2] <= margin if len(A2) > 1 else np.zeros(len(labels), bool)
    else:
        correct, close = ((A2 > 0) == (L > 0.5)).all(axis=0), (np.abs(A2) <= margin).any(axis=0)
    return float(problem.weights @ correct), float(problem.weights @ close)


def check_measure(measure, problem, dtype, tolerance):
    """E, correct answers and weight are those of network.py; close answers may go either way."""
    E = error(problem.theta, *problem.columns, problem.samples.weight)
    correct, close = correct_answers(problem, {"float32": 1e-3, "float64": 1e-10}[dtype])
    assert measure.error == pytest.approx(E, rel=tolerance)
    assert abs(measure.correct - correct) <= close + 1e-9
    assert measure.weight == pytest.approx(problem.samples.total_weight, rel=1e-12)


def check_sums(engine, problem):
    """E, correct answers, weight, gradient and Hessian products are those of network.py and hessian.py."""
    dtype = np.dtype(engine.dtype).name
    tolerance, samples = TOLERANCE[dtype], problem.samples
    X, L = problem.columns
    theta = problem.theta.astype(dtype)
    _, gradient = error_and_gradient(problem.theta, X, L, samples.weight)
    measure, ours = engine.error_and_gradient(theta, samples)
    scale = max(np.abs(gradient.flat).max(), samples.total_weight)  # a sample adds about 1 at most
    assert ours.dtype == dtype
    check_measure(measure, problem, dtype, tolerance)
    np.testing.assert_allclose(ours.flat / scale, gradient.flat / scale, rtol=tolerance, atol=tolerance)
    again = engine.measure(theta, samples)
    check_measure(again, problem, dtype, tolerance)
    assert again.error == pytest.approx(measure.error, rel=1e-6)


def check_hessian_product(engine, problem):
    """Products of the Hessian matrix are those of hessian.py, within the rounding of the engine's type."""
    from rounding import hessian_bounds

    dtype = np.dtype(engine.dtype).name
    X, L = problem.columns
    V = problem.theta.like(np.random.default_rng(1).normal(size=problem.theta.flat.size))
    expected = hessian_product(problem.theta, V, X, L, problem.samples.weight).flat
    product = engine.hessian_product(problem.theta.astype(dtype), V.astype(dtype), problem.samples)
    _, bound = hessian_bounds(problem.theta, V, X, L, problem.samples.weight, dtype)
    assert product.dtype == dtype
    assert (np.abs(product.flat - expected) <= bound).all()


def check_propagation(engine, problem):
    """Z, A2 and Y are those of network.py in Theta's own type, whatever the engine's."""
    X = problem.samples.X
    expected = forward(problem.theta, (X if isinstance(X, np.ndarray) else X.toarray()).T)
    for to in ("Z", "A2", "Y"):
        ours = engine.propagate(problem.theta, X, to)
        assert ours.dtype == problem.theta.dtype
        np.testing.assert_allclose(ours, getattr(expected, to).T, rtol=1e-12, atol=1e-12)


def descend(problem, rule, order, batch_size, coefficients, decay, theta=None, state=None):
    """Return measure, Theta and state after steps by `rule` and network.py, in float64."""
    X, L = problem.columns
    flat = (problem.theta if theta is None else theta).flat.astype(np.float64)
    state = np.zeros((rule.slots, flat.size)) if state is None else state
    measure = Measure(0.0, 0.0, 0.0)
    for t, c in enumerate(coefficients):
        rows = order[t * batch_size : (t + 1) * batch_size]
        w = problem.weights[rows]
        batch = Problem(problem.theta.like(flat), problem.samples.take(rows))
        E, gradient = error_and_gradient(batch.theta, X[:, rows], L[:, rows], w)
        measure = measure.plus(Measure(E, correct_answers(batch)[0], float(w.sum())))
        gradient.flat[...] /= w.sum()
        gradient.W1[...] += decay * batch.theta.W1
        gradient.W2[...] += decay * batch.theta.W2
        slope = gradient.flat
        if rule.largest_norm is not None:
            slope = slope * min(1.0, rule.largest_norm / np.linalg.norm(slope))
        if rule.decay_index is not None:
            batch.theta.W1[...] *= 1 - c[rule.decay_index]
            batch.theta.W2[...] *= 1 - c[rule.decay_index]
            flat = batch.theta.flat
        flat, state = rule.update(flat, slope, tuple(state), c)
    return measure, problem.theta.like(flat), np.array(state)


def check_steps(engine, problem, rule, batch_size=8, decay=0.0, epochs=2, rate=0.05, close=(1e-10, 1e-12)):
    """Steps, the state and the result are those of the rule applied to network.py, across a resumption.

    In float64 within `close`, relative and absolute.
    """
    dtype = np.dtype(engine.dtype).name
    if dtype == "float32":
        rule, close = damped(rule), (1e-3, 1e-3)
    samples = problem.samples
    batch_size = min(batch_size, samples.M)
    per_epoch = -(-samples.M // batch_size)
    c = np.array([rule.coefficients(t, rate) for t in range(epochs * per_epoch)])
    stepper = engine.stepper(problem.theta.astype(dtype), rule, batch_size, decay)
    theta, state = problem.theta, None
    close = dict(zip(("rtol", "atol"), close, strict=True))
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(samples.M)
        part = c[epoch * per_epoch : (epoch + 1) * per_epoch]
        measure = Measure.of(stepper.run(samples, order, part))
        expected, theta, state = descend(problem, rule, order, batch_size, part, decay, theta, state)
        assert measure.error == pytest.approx(expected.error, rel=max(1e-9, close["rtol"]))
        assert measure.weight == pytest.approx(expected.weight, rel=1e-12)
        np.testing.assert_allclose(stepper.theta().flat, theta.flat, **close)
        if not (isinstance(rule, SGD) and rule.momentum == 0):  # which never reads its state
            np.testing.assert_allclose(stepper.state(), state, rtol=10 * close["rtol"], atol=close["atol"])
        np.testing.assert_allclose(stepper.result(), rule.result(theta.flat, state), **close)
        if dtype == "float64":  # elsewhere close answers may go either way
            assert measure.correct == pytest.approx(expected.correct, rel=1e-12)
        # Another stepper continues from what this one gives away.
        stepper = engine.stepper(stepper.theta(), rule, batch_size, decay, state=stepper.state())


def check_resumption(engine, problem, rule, batch_size=8):
    """Steps spread over two steppers, or after a restart, give the same bits as those of one."""
    samples, dtype = problem.samples, np.dtype(engine.dtype).name
    order = np.random.default_rng(0).permutation(samples.M)
    c = np.array([rule.coefficients(t, 0.05) for t in range(-(-samples.M // batch_size))])
    half = len(c) // 2
    theta = problem.theta.astype(dtype)
    one = engine.stepper(theta, rule, batch_size)
    measures = one.run(samples, order, c)
    first = engine.stepper(theta, rule, batch_size)
    begun = first.run(samples, order[: half * batch_size], c[:half])
    second = engine.stepper(first.theta(), rule, batch_size, state=first.state())
    rest = second.run(samples, order[half * batch_size :], c[half:])
    assert second.theta() == one.theta()
    np.testing.assert_array_equal(second.state(), one.state())
    np.testing.assert_array_equal(np.concatenate([begun, rest]), measures)
    first.restart(theta)
    np.testing.assert_array_equal(first.run(samples, order, c), measures)
    assert first.theta() == one.theta()


def check_optional_methods(engine, problem, method):
    """What is optional may be called of any engine, and changes no result."""
    theta = problem.theta.astype(engine.dtype)
    engine.warm_up(theta, problem.samples, method, 8)
    prepare = engine.preparation_for(method)
    if prepare is not None:
        prepare(problem.samples)
    assert isinstance(engine.explain(theta, problem.samples, 8), str)
    assert engine.distributed in (True, False)


class ReferenceEngine(Engine):
    """The slow engine that is network.py itself, in float64: what the checks mean, and that they can pass."""

    dtype = np.dtype("float64")

    def error_and_gradient(self, theta, chunk):
        problem = Problem(theta, chunk)
        E, gradient = error_and_gradient(theta, *problem.columns, chunk.weight)
        return Measure(E, correct_answers(problem)[0], float(problem.weights.sum())), gradient

    def measure(self, theta, chunk):
        return self.error_and_gradient(theta, chunk)[0]

    def hessian_product(self, theta, direction, chunk):
        return hessian_product(theta, direction, *Problem(theta, chunk).columns, chunk.weight)

    def stepper(self, theta, rule, batch_size, decay=0.0, state=None):
        return _ReferenceStepper(theta, rule, batch_size, decay, state)

    def propagate(self, theta, X, to="Y"):
        return getattr(forward(theta, (X if isinstance(X, np.ndarray) else X.toarray()).T), to).T


class _ReferenceStepper(Stepper):
    def __init__(self, theta, rule, batch_size, decay, state):
        self.rule, self._theta, self._batch_size, self._decay = rule, theta.copy(), batch_size, decay
        self._state = np.zeros((rule.slots, theta.flat.size)) if state is None else state

    def run(self, chunk, order, coefficients):
        measures = np.zeros((len(coefficients), 3))
        for t in range(len(coefficients)):
            rows = order[t * self._batch_size : (t + 1) * self._batch_size]
            measures[t], self._theta, self._state = descend(
                Problem(self._theta, chunk), self.rule, rows, len(rows), coefficients[t : t + 1], self._decay,
                self._theta, self._state,
            )  # fmt: skip
        return measures

    def restart(self, theta):
        self._theta, self._state = theta.copy(), np.zeros_like(self._state)

    def theta(self):
        return self._theta.copy()

    def state(self):
        return self._state.copy()
