"""The training loop: a session descends epoch by epoch, is measured, and stays healthy."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from thetanet.data.samples import TrainingSamples
from thetanet.errors import DivergedError
from thetanet.training.passes import measure_all, run_mini_batches, run_whole_passes
from thetanet.training.record import Record
from thetanet.training.session import EpochResult, Session


def descend(
    session: Session, validation: TrainingSamples | None = None, pretrained: bool = False
) -> Generator[Record]:
    """Train the Theta of a session in place and yield one record at the end of each epoch.

    Stopping early (a break, an exception, Ctrl-C) leaves Theta usable, at the last step taken.

    Parameters
    ----------
    session : Session
        What descends on which samples.
    validation : TrainingSamples, optional
        Measured after each epoch but not learnt from.
    pretrained : bool
        Theta is that of an earlier training, whose data may have been other: E may be high at first.

    Raises
    ------
    DivergedError
        If E is not finite any more, or far above that of a network that always answers the mean target (and
        above that of the first epoch, if Theta is pretrained). Theta is then that of the last epoch before.
    """
    writer, theta, engine, method = session.checkpoints, session.theta, session.engine, session.method
    epoch = writer.epoch
    seen = writer.history[-1]["samples"] if writer.history else 0
    too_high = 10 * _error_of_the_mean(session.samples) + 1
    healthy = theta.flat.copy()
    results = _run_passes(session)
    try:
        for measure, rate, samples in results:
            epoch, seen = epoch + 1, seen + samples
            error = measure.error / measure.weight
            if pretrained and (first := writer.history[0]["error"] if writer.history else error) < np.inf:
                too_high = max(too_high, 2 * first)
            if not error <= too_high or not np.isfinite(theta.flat).all():
                results.close()
                theta.flat[...] = healthy
                raise DivergedError(epoch, error, method.learning_rate, method)
            healthy[...] = theta.flat
            val = None if validation is None else measure_all(theta, validation, engine)
            record = Record(
                epoch=epoch,
                samples=seen,
                seconds=writer.seconds,
                error=error,
                accuracy=measure.correct / measure.weight,
                val_error=None if val is None else val.error / val.weight,
                val_accuracy=None if val is None else val.correct / val.weight,
                learning_rate=rate,
            )
            writer.history.append(record.as_dict())
            yield record
    finally:
        results.close()


def _run_passes(session: Session) -> Generator[EpochResult]:
    if session.method.whole_passes:
        return run_whole_passes(session)
    if session.engine.distributed:
        from thetanet.training.averaging import run_local_sgd

        return run_local_sgd(session)
    return run_mini_batches(session)


def _error_of_the_mean(samples: TrainingSamples) -> float:
    """E per sample of a network that answers the mean target, whatever the input."""
    mean = np.clip(samples.target_mean(), 1e-300, 1 - 1e-16)
    return float(-np.sum(mean * np.log(mean) + (1 - mean) * np.log1p(-mean)))
