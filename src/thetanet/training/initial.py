"""Where a training starts: a random Theta, made for the scale of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from thetanet.data.samples import TrainingSamples
from thetanet.theta import Theta


def random_theta(samples: TrainingSamples, D_H: int, rng: np.random.Generator, dtype: Any) -> Theta:
    """Return the random Theta that training starts at, made for the scale of the data.

    Theta(1) ~ N(0, (2 / rms norm of the scaled inputs)^2), so that hidden units begin with pre-activations
    of about +-2, at the edge of the linear part of sigma; their biases are N(0, 1), or standardised inputs
    with targets that are the same at x and -x (parity, XOR) would start at a saddle point. Theta(2) = 0 with
    its bias at the log-odds of the targets, so that the first outputs are the targets' means.
    """
    theta = Theta.zeros(samples.D_I, D_H, samples.D_O, dtype)
    head = samples.head
    scaled = samples.scaling.apply(head.X[: min(head.M, 2_000)])
    sums = np.square(scaled).sum(axis=1) if isinstance(scaled, np.ndarray) else scaled.power(2).sum(axis=1)
    squares = np.asarray(sums, np.float64).ravel()
    weight = None if head.weight is None else head.weight[: len(squares)]
    norm = np.sqrt(np.average(squares, weights=weight)) if weight is None or weight.any() else 0.0
    theta.W1[...] = rng.standard_normal((samples.D_I, D_H)) * (2 / norm if norm > 0 else 1.0)
    theta.b1[...] = rng.standard_normal(D_H)
    # Half a sample is added to either side: a target that is always 0 or 1 has finite log-odds.
    n = samples.total_weight
    mean = (samples.target_mean() * n + 0.5) / (n + 1)
    theta.b2[...] = np.log(mean / (1 - mean))
    return theta
