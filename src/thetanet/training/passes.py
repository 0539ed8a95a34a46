"""Descent over samples: mini-batches in short calls, whole passes in iterations, one result an epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from thetanet.data.samples import Samples
from thetanet.data.source import Progress
from thetanet.descent import resolve_schedule
from thetanet.engine import Measure, Stepper
from thetanet.errors import DivergedError
from thetanet.theta import Theta
from thetanet.training.session import EpochResult, Session

_SECONDS_PER_CALL = 0.2  # of the engine, between looks at progress, Ctrl-C and servers

_steps_per_call: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # what fitted last time, for each stepper


class ChunkedSamples(Protocol):
    """What an epoch of mini-batches is taken over."""

    @property
    def M(self) -> int:
        """Number of samples."""

    def chunks(
        self, rng: np.random.Generator | None = None, training_progress: float = 0.0, multiple: int = 1
    ) -> Any:
        """Yield chunks of samples, in a random order."""


def run_mini_batches(session: Session) -> Generator[EpochResult]:
    """Descend in mini-batches; `session.theta` is up to date after each epoch, and when the loop is left."""
    theta, samples, rule = session.theta, session.samples, session.method
    batch_size, epochs, rng, writer = session.batch_size, session.epochs, session.rng, session.checkpoints
    schedule = resolve_schedule(rule.schedule)
    per_epoch = -(-samples.M // batch_size)
    snapshot = writer.snapshot
    state = None if snapshot is None else snapshot.state["slots"]
    stepper = session.engine.stepper(theta, rule, batch_size, session.decay, state)
    rates = [rule.learning_rate * schedule(t / (epochs * per_epoch)) for t in range(epochs * per_epoch)]

    def save(epoch: int, rng_state: Mapping[str, Any], measures: Any = None, now: bool = False) -> None:
        steps = epoch * per_epoch + (0 if measures is None else len(measures))
        writer.save(steps, lambda: stepper.theta().flat, lambda: {"slots": stepper.state()}, epoch, rng_state,
                    measures, now)  # fmt: skip

    finite = True
    try:
        for epoch in range(writer.epoch, epochs):
            first = epoch * per_epoch
            before = rng.bit_generator.state
            measures = run_epoch(
                stepper,
                samples,
                batch_size,
                rng,
                step_coefficients(rule, first, rates[first : first + per_epoch]),
                progress=session.progress,
                completed=snapshot.measures if snapshot is not None and epoch == snapshot.epoch else None,
                on_pause=partial(save, epoch, before),
                steps_until_save=partial(writer.steps_until_next, first),
                training_progress=epoch / epochs,
            )
            measure = Measure.of(measures)
            finite = bool(np.isfinite(measure.error))
            if finite:
                theta.flat[...] = stepper.result()
            yield EpochResult(measure, rates[first + per_epoch - 1], samples.M)
            save(epoch + 1, rng.bit_generator.state, now=epoch + 1 == epochs)
    finally:
        if finite and not sys.is_finalizing():  # a loop that was left may be closed when Python ends
            theta.flat[...] = stepper.result()


def step_coefficients(rule: Any, first: int, rates: Sequence[float]) -> NDArray[np.float64]:
    """Return the coefficients of a rule for the steps from `first` on, a row each."""
    return np.array([rule.coefficients(first + t, rate) for t, rate in enumerate(rates)], np.float64)


def run_epoch(
    stepper: Stepper,
    samples: ChunkedSamples,
    batch_size: int,
    rng: np.random.Generator,
    coefficients: NDArray[np.float64],
    *,
    progress: Progress | None = None,
    completed: NDArray[np.float64] | None = None,
    on_pause: Callable[[Any], None] | None = None,
    steps_until_save: Callable[[int], int | None] | None = None,
    training_progress: float = 0.0,
) -> NDArray[np.float64]:
    """Take one step for each mini-batch of the shuffled samples, in calls of about 0.2 s.

    Parameters
    ----------
    stepper : Stepper
        Takes the steps.
    samples : TrainingSamples, or a group of them on a cluster
        What to learn from.
    batch_size : int
        Samples in a mini-batch.
    rng : numpy.random.Generator
        Shuffles the samples.
    coefficients : array of shape (steps, n)
        Of the rule.
    progress : callable, optional
        Called with (samples seen, samples) after each call of the engine.
    completed : array of shape (steps, 3), optional
        The measures of the first steps, if those were taken before.
    on_pause : callable, optional
        Called with the measures so far after each call of the engine but the last one.
    steps_until_save : callable, optional
        Returns, for a number of steps, after how many more to pause (None: any number).
    training_progress : float
        The share of the training that is over, for samples that change with it.

    Returns
    -------
    array of shape (steps, 3)
        The measures of all mini-batches. Ends early, and without the rest, if E is not finite.
    """
    measures = [np.zeros((0, 3)) if completed is None else completed]
    taken, total = len(measures[0]), len(coefficients)
    first = 0  # step of this chunk
    per_call = _steps_per_call.get(stepper, 1)  # grows to what fits into the time
    for chunk in samples.chunks(rng, training_progress, batch_size):
        order = rng.permutation(chunk.M)
        end = first + -(-chunk.M // batch_size)
        while taken < end:
            began = time.perf_counter()
            until_save = steps_until_save(taken) if steps_until_save else None
            now = min(per_call, end - taken, until_save or per_call)
            rows = order[(taken - first) * batch_size : (taken - first + now) * batch_size]
            measures.append(stepper.run(chunk, rows, coefficients[taken : taken + now]))
            taken += now
            if not np.isfinite(measures[-1][:, 0]).all():
                return np.concatenate(measures)
            each = max(time.perf_counter() - began, 1e-6) / now
            _steps_per_call[stepper] = per_call = max(1, min(int(_SECONDS_PER_CALL / each), 4 * per_call))
            if progress is not None:
                progress(min(taken * batch_size, samples.M), samples.M)
            if on_pause is not None and taken < total:
                on_pause(np.concatenate(measures))
        first = end
    return np.concatenate(measures)


class _Objective:
    """E / M and its gradient, as whole-pass methods see them; remembers the measures of an iteration."""

    def __init__(self, session: Session, check_start: bool) -> None:
        self.session = session
        self.check_start = check_start  # no error is known yet that a method could go back to
        self.measures: dict[float, Measure] = {}  # in this iteration, by the error returned

    def __call__(self, flat: Any) -> tuple[float, Any]:
        session = self.session
        samples, theta = session.samples, session.theta.like(flat)
        n = samples.total_weight
        gradient = np.zeros_like(flat)
        measure = Measure(0.0, 0.0, 0.0)
        for chunk in samples.chunks():
            part, part_gradient = session.engine.error_and_gradient(theta, chunk)
            measure = measure.plus(part)
            gradient += part_gradient.flat
            if session.progress is not None:
                session.progress(min(int(measure.weight), samples.M), samples.M)
        error = measure.error
        if self.check_start and not np.isfinite(error):
            raise DivergedError(1, error / n, None, "a start that is too far off")
        self.check_start = False
        if session.alpha:
            with np.errstate(over="ignore"):  # then E is infinite, and methods know what to do
                squares = [float(np.sum(np.square(W), dtype=np.float64)) for W in (theta.W1, theta.W2)]
            error += session.alpha / 2 * sum(squares)
        gradient = (gradient + self._penalty_gradient(theta)) / flat.dtype.type(n)
        self.measures[error / n] = measure
        return error / n, gradient

    def hessian_product(self, flat: Any, direction: Any) -> Any:
        """Return H v for E / M at `flat`."""
        samples, engine = self.session.samples, self.session.engine
        theta, v = self.session.theta.like(flat), self.session.theta.like(direction)
        product = np.zeros_like(flat)
        for chunk in samples.chunks():
            product += engine.hessian_product(theta, v, chunk).flat
        return (product + self._penalty_gradient(v)) / flat.dtype.type(samples.total_weight)

    def _penalty_gradient(self, theta: Theta) -> Any:
        """Return the derivative of alpha/2 (|W1|^2 + |W2|^2), which is linear."""
        penalty, alpha = Theta.zeros(*theta.shape, theta.dtype), self.session.alpha
        if alpha:
            penalty.W1[...], penalty.W2[...] = alpha * theta.W1, alpha * theta.W2
        return penalty.flat


def run_whole_passes(session: Session) -> Generator[EpochResult]:
    """Descend by whole passes, and yield after each iteration; `session.theta` is then up to date."""
    theta, writer, epochs = session.theta, session.checkpoints, session.epochs
    number, snapshot = writer.epoch, writer.snapshot
    if number >= epochs:
        return
    objective = _Objective(session, check_start=snapshot is None)
    state = None if snapshot is None else snapshot.state
    for step in session.method.descend(objective, theta.flat.copy(), state):
        number += 1
        theta.flat[...] = step.theta
        yield EpochResult(objective.measures[step.error], step.learning_rate, step.passes * session.samples.M)
        objective.measures.clear()
        writer.save(number, partial(getattr, step, "theta"), partial(getattr, step, "state"), number,
                    session.rng.bit_generator.state, now=number == epochs)  # fmt: skip
        if number >= epochs:
            return


def measure_all(theta: Theta, samples: Any, engine: Any) -> Measure:
    """Return the measure of samples that may come in chunks."""
    total = Measure(0.0, 0.0, 0.0)
    chunk: Samples
    for chunk in samples.chunks():
        total = total.plus(engine.measure(theta, chunk))
    return total
