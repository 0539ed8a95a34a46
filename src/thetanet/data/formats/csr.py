"""Sparse samples in .npy files: the three arrays of a CSR matrix, its shape, and the labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thetanet.data.formats.npy import WEIGHT_FILE, StoredArray, open_npy_array
from thetanet.data.source import ROWS, Part, Rows, Source
from thetanet.errors import DataFileError

CSR_FILES = ("X_data.npy", "X_indices.npy", "X_indptr.npy")
SHAPE_FILE = "X_shape.npy"


@dataclass(frozen=True)
class CsrPart(Part):
    """Rows `low` to `high` of a CSR matrix in three files, and of their labels and weights."""

    data: StoredArray
    indices: StoredArray
    indptr: StoredArray
    y: StoredArray
    D_I: int
    low: int
    high: int
    weight: StoredArray | None = None

    @property
    def where(self) -> str:
        """Name of the file and the rows, counted from 1."""
        return f"{self.data.path}, rows {self.low + 1:,} to {self.high:,}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Fingerprint of the content."""
        return self.data, self.indices, self.indptr, self.y, self.weight, self.D_I, self.low, self.high

    @property
    def row_offset(self) -> int:  # type: ignore[override]
        """Number of rows of the same data before this part."""
        return self.low

    def read(self) -> Rows:
        """Return the rows."""
        from scipy import sparse

        starts = self.indptr.read_rows(self.low, self.high + 1).astype(np.int64)
        first, last = int(starts[0]), int(starts[-1])
        if first < 0 or last > self.data.shape[0] or (starts[1:] < starts[:-1]).any():
            raise DataFileError(f"{self.where}: {self.indptr.path} does not fit {self.data.path}")
        indices = self.indices.read_rows(first, last)
        if len(indices) and (indices.min() < 0 or indices.max() >= self.D_I):
            raise DataFileError(f"{self.where}: holds indices outside of its {self.D_I} inputs")
        data = self.data.read_rows(first, last)
        if data.dtype.kind != "f" or data.dtype.itemsize < 4:
            data = data.astype(np.float64)
        X = sparse.csr_matrix((data, indices, starts - first), shape=(self.high - self.low, self.D_I))
        weight = None if self.weight is None else self.weight.read_rows(self.low, self.high)
        return Rows(X, self.y.read_rows(self.low, self.high), weight)


def csr_source(folder: str | os.PathLike[str], rows: int = ROWS) -> Source:
    """Return a source of X_data.npy, X_indices.npy, X_indptr.npy, X_shape.npy and y.npy in a folder.

    Raises
    ------
    DataFileError
        If they are not there, or do not fit each other.
    """
    where = Path(folder)
    data, indices, indptr, shape, y = (
        open_npy_array(where / name) for name in (*CSR_FILES, SHAPE_FILE, "y.npy")
    )
    if shape.shape != (2,) or np.dtype(shape.dtype).kind not in "iu":
        raise DataFileError(f"{where / SHAPE_FILE}: must hold two whole numbers")
    M, D_I = (int(n) for n in shape.read_rows(0, 2))
    fits = data.shape == indices.shape and len(data.shape) == 1 and indptr.shape == (M + 1,)
    integers = all(np.dtype(array.dtype).kind in "iu" for array in (indices, indptr))
    if not fits or not integers or y.shape[0] != M or D_I < 1:
        raise DataFileError(
            f"{folder}: the arrays of the sparse matrix do not fit each other; convert it again"
        )
    weight = open_npy_array(where / WEIGHT_FILE) if (where / WEIGHT_FILE).exists() else None
    if weight is not None and weight.shape != (M,):
        raise DataFileError(
            f"{where / WEIGHT_FILE}: has shape {weight.shape}; it needs a number for each sample"
        )
    parts = [
        CsrPart(data, indices, indptr, y, D_I, low, min(low + rows, M), weight) for low in range(0, M, rows)
    ]
    return Source(str(folder), parts)


def write_shape(folder: Path, M: int, D_I: int) -> None:
    """Write the shape of a CSR matrix, which does not follow from its arrays."""
    np.save(folder / SHAPE_FILE, np.array([M, D_I], np.int64))


def is_csr_folder(folder: Path) -> bool:
    """Return whether a folder holds the three arrays of a CSR matrix."""
    names = {entry.name.lower() for entry in os.scandir(folder)}
    return names.issuperset(map(str.lower, CSR_FILES))


def open_csr_folder(files: list[Path]) -> Source:
    """Return `csr_source` of the only folder in a list."""
    (folder,) = files
    return csr_source(folder)
