"""Mini-batch descent on a cluster: each group of samples descends by itself, then Theta is averaged.

In an epoch every group begins at the common Theta with the common memory of the rule, and takes a step for
each of its mini-batches; then Theta and memory become the means over the groups, weighted by their samples.
That is federated averaging with all clients (McMahan et al. 2017), or local SGD (Stich 2019), whose
convergence for convex E is as that of large mini-batches with few meetings. Two meetings of machines an
epoch instead of one a step; in return more epochs are needed, the more the more groups there are. The result
depends on the number of groups, but not on the number of workers.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from thetanet.descent import resolve_schedule
from thetanet.engine import Engine, Measure
from thetanet.theta import Theta
from thetanet.training.passes import run_epoch, step_coefficients
from thetanet.training.session import EpochResult, Session


class _Epoch(NamedTuple):
    """What all groups have to know of an epoch."""

    shape: tuple[int, int, int]
    rule: Any
    batch_size: int
    decay: float
    number: int
    epochs: int
    seed: int
    total_weight: float


def run_local_sgd(session: Session) -> Generator[EpochResult]:
    """Descend in mini-batches group by group, and yield after each average; the Theta is then up to date."""
    theta, rule, writer = session.theta, session.method, session.checkpoints
    samples: Any = session.samples
    engine: Any = session.engine
    schedule = resolve_schedule(rule.schedule)
    snapshot, flat = writer.snapshot, theta.flat.copy()
    state = np.zeros((rule.slots, flat.size), flat.dtype) if snapshot is None else snapshot.state["slots"]
    for number in range(writer.epoch, session.epochs):
        epoch = _Epoch(
            theta.shape, rule, session.batch_size, session.decay, number, session.epochs,
            int(session.rng.integers(2**63)), samples.total_weight,
        )  # fmt: skip
        sums, flat, state = engine.reduce(samples.groups, run_group_epoch, flat, state, epoch)
        measure = Measure(*sums.tolist())
        theta.flat[...] = rule.result(flat, state)
        if session.progress is not None:
            session.progress(samples.M, samples.M)
        rate = rule.learning_rate * schedule((number + 1) / session.epochs)
        yield EpochResult(measure, rate, samples.M)
        writer.save(number + 1, partial(np.copy, flat), partial(dict, slots=state), number + 1,
                    session.rng.bit_generator.state, now=number + 1 == session.epochs)  # fmt: skip


def run_group_epoch(
    engine: Engine, group: Any, number: int, flat: Any, state: Any, epoch: _Epoch
) -> tuple[Any, Any, Any]:
    """Take the steps of one group: return its measure, and its share of the mean Theta and memory."""
    rule = epoch.rule
    schedule, steps = resolve_schedule(rule.schedule), group.steps(epoch.batch_size)
    rates = [rule.learning_rate * schedule((epoch.number + t / steps) / epoch.epochs) for t in range(steps)]
    theta = Theta.from_flat(flat, *epoch.shape)
    stepper = engine.stepper(theta, rule, epoch.batch_size, epoch.decay, state)
    measures = run_epoch(
        stepper,
        group,
        epoch.batch_size,
        np.random.default_rng([epoch.seed, number]),
        step_coefficients(rule, epoch.number * steps, rates),
        training_progress=epoch.number / epoch.epochs,
    )
    measure = np.array(Measure.of(measures))
    share = flat.dtype.type(measure[2] / epoch.total_weight)
    return measure, stepper.theta().flat * share, stepper.state() * share
