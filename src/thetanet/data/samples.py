"""Samples as training reads them: inputs with their scaling, targets and weights, in chunks."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.scaling import Scaling
from thetanet.errors import InputError

CHUNK_BYTES = 64 << 20  # of the inputs in a chunk
_SPARSE_ROWS = 65_536  # in a chunk, where rows have no fixed size


class TrainingSamples(ABC):
    """Labelled samples as training reads them, in memory or on disk.

    Attributes
    ----------
    head : Samples
        Some of them, in memory: examples of their type and scale.
    D_O : int
        Number of outputs.
    scaling : Scaling
        Of the inputs.
    """

    D_O: int
    scaling: Scaling

    @property
    @abstractmethod
    def head(self) -> Samples:
        """Some of the samples, in memory."""

    @property
    @abstractmethod
    def M(self) -> int:
        """Number of samples."""

    @property
    @abstractmethod
    def total_weight(self) -> float:
        """Sum of the sample weights (M if there are none); descent methods divide by it."""

    @abstractmethod
    def chunks(
        self, rng: np.random.Generator | None = None, training_progress: float = 0.0, multiple: int = 1
    ) -> Iterator[Samples]:
        """Yield all samples in chunks.

        With `rng`, for mini-batches, in a random order, where all but the last chunk hold a multiple of
        `multiple` samples (within a chunk, the caller shuffles); without, for sums over samples, in order.
        `training_progress` is the completed fraction of the training, for samples that change.
        """

    @abstractmethod
    def target_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of each target: shape (D_O,)."""

    @abstractmethod
    def digest(self) -> str:
        """Return a fingerprint of the data: the same for the same samples in the same order."""

    @property
    def D_I(self) -> int:
        """Number of inputs."""
        return int(self.head.X.shape[1])

    @property
    def group_size(self) -> int:
        """Number of samples that descend together in mini-batches: all, but on a cluster."""
        return self.M

    def with_preparation(self, prepare: Callable[[Samples], Any] | None) -> TrainingSamples:
        """Return these samples; those that are read ahead are prepared by the thread that reads them."""
        return self


# eq=False: samples are known by identity; what an engine prepares is kept for as long as they live.
@dataclass(frozen=True, eq=False)
class Samples(TrainingSamples):
    """M labelled samples in memory. **Rows** are samples here, as data is laid out on disk.

    Attributes
    ----------
    X : array or CSR matrix of shape (M, D_I)
        Not converted (uint8 stays uint8); scaled a tile at a time.
    L : array of shape (M, D_O), or (M,) of integers
        Targets in [0, 1], or the index of each sample's class (one-hot without building it).
    D_O : int
        Number of outputs.
    scaling : Scaling
        Applied to X before the network sees it.
    weight : array of shape (M,), optional
        Sample weights.
    active_inputs : array of int, optional
        Inputs that are not zero everywhere, where these samples are one chunk of many.
    """

    X: Any
    L: NDArray[Any]
    D_O: int
    scaling: Scaling
    weight: NDArray[np.float64] | None = None
    active_inputs: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        M = self.X.shape[0]
        if M == 0:
            raise InputError(f"X has shape {self.X.shape}: there are no samples; give at least one row")
        if self.L.shape not in ((M,), (M, self.D_O)):
            raise InputError(f"L has shape {self.L.shape}: must be ({M},) or ({M}, {self.D_O})")
        if self.weight is not None and self.weight.shape != (M,):
            raise InputError(f"weight has shape {self.weight.shape}: must be ({M},), one number a sample")

    @property
    def head(self) -> Samples:
        """All of them."""
        return self

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
        """Sum of the sample weights (M if there are none)."""
        return float(self.M) if self.weight is None else float(self.weight.sum())

    def chunks(
        self, rng: np.random.Generator | None = None, training_progress: float = 0.0, multiple: int = 1
    ) -> Iterator[Samples]:
        """Yield the samples: with `rng`, for mini-batches, as one chunk.

        Without it, for sums over samples, in chunks of a fixed size, so that sums are rounded as those over
        samples that are read from disk.
        """
        if rng is not None or self._chunk_rows >= self.M:
            yield self
        else:
            yield from self._fixed_chunks

    @cached_property
    def _chunk_rows(self) -> int:
        """Samples in a chunk of a fixed size, which depends on the kind of data alone."""
        return chunk_rows(self.D_I, np.dtype(self.X.dtype), not isinstance(self.X, np.ndarray))

    @cached_property
    def _fixed_chunks(self) -> list[Samples]:
        """The samples in chunks of a fixed size."""
        rows = self._chunk_rows
        marked = replace(self, active_inputs=find_active_inputs(self.X))
        return [marked.take(slice(low, low + rows)) for low in range(0, self.M, rows)]

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

    def digest(self) -> str:
        """Return a fingerprint of the data: the same for the same samples in the same order."""
        hashed = hashlib.blake2b(repr((self.X.shape, self.D_O, self.scaling.kind)).encode(), digest_size=16)
        for part in (self.X, self.L, self.weight, self.scaling.factor, self.scaling.shift):
            arrays = (
                [part]
                if part is None or isinstance(part, np.ndarray)
                else [part.data, part.indices, part.indptr]
            )
            for array in arrays:
                if array is not None:
                    hashed.update(array.dtype.str.encode())
                    hashed.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
        return hashed.hexdigest()


def chunk_rows(D_I: int, dtype: np.dtype[Any], sparse: bool, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Return the number of samples in a chunk: a power of two, at least 1,024."""
    rows = _SPARSE_ROWS if sparse else chunk_bytes // max(1, D_I * dtype.itemsize)
    return 1 << max(10, int(rows).bit_length() - 1)


def find_active_inputs(X: Any) -> NDArray[np.int64]:
    """Return the inputs that are not zero everywhere."""
    if not isinstance(X, np.ndarray):
        return np.unique(X.indices[X.data != 0]).astype(np.int64)
    active_inputs = np.zeros(X.shape[1], bool)
    for low in range(0, len(X), 4096):
        active_inputs |= (X[low : low + 4096] != 0).any(axis=0)
    return np.flatnonzero(active_inputs)
