"""The health of a network: norms, saturated and dead hidden units, dead inputs, largest weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thetanet.data.alignment import align_source
from thetanet.data.door import as_source
from thetanet.data.formats.arrays import array_source
from thetanet.data.scaling import Moments
from thetanet.models.fitted import FittedNetwork, network_of
from thetanet.theta import Theta

SATURATED = 0.01  # a unit is saturated at a sample where Z is closer than this to 0 or 1
_ALWAYS = 0.99  # fraction of the samples at which a unit must be saturated to count as stuck
_STILL = 0.01  # standard deviation of Z below which a unit acts as a bias


@dataclass(frozen=True)
class Inspection:
    """The health of a network. What is measured on samples is None without any.

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
        Number of samples that the following was measured on.
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


def inspect_network(net: Any, X: Any = None, largest: int = 5) -> Inspection:
    """Return what may be wrong in a fitted network.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        The network.
    X : Source, or array, sparse matrix or frame of shape (M, D_I), optional
        Raw inputs to measure the hidden units on. A source is read once, one part after the other.
    largest : int
        Number of the largest weights to list.

    Raises
    ------
    DataFileError, InputError
        If a part cannot be read, or the samples have other inputs than the network.
    """
    network = network_of(net)
    sums = InspectionSums(network)
    if X is not None:
        source = as_source(X)
        if source is None:
            source = array_source(X, np.zeros(X.shape[0] if hasattr(X, "shape") else len(X), np.uint8))
        for rows in align_source(source, network.feature_names).iter_rows():
            sums.add(network.check_rows(rows, source.name).X)
    return sums.result(largest)


class InspectionSums:
    """An inspection under way: what is measured on samples is added up part by part.

    Parameters
    ----------
    network : FittedNetwork
        The network to inspect.
    """

    def __init__(self, network: FittedNetwork) -> None:
        self.network = network
        self._saturated = np.zeros(network.theta.D_H, np.int64)  # number of samples, for each hidden unit
        self._moments = Moments.none(network.theta.D_H)
        self._range: tuple[Any, Any] | None = None  # lowest and highest value of each input

    def add(self, X: Any) -> None:
        """Add the rows of X, an array or CSR matrix."""
        Z = self.network.transform(X)
        self._saturated += ((Z < SATURATED) | (Z > 1 - SATURATED)).sum(axis=0)
        self._moments = self._moments.plus(Moments.of(Z))
        low, high = (_as_vector(X.min(axis=0)), _as_vector(X.max(axis=0)))
        if self._range is not None:
            low, high = np.minimum(low, self._range[0]), np.maximum(high, self._range[1])
        self._range = low, high

    def result(self, largest: int = 5) -> Inspection:
        """Return the inspection, with what was measured on the samples if any were added."""
        theta = self.network.theta
        dead = ~np.any(theta.W1, axis=1)
        measured: dict[str, Any] = {}
        if self._range is not None:
            samples = int(self._moments.weight)
            dead |= self._range[0] == self._range[1]
            deviation = self._moments.spread / np.sqrt(samples)
            measured = {
                "samples": samples,
                "saturation": float(self._saturated.sum() / (samples * theta.D_H)),
                "stuck_units": np.flatnonzero(self._saturated / samples >= _ALWAYS).tolist(),
                "still_units": np.flatnonzero(deviation < _STILL).tolist(),
            }
        return Inspection(
            *theta.shape,
            norms=_measure_norms(theta),
            dead_inputs=np.flatnonzero(dead).tolist(),
            unheard_units=np.flatnonzero(~np.any(theta.W2, axis=1)).tolist(),
            largest=_list_largest_weights(theta, largest),
            **measured,
        )


def _measure_norms(theta: Theta) -> dict[str, dict[str, float]]:
    return {
        name: {
            "norm": float(np.linalg.norm(part)),
            "largest": float(np.abs(part).max()),
            "rms": float(np.sqrt(np.mean(np.square(part, dtype=np.float64)))),
        }
        for name, part in {"W1": theta.W1, "b1": theta.b1, "W2": theta.W2, "b2": theta.b2}.items()
    }


def _list_largest_weights(theta: Theta, count: int) -> list[dict[str, Any]]:
    weights: list[dict[str, Any]] = []
    for layer, W in ((1, theta.W1), (2, theta.W2)):
        for place in np.argsort(-np.abs(W), axis=None)[:count]:
            i, j = np.unravel_index(place, W.shape)
            weights.append({"layer": layer, "from": int(i), "to": int(j), "value": float(W[i, j])})
    weights.sort(key=lambda weight: -abs(weight["value"]))
    return weights[:count]


def _as_vector(row: Any) -> Any:
    return row.toarray().ravel() if hasattr(row, "toarray") else np.asarray(row)
