"""Samples written to .npy files as they come: for what can only be read from its beginning, and to convert.

Memory: one batch. The number of samples is written into the file when it is known, at the end.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from thetanet.data.formats.npy import Array, NpyPart, npy_array, npy_source, stamp_of
from thetanet.data.label_types import as_plain_labels
from thetanet.data.source import ROWS, Part, Rows, Source
from thetanet.data.temporary import TemporaryFolder, room_for
from thetanet.errors import DataFileError, InputError

_HEADER = 128  # bytes; room for any number of rows
_COPIED = 1 << 16  # rows at a time
_GROUPS = {"b": "b", "i": "iu", "u": "iu", "f": "f", "U": "U"}
CSR = ("X_data.npy", "X_indices.npy", "X_indptr.npy")
WEIGHT = "sample_weight.npy"


class NpyWriter:
    """An .npy file that grows by rows."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open(path, "wb+")  # noqa: SIM115  closed by `close`
        self.shape: tuple[int, ...] | None = None
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows; labels may become wider, what else they are stays."""
        rows = np.asarray(rows)
        if self.shape is None:
            self.shape, self.dtype = (0, *rows.shape[1:]), rows.dtype.newbyteorder("=")
            self._head()
        if rows.shape[1:] != self.shape[1:]:
            raise InputError(f"rows of shape {rows.shape[1:]} after rows of shape {self.shape[1:]}")
        if rows.dtype != self.dtype:
            wider = np.promote_types(rows.dtype, self.dtype)
            if (
                wider.kind not in _GROUPS.get(self.dtype.kind, "")
                or rows.dtype.kind not in _GROUPS[wider.kind]
            ):
                raise InputError(f"{rows.dtype} after {self.dtype}: give all as one type")
            if wider != self.dtype:
                self._widen(wider)
        self._file.write(np.ascontiguousarray(rows, self.dtype).reshape(-1).view(np.uint8).data)
        self.shape = (self.shape[0] + len(rows), *self.shape[1:])

    def close(self) -> None:
        """Write how many rows there are."""
        if self._file.closed:
            return
        with self._file:  # is closed on a full disk too
            if self.shape is not None:
                self._head()
            self._file.flush()
            os.fsync(self._file.fileno())

    def _head(self) -> None:
        said = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": self.shape,
        }
        text = repr(said).encode("latin1")
        text += b" " * (_HEADER - 10 - 1 - len(text)) + b"\n"
        self._file.seek(0)
        self._file.write(np.lib.format.magic(1, 0) + struct.pack("<H", len(text)) + text)
        self._file.seek(0, os.SEEK_END)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        """Write what there is once more, as wider numbers or longer texts."""
        assert self.shape is not None
        self.close()
        old = self._path.with_suffix(".old")
        self._path.replace(old)
        before = npy_array(old)
        self._file = open(self._path, "wb+")  # noqa: SIM115
        self.dtype = dtype
        self._head()
        for low in range(0, before.shape[0], _COPIED):
            rows = before.rows(low, min(low + _COPIED, before.shape[0])).astype(dtype)
            self._file.write(rows.reshape(-1).view(np.uint8).data)
        old.unlink()


class Spool:
    """X.npy and y.npy of a folder, or the three arrays of a CSR matrix and y.npy, as they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, NpyWriter] = {}
        self.sparse: bool | None = None
        self.M = self.D_I = self._stored = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        with ExitStack() as all_of_them:
            for writer in self._writers.values():
                all_of_them.callback(writer.close)

    def append(self, X: Any, y: Any, weight: Any = None) -> None:
        """Write samples.

        Raises
        ------
        InputError
            If they are of another kind than those before.
        """
        sparse = hasattr(X, "tocsr")
        X, y = X.tocsr() if sparse else np.asarray(X), as_plain_labels(y)
        if X.ndim < 2 or y.ndim not in (1, 2) or X.shape[0] != len(y):
            raise InputError(
                f"X has shape {X.shape} and y {y.shape}; X needs one row and y one label for each sample"
            )
        if X.dtype.kind not in "biuf":
            raise InputError(f"X holds {X.dtype}; give numbers")
        X = X if sparse else X.reshape(len(X), -1)
        if self.sparse is None:
            self.sparse, self.D_I = sparse, X.shape[1]
            files = [*CSR, "y.npy"] if sparse else ["X.npy", "y.npy"]
            files += [] if weight is None else [WEIGHT]
            self._writers = {name: NpyWriter(self._folder / name) for name in files}
            if sparse:
                self._writers[CSR[2]].append(np.zeros(1, np.int64))
        if (weight is not None) != (WEIGHT in self._writers):
            raise InputError("some samples have weights and others none; give weights for all, or for none")
        if weight is not None and np.shape(weight) != (len(y),):
            raise InputError(f"weights have shape {np.shape(weight)}; give one number a sample")
        if sparse != self.sparse or X.shape[1] != self.D_I:
            now, before = ("sparse" if kind else "dense" for kind in (sparse, self.sparse))
            raise InputError(f"X has {X.shape[1]} {now} inputs, those before {self.D_I} {before} ones")
        if sparse:
            if not X.has_canonical_format:  # else the caller's own would be sorted
                X = X.copy()
                X.sum_duplicates()
            self._writers[CSR[0]].append(X.data)
            self._writers[CSR[1]].append(X.indices.astype(np.int32))
            self._writers[CSR[2]].append(X.indptr[1:].astype(np.int64) + self._stored)
            self._stored += X.nnz
        else:
            self._writers["X.npy"].append(X)
        self._writers["y.npy"].append(y)
        if weight is not None:
            self._writers[WEIGHT].append(np.asarray(weight, np.float64))
        self.M += len(y)


