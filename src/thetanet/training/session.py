"""A training under way: what descends, on which samples, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from thetanet.data.samples import TrainingSamples
from thetanet.data.source import Progress
from thetanet.engine import Engine, Measure
from thetanet.theta import Theta
from thetanet.training.checkpoints import CheckpointWriter


class EpochResult(NamedTuple):
    """What an epoch, or an iteration of a whole-pass method, has brought."""

    measure: Measure
    learning_rate: float  # the last one
    samples: int  # that were seen


@dataclass
class Session:
    """What a descent over samples holds.

    Attributes
    ----------
    theta : Theta
        The present result, for scaled inputs: where descent starts, and updated in place at the end of each
        epoch, or when the descent is left.
    samples : TrainingSamples
        What it learns from.
    engine : Engine
        Computes.
    method : MiniBatchRule or WholePassMethod
        How it descends.
    epochs, batch_size : int
        Passes over the data (for whole-pass methods: iterations), and samples in a mini-batch.
    rng : numpy.random.Generator
        Shuffles the samples.
    alpha : float
        L2 penalty alpha/2 (|W1|^2 + |W2|^2), added to E (the sum over samples).
    checkpoints : CheckpointWriter
        Writes checkpoints, and knows where to go on. A training that goes on takes the same steps, to the
        bit, as one that was never stopped.
    progress : callable, optional
        Called with (samples seen in this epoch, samples in an epoch), about five times a second.
    """

    theta: Theta
    samples: TrainingSamples
    engine: Engine
    method: Any
    epochs: int
    batch_size: int
    rng: np.random.Generator
    alpha: float = 0.0
    checkpoints: CheckpointWriter = field(default_factory=CheckpointWriter)
    progress: Progress | None = None

    @property
    def decay(self) -> float:
        """The penalty's part of the mean gradient: decay * W."""
        return self.alpha / self.samples.total_weight if self.samples.total_weight else 0.0
