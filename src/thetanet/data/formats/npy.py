"""Parts of .npy files and of uncompressed members of .npz files, read at their place in the file.

Not by a memory map: where a mapped file shrinks, the process is killed; where a read comes up short, it is
told.
"""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.source import ROWS, Part, Rows, Source
from thetanet.errors import DataFileError

_LOCAL_HEADER = 30  # bytes of a zip member's header before its name
_KINDS = "biufU"


@dataclass(frozen=True)
class Array:
    """An array in a file: where its numbers begin, and what they are."""

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: str
    stamp: tuple[int, int]  # size and time of change of the file

    def rows(self, low: int, high: int) -> NDArray[Any]:
        """Read some rows.

        Raises
        ------
        DataFileError
            If the file has changed since it was opened, or ends too soon.
        """
        dtype = np.dtype(self.dtype)
        width = int(np.prod(self.shape[1:], dtype=np.int64)) * dtype.itemsize
        out = np.empty((high - low, *self.shape[1:]), dtype)
        view = out.reshape(-1).view(np.uint8).data if out.size else memoryview(b"")
        try:
            with open(self.path, "rb", buffering=0) as file:
                if stamp_of(file.fileno()) != self.stamp:
                    raise DataFileError(f"{self.path}: has changed since it was opened; begin again")
                file.seek(self.offset + low * width)
                done = 0
                while done < len(view):
                    got = file.readinto(view[done:])
                    if not got:
                        row = low + done // max(1, width) + 1
                        raise DataFileError(f"{self.path}: ends within row {row:,} of {self.shape[0]:,}")
                    done += got
        except OSError as problem:
            raise DataFileError(f"{self.path}: cannot be read ({problem.strerror})") from problem
        return out


def stamp_of(file: int | str) -> tuple[int, int]:
    """Return size and time of change of a file, by which it is known to be the same."""
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class NpyPart(Part):
    """Rows of two arrays. `origin`: what they were unpacked from, where they lie in a temporary folder."""

    X: Array
    y: Array
    low: int
    high: int
    origin: tuple[Any, ...] = ()
    weight: Array | None = None

    @property
    def row_offset(self) -> int:  # type: ignore[override]
        """Rows before this part."""
        return self.low

    @property
    def where(self) -> str:
        """Say which file and rows, counted from 1."""
        return f"{self.X.path}, rows {self.low + 1:,} to {self.high:,}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """What identifies the content."""
        if self.origin:
            return self.origin, self.low, self.high
        return self.X, self.y, self.weight, self.low, self.high

    def read(self) -> Rows:
        """Read the rows, numbers in this machine's byte order."""
        X, y = self.X.rows(self.low, self.high), self.y.rows(self.low, self.high)
        y = y.astype(y.dtype.newbyteorder("="), copy=False)
        weight = None if self.weight is None else self.weight.rows(self.low, self.high)
        return Rows(_as_native(X.reshape(len(X), -1)), y, weight)


