"""The training loop: engine, descent method and samples joined, as a generator of one record an epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thetanet.data.arrays import Samples
from thetanet.descent import is_whole_pass, resolve_schedule
from thetanet.engine import Engine, Measure, Stepper
from thetanet.theta import Theta

_STRETCH = 0.2  # seconds between looks at progress, Ctrl-C and servers


@dataclass(frozen=True)
class Record:
    """What is known at the end of an epoch (for whole-pass methods: of an iteration).

    Attributes
    ----------
    epoch : int
        Counted from 1.
    samples : int
        Samples seen since the start.
    seconds : float
        Time since the start of the descent, validation included. What an engine compiles for a new kind of
        data, once on a machine, comes before.
    error : float
        E per sample on the training data. For mini-batches the mean over the epoch, each batch before its
        step; for whole passes at the new Theta.
    accuracy : float
        Share of right answers on the training data, measured like `error`. For several labels all of
        them must be right.
    val_error, val_accuracy : float or None
        The same on the validation data, at the end of the epoch.
    rate : float
        The last rate of descent.
    """

    epoch: int
    samples: int
    seconds: float
    error: float
    accuracy: float
    val_error: float | None
    val_accuracy: float | None
    rate: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return asdict(self)


Progress = Callable[[int, int], None]  # (samples seen in this epoch, samples in an epoch)


def start(samples: Samples, D_H: int, rng: np.random.Generator, dtype: Any) -> Theta:
    """Return the Theta that training starts at, made for the scale of the data.

    Theta(1) ~ N(0, (2 / rms norm of the scaled inputs)^2), so that hidden units begin with pre-activations
    of about +-2, at the edge of the linear part of sigma. Theta(2) = 0 with its bias at the log-odds of the
    targets, so that the first outputs are the targets' means.
    """
    theta = Theta.zeros(samples.D_I, D_H, samples.D_O, dtype)
    some = samples.scaling.apply(samples.X[: min(samples.M, 2_000)])
    squares = some.data if not isinstance(some, np.ndarray) else some
    norm = np.sqrt(np.sum(np.square(squares), dtype=np.float64) / some.shape[0])
    theta.W1[...] = rng.standard_normal((samples.D_I, D_H)) * (2 / norm if norm > 0 else 1.0)
    # Half a sample is added to either side: a target that is always 0 or 1 has finite log-odds.
    n = samples.total_weight
    mean = (samples.target_mean() * n + 0.5) / (n + 1)
    theta.b2[...] = np.log(mean / (1 - mean))
    return theta


def train(
    theta: Theta,
    samples: Samples,
    *,
    engine: Engine,
    method: Any,
    epochs: int,
    batch: int,
    rng: np.random.Generator,
    alpha: float = 0.0,
    validation: Samples | None = None,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """Train `theta` in place and yield one record at the end of each epoch.

    Stopping early (a break, an exception, Ctrl-C) leaves `theta` usable, at the last step taken.

    Parameters
    ----------
    theta : Theta
        Where descent starts, in the coordinates of the scaled inputs; holds the result afterwards.
    samples, validation : Samples
        Training data, and data that is measured but not learnt from.
    engine : Engine
        Computes.
    method : object
        A whole-pass method or a mini-batch rule (`thetanet.descent`).
    epochs, batch : int
        Passes over the data, and samples in a mini-batch. Whole-pass methods take `epochs` iterations.
    rng : numpy.random.Generator
        Shuffles the samples.
    alpha : float
        L2 penalty alpha/2 (|W1|^2 + |W2|^2), added to E (the sum over samples).
    progress : callable
        Called about five times a second.
    """
    run = _whole_passes if is_whole_pass(method) else _mini_batches
    began = time.perf_counter()
    epoch = seen = 0
    for measure, rate, new in run(theta, samples, engine, method, epochs, batch, rng, alpha, progress):
        epoch, seen = epoch + 1, seen + new
        val = None if validation is None else engine.measure(theta, validation)
        yield Record(
            epoch=epoch,
            samples=seen,
            seconds=time.perf_counter() - began,
            error=measure.error / measure.weight,
            accuracy=measure.right / measure.weight,
            val_error=None if val is None else val.error / val.weight,
            val_accuracy=None if val is None else val.right / val.weight,
            rate=rate,
        )


_Epoch = tuple[Measure, float, int]  # measure, last rate, samples seen


def _mini_batches(
    theta: Theta,
    samples: Samples,
    engine: Engine,
    rule: Any,
    epochs: int,
    batch: int,
    rng: np.random.Generator,
    alpha: float,
    progress: Progress | None,
) -> Iterator[_Epoch]:
    schedule = resolve_schedule(rule.schedule)
    per_epoch = -(-samples.M // batch)
    stepper = engine.stepper(theta, rule, batch, decay=alpha / samples.total_weight)
    rates = [rule.rate * schedule(t / (epochs * per_epoch)) for t in range(epochs * per_epoch)]
    try:
        for epoch in range(epochs):
            first = epoch * per_epoch
            coefficients = np.array(
                [rule.coefficients(t, rates[t]) for t in range(first, first + per_epoch)], dtype=np.float64
            )
            measure = pass_over(stepper, samples, batch, rng, coefficients, progress)
            theta.flat[...] = stepper.theta().flat
            yield measure, rates[first + per_epoch - 1], samples.M
    finally:
        if not sys.is_finalizing():  # a loop that was left may be closed when Python ends
            theta.flat[...] = stepper.theta().flat


def pass_over(
    stepper: Stepper,
    samples: Samples,
    batch: int,
    rng: np.random.Generator,
    coefficients: Any,
    progress: Progress | None = None,
) -> Measure:
    """Take one step for each mini-batch of the shuffled samples, in stretches of about 0.2 s."""
    total, done, seen = Measure(0.0, 0.0, 0.0), 0, 0
    stretch = 1  # steps; grows to what fits into the time
    for chunk in samples.chunks(rng):
        order = rng.permutation(chunk.M)
        steps = -(-chunk.M // batch)
        step = 0
        while step < steps:
            began = time.perf_counter()
            now = min(stretch, steps - step)
            rows = order[step * batch : (step + now) * batch]
            total = total.plus(stepper.run(chunk, rows, coefficients[done : done + now]))
            step, done, seen = step + now, done + now, seen + len(rows)
            each = max(time.perf_counter() - began, 1e-6) / now
            stretch = max(1, min(int(_STRETCH / each), 4 * stretch))
            if progress is not None:
                progress(seen, samples.M)
    return total


def _whole_passes(
    theta: Theta,
    samples: Samples,
    engine: Engine,
    method: Any,
    epochs: int,
    batch: int,
    rng: np.random.Generator,
    alpha: float,
    progress: Progress | None,
) -> Iterator[_Epoch]:
    n = samples.total_weight
    measures: dict[float, Measure] = {}  # of the evaluations in this iteration, by the error returned

    def objective(flat: Any) -> tuple[float, Any]:
        at = theta.like(flat)
        gradient = np.zeros_like(flat)
        measure = Measure(0.0, 0.0, 0.0)
        for chunk in samples.chunks():
            part, part_gradient = engine.error_and_gradient(at, chunk)
            measure = measure.plus(part)
            gradient += part_gradient.flat
            if progress is not None:
                progress(int(measure.weight), samples.M)
        error = measure.error
        if alpha:
            error += alpha / 2 * float(np.sum(np.square(at.W1)) + np.sum(np.square(at.W2)))
            penalty = theta.like(gradient)
            penalty.W1[...] += alpha * at.W1
            penalty.W2[...] += alpha * at.W2
        gradient /= n
        measures[error / n] = measure
        return error / n, gradient

    for number, step in enumerate(method.descend(objective, theta.flat.copy()), start=1):
        theta.flat[...] = step.theta
        yield measures[step.error], step.rate, step.passes * samples.M
        measures.clear()
        if number >= epochs:
            return
