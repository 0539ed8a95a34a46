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
from typing import Any

import numpy as np

from thetanet.descent import resolve_schedule
from thetanet.engine import Engine, Measure
from thetanet.theta import Theta
from thetanet.training.checkpoints import Keeper
from thetanet.training.passes import Epoch, Progress


def local_steps(
    theta: Theta,
    samples: Any,
    engine: Any,
    rule: Any,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    alpha: float,
    progress: Progress | None,
    keeper: Keeper,
) -> Generator[Epoch]:
    """Descend in mini-batches group by group, and yield after each average; `theta` is then up to date."""
    schedule = resolve_schedule(rule.schedule)
    snapshot = keeper.snapshot
    flat = theta.flat.copy()
    state = np.zeros((rule.slots, flat.size), flat.dtype) if snapshot is None else snapshot.state["slots"]
    n = samples.total_weight
    for epoch in range(keeper.epoch, epochs):
        seed = int(rng.integers(2**63))
        numbers, flat, state = engine.reduce(
            samples.groups,
            descend,
            flat,
            state,
            theta.shape,
            rule,
            batch_size,
            alpha / n,
            (epoch, epochs),
            seed,
            n,
        )
        measure = Measure(*numbers.tolist())
        theta.flat[...] = rule.result(flat, state)
        if progress is not None:
            progress(samples.M, samples.M)
        yield measure, rule.learning_rate * schedule((epoch + 1) / epochs), samples.M
        keeper.save(epoch + 1, partial(np.copy, flat), partial(dict, slots=state), epoch + 1,
                    rng.bit_generator.state, now=epoch + 1 == epochs)  # fmt: skip


def descend(
    engine: Engine,
    group: Any,
    number: int,
    flat: Any,
    state: Any,
    shape: tuple[int, int, int],
    rule: Any,
    batch_size: int,
    decay: float,
    when: tuple[int, int],
    seed: int,
    total: float,
) -> tuple[Any, Any, Any]:
    """Take the steps of one group: return its measure, and its share of the mean Theta and memory."""
    epoch, epochs = when
    schedule, steps = resolve_schedule(rule.schedule), group.steps(batch_size)
    rng = np.random.default_rng([seed, number])
    stepper = engine.stepper(Theta.from_flat(flat, *shape), rule, batch_size, decay, state)
    measures, taken = [np.zeros((0, 3))], 0
    for chunk in group.chunks(rng, epoch / epochs, batch_size):
        rows = rng.permutation(chunk.X.shape[0])
        count = -(-len(rows) // batch_size)
        coefficients = [
            rule.coefficients(epoch * steps + t, rule.learning_rate * schedule((epoch + t / steps) / epochs))
            for t in range(taken, taken + count)
        ]
        measures.append(stepper.run(chunk, rows, np.array(coefficients, np.float64)))
        taken += count
    measure = np.array(Measure.of(np.concatenate(measures)))
    share = flat.dtype.type(measure[2] / total)
    return measure, stepper.theta().flat * share, stepper.state() * share
