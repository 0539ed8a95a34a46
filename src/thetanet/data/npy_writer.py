"""Samples written to .npy files batch by batch: to convert, and for what can only be read from its beginning.

Memory: one batch. The number of samples is written into the headers at the end, when it is known.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from thetanet.data.formats.csr import CSR_FILES, csr_source, write_shape
from thetanet.data.formats.npy import WEIGHT_FILE, NpyPart, npy_source, open_npy_array
from thetanet.data.label_types import as_plain_labels
from thetanet.data.source import ROWS, Source
from thetanet.data.temporary import TemporaryFolder, explain_full_disk
from thetanet.errors import DataFileError, InputError

_HEADER = 128  # bytes; room for any number of rows
_COPY_ROWS = 1 << 16  # copied at a time
_GROUPS = {"b": "b", "i": "iu", "u": "iu", "f": "f", "U": "U"}


class NpyWriter:
    """An .npy file that grows by rows."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open(path, "wb+")  # noqa: SIM115  closed by `close`
        self.shape: tuple[int, ...] | None = None
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows; a wider type of numbers, or longer texts, widens those that were written before."""
        rows = np.asarray(rows)
        if self.shape is None:
            self.shape, self.dtype = (0, *rows.shape[1:]), rows.dtype.newbyteorder("=")
            self._write_header()
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
        """Write the number of rows, and close the file."""
        if self._file.closed:
            return
        with self._file:  # is closed on a full disk too
            if self.shape is not None:
                self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": self.shape,
        }
        text = repr(header).encode("latin1")
        text += b" " * (_HEADER - 10 - 1 - len(text)) + b"\n"
        self._file.seek(0)
        self._file.write(np.lib.format.magic(1, 0) + struct.pack("<H", len(text)) + text)
        self._file.seek(0, os.SEEK_END)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        """Write the rows once more, as wider numbers or longer texts."""
        assert self.shape is not None
        self.close()
        old = self._path.with_suffix(".old")
        self._path.replace(old)
        before = open_npy_array(old)
        self._file = open(self._path, "wb+")  # noqa: SIM115
        self.dtype = dtype
        self._write_header()
        for low in range(0, before.shape[0], _COPY_ROWS):
            rows = before.read_rows(low, min(low + _COPY_ROWS, before.shape[0])).astype(dtype)
            self._file.write(rows.reshape(-1).view(np.uint8).data)
        old.unlink()


class SamplesWriter:
    """The files of samples in a folder, which grow: X.npy or the arrays of a CSR matrix, y.npy, weights."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, NpyWriter] = {}
        self.sparse: bool | None = None
        self.M = self.D_I = self._stored = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        with ExitStack() as stack:
            for writer in self._writers.values():
                stack.callback(writer.close)

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
            files = [*CSR_FILES, "y.npy"] if sparse else ["X.npy", "y.npy"]
            files += [] if weight is None else [WEIGHT_FILE]
            self._writers = {name: NpyWriter(self._folder / name) for name in files}
            if sparse:
                self._writers[CSR_FILES[2]].append(np.zeros(1, np.int64))
        if (weight is not None) != (WEIGHT_FILE in self._writers):
            raise InputError("some samples have weights and others none; give weights for all, or for none")
        if weight is not None and np.shape(weight) != (len(y),):
            raise InputError(f"weights have shape {np.shape(weight)}; give one number a sample")
        if sparse != self.sparse or X.shape[1] != self.D_I:
            now, before = ("sparse" if kind else "dense" for kind in (sparse, self.sparse))
            raise InputError(f"X has {X.shape[1]} {now} inputs, those before {self.D_I} {before} ones")
        if sparse:
            if not X.has_canonical_format:  # or the matrix of the caller would be sorted
                X = X.copy()
                X.sum_duplicates()
            self._writers[CSR_FILES[0]].append(X.data)
            self._writers[CSR_FILES[1]].append(X.indices.astype(np.int32))
            self._writers[CSR_FILES[2]].append(X.indptr[1:].astype(np.int64) + self._stored)
            self._stored += X.nnz
        else:
            self._writers["X.npy"].append(X)
        self._writers["y.npy"].append(y)
        if weight is not None:
            self._writers[WEIGHT_FILE].append(np.asarray(weight, np.float64))
        self.M += len(y)


def write_temporary_source(
    name: str, batches: Iterable[Any], origin: tuple[Any, ...] = (), rows: int = ROWS
) -> Source:
    """Write batches to a temporary folder, and return the source of what was written.

    Parameters
    ----------
    name : str
        Of the source.
    batches : iterable
        Pairs (X, y), or triples (X, y, weights).
    origin : tuple
        Fingerprint of what the batches were made from, if there is one.
    rows : int
        Samples in a part.

    Raises
    ------
    InputError
        If there are no samples, a batch is of another kind than those before, or the disk is full.
    """
    folder = TemporaryFolder()
    where = Path(folder.name)
    with explain_full_disk(name), SamplesWriter(where) as writer:
        for n, batch in enumerate(batches):
            try:
                writer.append(*batch)
            except DataFileError:
                raise
            except (InputError, TypeError, ValueError) as problem:
                raise InputError(f"{name}: batch {n}: {problem}; give pairs (X, y) of one kind") from problem
    if not writer.M:
        raise InputError(f"{name}: there are no samples in it")
    if writer.sparse:
        write_shape(where, writer.M, writer.D_I)
        source = csr_source(where, rows)
    else:
        weight = where / WEIGHT_FILE
        source = npy_source(where / "X.npy", where / "y.npy", weight if weight.exists() else None, rows)
    return unpacked_source(name, source, folder, origin)


def unpacked_source(name: str, source: Source, folder: TemporaryFolder, origin: tuple[Any, ...]) -> Source:
    """Return a source that keeps its temporary folder and is identified by what it was unpacked from."""
    parts = [replace(part, origin=origin) if isinstance(part, NpyPart) else part for part in source.parts]
    return Source(name, parts, folder=folder, one_shot=not origin)