@dataclass(frozen=True)
class CsrPart(Part):
    """Rows of a CSR matrix in three files, and of labels."""

    data: Array
    indices: Array
    indptr: Array
    y: Array
    D_I: int
    low: int
    high: int
    weight: Array | None = None

    @property
    def where(self) -> str:
        """Say which file and rows, counted from 1."""
        return f"{self.data.path}, rows {self.low + 1:,} to {self.high:,}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """What identifies the content."""
        return self.data, self.indices, self.indptr, self.y, self.weight, self.D_I, self.low, self.high

    @property
    def row_offset(self) -> int:  # type: ignore[override]
        """Rows before this part."""
        return self.low

    def read(self) -> Rows:
        """Read the rows."""
        from scipy import sparse

        starts = self.indptr.rows(self.low, self.high + 1).astype(np.int64)
        first, last = int(starts[0]), int(starts[-1])
        if first < 0 or last > self.data.shape[0] or (starts[1:] < starts[:-1]).any():
            raise DataFileError(f"{self.where}: {self.indptr.path} does not fit {self.data.path}")
        indices = self.indices.rows(first, last)
        if len(indices) and (indices.min() < 0 or indices.max() >= self.D_I):
            raise DataFileError(f"{self.where}: holds indices outside of its {self.D_I} inputs")
        data = self.data.rows(first, last)
        if data.dtype.kind != "f" or data.dtype.itemsize < 4:
            data = data.astype(np.float64)
        X = sparse.csr_matrix((data, indices, starts - first), shape=(self.high - self.low, self.D_I))
        weight = None if self.weight is None else self.weight.rows(self.low, self.high)
        return Rows(X, self.y.rows(self.low, self.high), weight)


def csr_source(folder: str | os.PathLike[str], rows: int = ROWS) -> Source:
    """Return a source of X_data.npy, X_indices.npy, X_indptr.npy, X_shape.npy and y.npy in a folder.

    Raises
    ------
    DataFileError
        If they are not there, or do not fit each other.
    """
    where = Path(folder)
    data, indices, indptr, shape, y = (npy_array(where / name) for name in (*CSR, "X_shape.npy", "y.npy"))
    if shape.shape != (2,) or np.dtype(shape.dtype).kind not in "iu":
        raise DataFileError(f"{where / 'X_shape.npy'}: must hold two whole numbers")
    M, D_I = (int(n) for n in shape.rows(0, 2))
    fits = data.shape == indices.shape and len(data.shape) == 1 and indptr.shape == (M + 1,)
    whole = all(np.dtype(array.dtype).kind in "iu" for array in (indices, indptr))
    if not fits or not whole or y.shape[0] != M or D_I < 1:
        raise DataFileError(
            f"{folder}: the arrays of the sparse matrix do not fit each other; convert it again"
        )
    weight = npy_array(where / WEIGHT) if (where / WEIGHT).exists() else None
    if weight is not None and weight.shape != (M,):
        raise DataFileError(f"{where / WEIGHT}: has shape {weight.shape}; it needs a number for each sample")
    parts = [
        CsrPart(data, indices, indptr, y, D_I, low, min(low + rows, M), weight) for low in range(0, M, rows)
    ]
    return Source(str(folder), parts)


def write_shape(folder: Path, M: int, D_I: int) -> None:
    """Write the shape of a CSR matrix, which its arrays do not tell."""
    np.save(folder / "X_shape.npy", np.array([M, D_I], np.int64))


def spooled(name: str, batches: Iterable[Any], origin: tuple[Any, ...] = (), rows: int = ROWS) -> Source:
    """Write batches to a temporary folder and return the source of what was written.

    Raises
    ------
    InputError
        If a batch is of another kind than those before.
    """
    folder = TemporaryFolder()
    where = Path(folder.name)
    with room_for(name), Spool(where) as spool:
        for n, batch in enumerate(batches):
            try:
                spool.append(*batch)
            except DataFileError:
                raise
            except (InputError, TypeError, ValueError) as problem:
                raise InputError(f"{name}: batch {n}: {problem}; give pairs (X, y) of one kind") from problem
    if not spool.M:
        raise InputError(f"{name}: there are no samples in it")
    if spool.sparse:
        write_shape(where, spool.M, spool.D_I)
        found = csr_source(where, rows)
    else:
        weight = where / WEIGHT
        found = npy_source(where / "X.npy", where / "y.npy", weight if weight.exists() else None, rows)
    return unpacked_source(name, found, folder, origin)


def unpacked_source(name: str, source: Source, folder: TemporaryFolder, origin: tuple[Any, ...]) -> Source:
    """Return a source that keeps its temporary folder and is identified by what it was unpacked from."""
    parts = [replace(part, origin=origin) if isinstance(part, NpyPart) else part for part in source.parts]
    return Source(name, parts, folder=folder, one_shot=not origin)


def origin_of(*paths: str | os.PathLike[str]) -> tuple[Any, ...]:
    """Return what tells these files from others, and from themselves after a change."""
    return tuple((os.path.abspath(path), *stamp_of(os.fspath(path))) for path in paths)
