"""Samples in memory: inputs, targets and weights, with the scaling that training sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.scaling import Scaling
from thetanet.errors import InputError


@dataclass(frozen=True, eq=False)
class Samples:
    """M labelled samples in memory. **Rows** are samples here, as data is laid out on disk.

    Attributes
    ----------
    X : array or CSR matrix of shape (M, D_I)
        Kept in its own type (uint8 stays uint8); scaled a tile at a time.
    L : array of shape (M, D_O), or (M,) of whole numbers
        Targets in [0, 1], or the index of each sample's class (one-hot without building it).
    D_O : int
        Number of outputs.
    scaling : Scaling
        Applied to X before the network sees it.
    weight : array of shape (M,), optional
        Sample weights.
    """

    X: Any
    L: NDArray[Any]
    D_O: int
    scaling: Scaling
    weight: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        M = self.X.shape[0]
        if M == 0:
            raise InputError(f"X has shape {self.X.shape}: there are no samples; give at least one row")
        if self.L.shape not in ((M,), (M, self.D_O)):
            raise InputError(f"L has shape {self.L.shape}: must be ({M},) or ({M}, {self.D_O})")
        if self.weight is not None and self.weight.shape != (M,):
            raise InputError(f"weight has shape {self.weight.shape}: must be ({M},), one number a sample")

    @property
    def M(self) -> int:
        """Number of samples."""
        return int(self.X.shape[0])

    @property
    def D_I(self) -> int:
        """Number of inputs."""
        return int(self.X.shape[1])

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights (M if there are none); descent methods divide by it."""
        return float(self.M) if self.weight is None else float(self.weight.sum())

    def chunks(self, rng: np.random.Generator | None = None) -> Iterator[Samples]:
        """Yield the samples in pieces that fit into memory: here, one piece. `rng` would shuffle pieces."""
        yield self

    def take(self, rows: Any) -> Samples:
        """Return the samples of these rows (a slice, or an array of indices or booleans)."""
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, X=self.X[rows], L=self.L[rows], weight=weight)

    def target_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of each target: shape (D_O,)."""
        if self.L.ndim == 1:
            totals = np.bincount(self.L, weights=self.weight, minlength=self.D_O).astype(np.float64)
        elif self.weight is None:
            totals = self.L.sum(axis=0, dtype=np.float64)
        else:
            totals = self.weight @ self.L.astype(np.float64)
        return totals / self.total_weight
