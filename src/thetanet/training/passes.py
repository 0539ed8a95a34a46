"""Descent over samples: mini-batches in stretches, whole passes in iterations, one yield an epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from thetanet.data.arrays import Samples
from thetanet.descent import resolve_schedule
from thetanet.engine import Engine, Measure, Stepper
from thetanet.errors import DivergedError
from thetanet.theta import Theta
from thetanet.training.checkpoints import Keeper

_STRETCH = 0.2  # seconds between looks at progress, Ctrl-C and servers

_stretches: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # what fitted last time, for each stepper

Progress = Callable[[int, int], None]  # (samples seen in this epoch, samples in an epoch)
Epoch = tuple[Measure, float, int]  # measure, last rate, samples seen


def mini_batches(
    theta: Theta,
    samples: Samples,
    engine: Engine,
    rule: Any,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    alpha: float,
    progress: Progress | None,
    keeper: Keeper,
) -> Generator[Epoch]:
    """Descend in mini-batches, and yield at the end of each epoch; `theta` is then up to date."""
    schedule = resolve_schedule(rule.schedule)
    per_epoch = -(-samples.M // batch_size)
    snapshot = keeper.snapshot
    stepper = engine.stepper(
        theta,
        rule,
        batch_size,
        alpha / samples.total_weight,
        None if snapshot is None else snapshot.state["slots"],
    )
    rates = [rule.learning_rate * schedule(t / (epochs * per_epoch)) for t in range(epochs * per_epoch)]

    def save(epoch: int, rng_state: Mapping[str, Any], measures: Any = None, now: bool = False) -> None:
        steps = epoch * per_epoch + (0 if measures is None else len(measures))
        keeper.save(steps, lambda: stepper.theta().flat, lambda: {"slots": stepper.state()}, epoch, rng_state,
                    measures, now)  # fmt: skip

    healthy = True
    try:
        for epoch in range(keeper.epoch, epochs):
            first = epoch * per_epoch
            coefficients = np.array(
                [rule.coefficients(t, rates[t]) for t in range(first, first + per_epoch)], dtype=np.float64
            )
            before = rng.bit_generator.state
            done = snapshot.measures if snapshot is not None and epoch == snapshot.epoch else None
            measures = pass_over(
                stepper, samples, batch_size, rng, coefficients, progress, done,
                pause=partial(save, epoch, before), left=partial(keeper.left, first), when=epoch / epochs,
            )  # fmt: skip
            measure = Measure.of(measures)
            healthy = bool(np.isfinite(measure.error))
            if healthy:
                theta.flat[...] = stepper.result()
            yield measure, rates[first + per_epoch - 1], samples.M
            save(epoch + 1, rng.bit_generator.state, now=epoch + 1 == epochs)
    finally:
        if healthy and not sys.is_finalizing():  # a loop that was left may be closed when Python ends
            theta.flat[...] = stepper.result()


def pass_over(
    stepper: Stepper,
    samples: Samples,
    batch_size: int,
    rng: np.random.Generator,
    coefficients: Any,
    progress: Progress | None = None,
    done: Any = None,
    pause: Callable[[Any], None] | None = None,
    left: Callable[[int], int | None] | None = None,
    when: float = 0.0,
) -> Any:
    """Take one step for each mini-batch of the shuffled samples, in stretches of about 0.2 s.

    Parameters
    ----------
    done : array of shape (steps, 3), optional
        The measures of the first steps, if those were taken before.
    pause : callable
        Called after each stretch with the measures so far. Not after the last one.
    left : callable
        Says, for a number of steps, after how many more to pause (None: any number).
    when : float
        The share of the training that is over, for samples that change with it.

    Returns
    -------
    array of shape (steps, 3)
        The measures of all mini-batches. Ends early, and without the rest, if E is not finite.
    """
    measures = [np.zeros((0, 3)) if done is None else done]
    taken, total = len(measures[0]), len(coefficients)
    begins = 0  # steps before this chunk
    stretch = _stretches.get(stepper, 1)  # steps; grows to what fits into the time
    for chunk in samples.chunks(rng, when, batch_size):
        order = rng.permutation(chunk.M)
        ends = begins + -(-chunk.M // batch_size)
        while taken < ends:
            began = time.perf_counter()
            now = min(stretch, ends - taken, (left(taken) if left else None) or stretch)
            rows = order[(taken - begins) * batch_size : (taken - begins + now) * batch_size]
            measures.append(stepper.run(chunk, rows, coefficients[taken : taken + now]))
            taken += now
            if not np.isfinite(measures[-1][:, 0]).all():
                return np.concatenate(measures)
            each = max(time.perf_counter() - began, 1e-6) / now
            _stretches[stepper] = stretch = max(1, min(int(_STRETCH / each), 4 * stretch))
            if progress is not None:
                progress(min(taken * batch_size, samples.M), samples.M)
            if pause is not None and taken < total:
                pause(np.concatenate(measures))
        begins = ends
    return np.concatenate(measures)


class _Objective:
    """E / M and its gradient, as whole-pass methods see them; counts nothing but remembers measures."""

    def __init__(
        self, theta: Theta, samples: Samples, engine: Engine, alpha: float, progress: Progress | None
    ) -> None:
        self.theta, self.samples, self.engine = theta, samples, engine
        self.alpha, self.progress = alpha, progress
        self.starting = True  # no error is known yet that a method could go back to
        self.measures: dict[float, Measure] = {}  # in this iteration, by the error returned

    def __call__(self, flat: Any) -> tuple[float, Any]:
        at, n = self.theta.like(flat), self.samples.total_weight
        gradient = np.zeros_like(flat)
        measure = Measure(0.0, 0.0, 0.0)
        for chunk in self.samples.chunks():
            part, part_gradient = self.engine.error_and_gradient(at, chunk)
            measure = measure.plus(part)
            gradient += part_gradient.flat
            if self.progress is not None:
                self.progress(min(int(measure.weight), self.samples.M), self.samples.M)
        error = measure.error
        if self.starting and not np.isfinite(error):
            raise DivergedError(1, error / n, None, "a start that is too far off")
        self.starting = False
        if self.alpha:
            with np.errstate(over="ignore"):  # then E is infinite, and methods know what to do
                squares = [float(np.sum(np.square(W), dtype=np.float64)) for W in (at.W1, at.W2)]
            error += self.alpha / 2 * sum(squares)
        gradient = (gradient + self._penalty(at)) / flat.dtype.type(n)
        self.measures[error / n] = measure
        return error / n, gradient

    def hessian_product(self, flat: Any, direction: Any) -> Any:
        """Return H v for E / M at `flat`."""
        at, v = self.theta.like(flat), self.theta.like(direction)
        product = np.zeros_like(flat)
        for chunk in self.samples.chunks():
            product += self.engine.hessian_product(at, v, chunk).flat
        return (product + self._penalty(v)) / flat.dtype.type(self.samples.total_weight)

    def _penalty(self, at: Theta) -> Any:
        """Return the derivative of alpha/2 (|W1|^2 + |W2|^2), which is linear."""
        penalty = Theta.zeros(*at.shape, at.dtype)
        if self.alpha:
            penalty.W1[...], penalty.W2[...] = self.alpha * at.W1, self.alpha * at.W2
        return penalty.flat


def whole_passes(
    theta: Theta,
    samples: Samples,
    engine: Engine,
    method: Any,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    alpha: float,
    progress: Progress | None,
    keeper: Keeper,
) -> Generator[Epoch]:
    """Descend by whole passes, and yield after each iteration; `theta` is then up to date."""
    objective = _Objective(theta, samples, engine, alpha, progress)
    number, snapshot = keeper.epoch, keeper.snapshot
    if number >= epochs:
        return
    state = None if snapshot is None else snapshot.state
    objective.starting = snapshot is None
    for step in method.descend(objective, theta.flat.copy(), state):
        number += 1
        theta.flat[...] = step.theta
        yield objective.measures[step.error], step.learning_rate, step.passes * samples.M
        objective.measures.clear()
        keeper.save(number, partial(getattr, step, "theta"), partial(getattr, step, "state"), number,
                    rng.bit_generator.state, now=number == epochs)  # fmt: skip
        if number >= epochs:
            return
