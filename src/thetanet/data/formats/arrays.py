"""Arrays, frames and sparse matrices in memory as a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.checks import check_number
from thetanet.data.label_types import as_plain_labels
from thetanet.data.source import Part, Rows, Source
from thetanet.data.weights import as_weights
from thetanet.errors import InputError


@dataclass(frozen=True, eq=False)
class ArrayPart(Part):
    """Rows of arrays in memory. `checked`: they are known to be finite numbers with plain labels."""

    X: Any
    y: NDArray[Any]
    weight: NDArray[np.float64] | None = None
    row_offset: int = 0
    checked: bool = False
    in_memory = True

    @property
    def where(self) -> str:
        """The rows, counted from 1."""
        return f"rows {self.row_offset + 1:,} to {self.row_offset + len(self.y):,}"

    def read(self) -> Rows:
        """Return the rows, without a copy."""
        return Rows(self.X, self.y, self.weight)


def array_source(X: Any, y: Any, sample_weight: Any = None, *, rows: int | None = None) -> Source:
    """Return a source of samples in memory: trains to the same bits as the same samples on disk.

    Parameters
    ----------
    X : array, sparse matrix or frame of shape (M, D_I)
        Rows are samples.
    y : array of shape (M,) or (M, D_O)
        Labels.
    sample_weight : array of shape (M,), optional
        How often each sample counts.
    rows : int, optional
        Samples in a part; all of them if left out.

    Raises
    ------
    InputError
        If they are no samples, or a label is missing.
    """
    if rows is not None:
        check_number("rows", rows, least=1, whole=True)
    names = [*getattr(X, "columns", [])]
    kind = type(X).__name__
    try:
        X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
    except ValueError as problem:
        raise InputError(f"X: no array can be made of it ({problem}); give rows of equal length") from None
    if X.dtype == object:  # e.g. a frame of several types
        try:
            X = X.astype(np.float64)
        except (TypeError, ValueError) as problem:
            raise InputError(f"X: holds what is no number ({problem}); encode or remove it") from None
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise InputError(f"X has shape {X.shape} and holds {X.dtype}; give numbers, a row for each sample")
    try:
        y = as_plain_labels(y)
    except InputError as problem:
        raise InputError(f"y: {problem}") from None
    M = X.shape[0]
    if y.ndim not in (1, 2) or len(y) != M:
        raise InputError(f"X has shape {X.shape} and y {y.shape}: give one label a sample")
    weight = as_weights(sample_weight, M)
    step = max(1, M) if rows is None else rows
    parts = [
        ArrayPart(X[low : low + step], y[low : low + step], _cut(weight, low, step), low)
        for low in range(0, M, step)
    ]
    return Source(
        f"{kind} of shape {X.shape}",
        parts,
        names if names and all(isinstance(each, str) for each in names) else None,
    )


def _cut(weight: NDArray[np.float64] | None, low: int, step: int) -> NDArray[np.float64] | None:
    return None if weight is None else weight[low : low + step]
