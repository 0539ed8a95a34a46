"""The health of a network: norms, saturated and dead hidden units, dead inputs, largest weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thetanet.models.fitted import FittedNetwork

SATURATED = 0.01  # a unit is saturated at a sample where Z is closer than this to 0 or 1
_ALWAYS = 0.99  # share of the samples at which a unit must be saturated to count as stuck
_STILL = 0.01  # standard deviation of Z below which a unit says nothing


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found. What needs data is None without any.

    Attributes
    ----------
    D_I, D_H, D_O : int
        Shape of the network.
    norms : dict
        Frobenius norm, largest absolute value and root mean square of W1, b1, W2, b2.
    dead_inputs : list of int
        Inputs without influence: their row of W1 is zero, or, where there are data, they never vary.
    unheard_units : list of int
        Hidden units without influence on the outputs: their row of W2 is zero.
    largest : list of dict
        The largest weights: layer, from, to, value.
    samples : int or None
        Samples that the following was measured on.
    saturation : float or None
        Share of all activations Z within 0.01 of 0 or 1.
    stuck_units : list of int or None
        Hidden units that are saturated at 99% of the samples.
    still_units : list of int or None
        Hidden units whose activation hardly varies: they act as a bias.
    """

    D_I: int
    D_H: int
    D_O: int
    norms: dict[str, dict[str, float]]
    dead_inputs: list[int]
    unheard_units: list[int]
    largest: list[dict[str, Any]]
    samples: int | None = None
    saturation: float | None = None
    stuck_units: list[int] | None = None
    still_units: list[int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict of JSON types."""
        return asdict(self)


def inspect(net: FittedNetwork, X: Any = None, largest: int = 5) -> Inspection:
    """Look for what is wrong in a fitted network.

    Parameters
    ----------
    net : FittedNetwork
        Any fitted classifier of ours.
    X : array of shape (M, D_I), optional
        Raw inputs, to see which units are saturated.
    largest : int
        How many of the largest weights to list.
    """
    theta = net.theta_
    parts = {"W1": theta.W1, "b1": theta.b1, "W2": theta.W2, "b2": theta.b2}
    norms = {
        name: {
            "norm": float(np.linalg.norm(part)),
            "largest": float(np.abs(part).max()),
            "rms": float(np.sqrt(np.mean(np.square(part, dtype=np.float64)))),
        }
        for name, part in parts.items()
    }
    found: list[dict[str, Any]] = []
    for layer, W in ((1, theta.W1), (2, theta.W2)):
        for place in np.argsort(-np.abs(W), axis=None)[:largest]:
            i, j = np.unravel_index(place, W.shape)
            found.append({"layer": layer, "from": int(i), "to": int(j), "value": float(W[i, j])})
    found.sort(key=lambda weight: -abs(weight["value"]))
    dead = ~np.any(theta.W1, axis=1)
    seen: dict[str, Any] = {}
    if X is not None:
        Z = net.transform(X)
        saturated = (Z < SATURATED) | (Z > 1 - SATURATED)
        dead = dead | _never_vary(X)
        seen = {
            "samples": len(Z),
            "saturation": float(saturated.mean()),
            "stuck_units": np.flatnonzero(saturated.mean(axis=0) >= _ALWAYS).tolist(),
            "still_units": np.flatnonzero(Z.std(axis=0, dtype=np.float64) < _STILL).tolist(),
        }
    return Inspection(
        *theta.shape,
        norms=norms,
        dead_inputs=np.flatnonzero(dead).tolist(),
        unheard_units=np.flatnonzero(~np.any(theta.W2, axis=1)).tolist(),
        largest=found[:largest],
        **seen,
    )


def _never_vary(X: Any) -> Any:
    if not hasattr(X, "min"):
        X = np.asarray(X)
    low, high = X.min(axis=0), X.max(axis=0)
    if hasattr(low, "toarray"):
        low, high = low.toarray().ravel(), high.toarray().ravel()
    return np.asarray(low == high)
