"""Samples in memory: inputs, targets and weights, with the scaling that training sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.scaling import Scaling
from thetanet.errors import InputError

CHUNK_BYTES = 64 << 20  # of the inputs in a piece
_SPARSE_ROWS = 65_536  # in a piece, where rows have no fixed size


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

    def chunks(
        self, rng: np.random.Generator | None = None, when: float = 0.0, multiple: int = 1
    ) -> Iterator[Samples]:
        """Yield the samples in pieces: with `rng`, for mini-batches, all at once.

        Without it, for sums over samples, in pieces of a fixed size, so that sums are rounded as those over
        samples that are read from disk. `when` is the share of the training that is over, for samples that
        change; all but the last piece would hold a multiple of `multiple` samples.
        """
        yield from [self] if rng is not None else self.pieces

    @cached_property
    def pieces(self) -> list[Samples]:
        """The samples in pieces of a fixed size, which depends on the kind of data alone."""
        sparse = not isinstance(self.X, np.ndarray)
        rows = chunk_rows(self.D_I, np.dtype(self.X.dtype), sparse)
        if rows >= self.M:
            return [self]
        whole = replace(self, active_inputs=find_active_inputs(self.X))
        return [whole.take(slice(low, low + rows)) for low in range(0, self.M, rows)]

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
    """Return how many samples make a piece: a power of two, at least 1,024."""
    rows = _SPARSE_ROWS if sparse else chunk_bytes // max(1, D_I * dtype.itemsize)
    return 1 << max(10, int(rows).bit_length() - 1)


def find_active_inputs(X: Any) -> NDArray[np.int64]:
    """Return the inputs that are not zero everywhere."""
    if not isinstance(X, np.ndarray):
        return np.unique(X.indices[X.data != 0]).astype(np.int64)
    active = np.zeros(X.shape[1], bool)
    for low in range(0, len(X), 4096):
        active |= (X[low : low + 4096] != 0).any(axis=0)
    return np.flatnonzero(active)


def as_weights(weight: Any, M: int, name: str = "sample_weight") -> NDArray[np.float64] | None:
    """Return sample weights as M finite numbers, none negative and not all zero; None stays None.

    Raises
    ------
    InputError
        If they are not.
    """
    if weight is None:
        return None
    w = np.asarray(weight, dtype=np.float64)
    if w.ndim == 0:
        w = np.full(M, float(w))
    if w.shape != (M,):
        raise InputError(f"{name} has shape {w.shape}: must be ({M},), one number a sample")
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise InputError(f"{name}: must hold finite numbers >= 0, not all of them zero")
    return w


def hold_out(X: Any, y: Any, weight: Any, fraction: float, seed: int, labels: Any) -> tuple[Any, Any]:
    """Split off a share of the samples at random, with the same shares of the classes if that can be.

    Returns
    -------
    (X, y, weight) to learn from, and the same to measure.
    """
    from sklearn.model_selection import train_test_split

    M = X.shape[0]
    index = None  # by which to stratify
    if not labels.multilabel:
        index = labels.indices(labels.targets(y))
        counts = np.bincount(index)
        if counts[counts > 0].min() < 2 or min(fraction * M, (1 - fraction) * M) < len(labels.classes):
            index = None
    try:
        fit, held = train_test_split(np.arange(M), test_size=fraction, random_state=seed, stratify=index)
    except ValueError as problem:
        raise InputError(f"validation_fraction={fraction} of {M} samples: {problem}") from None
    y = y.tocsr() if hasattr(y, "tocsr") else np.asarray(y)
    parts = [(X[rows], y[rows], None if weight is None else weight[rows]) for rows in (fit, held)]
    if any(w is not None and not w.any() for _, _, w in parts):
        raise InputError(
            f"validation_fraction={fraction}: one of the parts has no weight, all its sample weights are "
            "zero; leave out samples of weight 0"
        )
    return parts[0], parts[1]
