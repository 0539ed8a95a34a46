"""The training loop: engine, descent method and samples joined, as a generator of one record an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from thetanet.data.arrays import Samples
from thetanet.engine import Engine, Measure
from thetanet.errors import DivergedError
from thetanet.theta import Theta
from thetanet.training.checkpoints import Keeper
from thetanet.training.passes import Progress, mini_batches, whole_passes


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
        Time spent since the start of the descent, validation included. What an engine compiles for a new kind
        of data, once on a machine, comes before.
    error : float
        E per sample on the training data. For mini-batches the mean over the epoch, each batch before its
        step; for whole passes at the new Theta.
    accuracy : float
        Share of right answers on the training data, measured like `error`. For several labels all of
        them must be right.
    val_error, val_accuracy : float or None
        The same on the validation data, at the end of the epoch.
    learning_rate : float
        The last rate of descent.
    val_score : float or None
        What `scoring` says of the validation data.
    """

    epoch: int
    samples: int
    seconds: float
    error: float
    accuracy: float
    val_error: float | None
    val_accuracy: float | None
    learning_rate: float
    val_score: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return dict(self.__dict__)


def start(samples: Samples, D_H: int, rng: np.random.Generator, dtype: Any) -> Theta:
    """Return the Theta that training starts at, made for the scale of the data.

    Theta(1) ~ N(0, (2 / rms norm of the scaled inputs)^2), so that hidden units begin with pre-activations
    of about +-2, at the edge of the linear part of sigma; their biases are N(0, 1), or standardised inputs
    with targets that are the same at x and -x (parity, XOR) would start at a saddle point. Theta(2) = 0 with
    its bias at the log-odds of the targets, so that the first outputs are the targets' means.
    """
    theta = Theta.zeros(samples.D_I, D_H, samples.D_O, dtype)
    some = samples.scaling.apply(samples.X[: min(samples.M, 2_000)])
    sums = np.square(some).sum(axis=1) if isinstance(some, np.ndarray) else some.power(2).sum(axis=1)
    squares = np.asarray(sums, np.float64).ravel()
    weight = None if samples.weight is None else samples.weight[: len(squares)]
    norm = np.sqrt(np.average(squares, weights=weight)) if weight is None or weight.any() else 0.0
    theta.W1[...] = rng.standard_normal((samples.D_I, D_H)) * (2 / norm if norm > 0 else 1.0)
    theta.b1[...] = rng.standard_normal(D_H)
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
    batch_size: int,
    rng: np.random.Generator,
    alpha: float = 0.0,
    validation: Samples | None = None,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
    learnt: bool = False,
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
    epochs, batch_size : int
        Passes over the data, and samples in a mini-batch. Whole-pass methods take `epochs` iterations.
    rng : numpy.random.Generator
        Shuffles the samples.
    alpha : float
        L2 penalty alpha/2 (|W1|^2 + |W2|^2), added to E (the sum over samples).
    progress : callable
        Called about five times a second.
    keeper : Keeper, optional
        Writes checkpoints, and knows where to go on. A training that goes on takes the same steps, to the
        bit, as one that was never stopped.
    learnt : bool
        Theta is that of an earlier training, whose data may have been other: E may be high at first.

    Raises
    ------
    DivergedError
        If E is not finite any more, or far above that of a network that always answers the mean target (and
        above that of the first epoch, if Theta was learnt before). `theta` is then that of the last epoch
        before.
    """
    keeper = Keeper() if keeper is None else keeper
    if keeper.snapshot is not None:
        theta.flat[...] = keeper.snapshot.theta
        rng.bit_generator.state = keeper.snapshot.rng
    run = whole_passes if method.whole_passes else mini_batches
    if run is mini_batches and engine.distributed:  # by a cluster, where steps cannot be in common
        from thetanet.training.averaging import local_steps as run
    epoch = keeper.epoch
    seen = keeper.history[-1]["samples"] if keeper.history else 0
    too_high = 10 * _error_of_the_mean(samples) + 1
    healthy = theta.flat.copy()
    descent = run(theta, samples, engine, method, epochs, batch_size, rng, alpha, progress, keeper)
    for measure, rate, new in descent:
        epoch, seen = epoch + 1, seen + new
        error = measure.error / measure.weight
        if learnt and (first := keeper.history[0]["error"] if keeper.history else error) < np.inf:
            too_high = max(too_high, 2 * first)
        if not error <= too_high or not np.isfinite(theta.flat).all():
            descent.close()
            theta.flat[...] = healthy
            raise DivergedError(epoch, error, method.learning_rate, method)
        healthy[...] = theta.flat
        val = None if validation is None else measured(theta, validation, engine)
        record = Record(
            epoch=epoch,
            samples=seen,
            seconds=keeper.seconds,
            error=error,
            accuracy=measure.correct / measure.weight,
            val_error=None if val is None else val.error / val.weight,
            val_accuracy=None if val is None else val.correct / val.weight,
            learning_rate=rate,
        )
        keeper.history.append(record.as_dict())
        yield record


def measured(theta: Theta, samples: Samples, engine: Engine) -> Measure:
    """Return the measure of samples that may come in chunks."""
    total = Measure(0.0, 0.0, 0.0)
    for chunk in samples.chunks():
        total = total.plus(engine.measure(theta, chunk))
    return total


def _error_of_the_mean(samples: Samples) -> float:
    """E per sample of a network that answers the mean target, whatever the input."""
    mean = np.clip(samples.target_mean(), 1e-300, 1 - 1e-16)
    return float(-np.sum(mean * np.log(mean) + (1 - mean) * np.log1p(-mean)))