def _as_native(X: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as the engine reads them: uint8, float32, float64."""
    if X.dtype == np.uint8 or (X.dtype.kind == "f" and X.dtype.isnative and X.dtype.itemsize in (4, 8)):
        return X
    return X.astype(np.float32 if X.dtype.kind == "f" and X.dtype.itemsize < 4 else np.float64)


def npy_source(
    X: str | os.PathLike[str],
    y: str | os.PathLike[str],
    sample_weight: str | os.PathLike[str] | None = None,
    rows: int = ROWS,
) -> Source:
    """Return a source of .npy files: X of shape (M, ...), y of shape (M,) or (M, D_O), weights of shape (M,).

    Raises
    ------
    DataFileError
        If they are no such files.
    """
    weight = None if sample_weight is None else npy_array(sample_weight)
    return _source_of_arrays(str(X), npy_array(X), npy_array(y), weight, rows)


def npz_source(path: str | os.PathLike[str], rows: int = ROWS) -> Source | None:
    """Return a source of the members X and y (or X_train and y_train) of an .npz file.

    None if they are compressed: those can only be read from the beginning.

    Raises
    ------
    DataFileError
        If the file cannot be read, or lacks them.
    """
    members = _members(str(path))
    names = {name.lower(): name for name in members}
    X, y = names.get("x_train", names.get("x")), names.get("y_train", names.get("y"))
    if X is None or y is None:
        raise DataFileError(f"{path}: holds {sorted(members)}; it needs X and y, or X_train and y_train")
    keys = [X, y, *([names["sample_weight"]] if "sample_weight" in names else [])]
    arrays = []
    for key in keys:
        if (offset := members[key]) is None:
            return None
        arrays.append(npy_array(path, offset, f"{key} "))
    return _source_of_arrays(str(path), arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None, rows)


def npy_array(path: str | os.PathLike[str], offset: int = 0, member: str = "") -> Array:
    """Find the array that begins at `offset` of a file with its .npy header; `member` is for messages.

    Raises
    ------
    DataFileError
        If there is none that can be read row by row.
    """
    name = os.path.abspath(path)
    try:
        with open(name, "rb") as file:
            stamp = stamp_of(file.fileno())
            file.seek(offset)
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, fortran, dtype = read[version](file)
            begins = file.tell()
    except OSError as problem:
        raise DataFileError(f"{name}: cannot be read ({problem.strerror})") from problem
    except Exception as problem:  # what is no header makes NumPy raise nearly anything
        raise DataFileError(f"{name}: is no .npy array ({problem}); write it with numpy.save") from problem
    if dtype.hasobject:
        remedy = "write texts as y.astype(str), numbers as a type of NumPy"
        raise DataFileError(f"{name}: {member}holds Python objects; {remedy}")
    if dtype.kind not in _KINDS:
        remedy = "give numbers, or labels as texts by y.astype(str)"
        raise DataFileError(f"{name}: {member}holds {dtype}; {remedy}")
    if min(shape, default=0) < 0:
        raise DataFileError(f"{name}: its header announces the shape {shape}; the file is damaged")
    if not shape or (fortran and len(shape) > 1):
        raise DataFileError(f"{name}: is not stored row by row; write numpy.ascontiguousarray(array) instead")
    needed = begins + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if needed > stamp[0]:
        raise DataFileError(
            f"{name}: has {stamp[0]:,} bytes, but an array {shape} of {dtype} needs {needed:,}"
        )
    return Array(name, begins, tuple(shape), dtype.str, stamp)


def _source_of_arrays(name: str, X: Array, y: Array, weight: Array | None, rows: int) -> Source:
    if len(X.shape) < 2 or len(y.shape) > 2 or X.shape[0] != y.shape[0]:
        raise DataFileError(
            f"{name}: X has shape {X.shape} and y {y.shape}; X needs one row and y one label for each sample"
        )
    if np.dtype(X.dtype).kind == "U":
        raise DataFileError(f"{name}: X holds texts ({X.dtype}); encode them as numbers")
    M = X.shape[0]
    if weight is not None and (weight.shape != (M,) or np.dtype(weight.dtype).kind not in "biuf"):
        raise DataFileError(
            f"{name}: sample_weight has shape {weight.shape}; it needs a number for each sample"
        )
    parts = [NpyPart(X, y, low, min(low + rows, M), weight=weight) for low in range(0, M, rows)]
    return Source(name, parts)


def _members(path: str) -> dict[str, int | None]:
    """Return where the members of an .npz file begin; None for those that are compressed."""
    found: dict[str, int | None] = {}
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as raw:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                found[name] = None
                if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
                    raw.seek(info.header_offset)
                    header = raw.read(_LOCAL_HEADER)
                    length, extra = struct.unpack("<HH", header[26:30])
                    found[name] = info.header_offset + _LOCAL_HEADER + length + extra
    except Exception as problem:  # zipfile raises nearly anything for what is no archive
        raise DataFileError(f"{path}: cannot be read as .npz ({problem})") from problem
    return found
