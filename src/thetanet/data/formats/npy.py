"""Samples in .npy files, of which each part reads its rows at their position.

Files are not mapped into memory: where a mapped file shrinks, the process is killed by the operating system,
while a read that returns too few bytes becomes an error message.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.files import Stamp, file_stamp, open_unchanged
from thetanet.data.source import ROWS, Part, Rows, Source
from thetanet.errors import DataFileError

WEIGHT_FILE = "sample_weight.npy"
_KINDS = "biufU"  # of the types that can be read


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes
    ----------
    path : str
        The file.
    offset : int
        Position of the first number, in bytes.
    shape : tuple of int
        Its shape; numbers are in C order.
    dtype : str
        Type of the numbers, with their byte order.
    stamp : tuple
        Size and time of change of the file when it was opened.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: str
    stamp: Stamp

    def read_rows(self, low: int, high: int) -> NDArray[Any]:
        """Return the rows from `low` to `high`.

        Raises
        ------
        DataFileError
            If the file has changed since it was opened, or ends too soon.
        """
        dtype = np.dtype(self.dtype)
        width = int(np.prod(self.shape[1:], dtype=np.int64)) * dtype.itemsize
        rows = np.empty((high - low, *self.shape[1:]), dtype)
        view = rows.reshape(-1).view(np.uint8).data if rows.size else memoryview(b"")
        with open_unchanged(self.path, self.stamp) as file:
            file.seek(self.offset + low * width)
            done = 0
            while done < len(view):
                n_read = file.readinto(view[done:])
                if not n_read:
                    row = low + done // max(1, width) + 1
                    raise DataFileError(f"{self.path}: ends within row {row:,} of {self.shape[0]:,}")
                done += n_read
        return rows


@dataclass(frozen=True)
class NpyPart(Part):
    """Rows `low` to `high` of the arrays of a data set.

    Attributes
    ----------
    X, y, weight : StoredArray
        Inputs, labels and, if there are any, sample weights.
    low, high : int
        The rows.
    origin : tuple
        Fingerprint of what the arrays were unpacked from, if they lie in a temporary folder.
    """

    X: StoredArray
    y: StoredArray
    low: int
    high: int
    origin: tuple[Any, ...] = ()
    weight: StoredArray | None = None

    @property
    def row_offset(self) -> int:  # type: ignore[override]
        """Number of rows of the same data before this part."""
        return self.low

    @property
    def where(self) -> str:
        """Name of the file and the rows, counted from 1."""
        return f"{self.X.path}, rows {self.low + 1:,} to {self.high:,}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Fingerprint of the content."""
        if self.origin:
            return self.origin, self.low, self.high
        return self.X, self.y, self.weight, self.low, self.high

    def read(self) -> Rows:
        """Return the rows, numbers in this machine's byte order."""
        X, y = self.X.read_rows(self.low, self.high), self.y.read_rows(self.low, self.high)
        y = y.astype(y.dtype.newbyteorder("="), copy=False)
        weight = None if self.weight is None else self.weight.read_rows(self.low, self.high)
        return Rows(_convert_inputs(X.reshape(len(X), -1)), y, weight)


def _convert_inputs(X: NDArray[Any]) -> NDArray[Any]:
    """Return inputs in a type that engines read: uint8, float32 or float64."""
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
    weight = None if sample_weight is None else open_npy_array(sample_weight)
    return stored_source(str(X), open_npy_array(X), open_npy_array(y), weight, rows)


def is_npy_folder(folder: Path) -> bool:
    """Return whether a folder holds X.npy or X_train.npy."""
    return not {"x", "x_train"}.isdisjoint(_list_arrays(folder))


def open_npy_folder(files: list[Path]) -> Source:
    """Return a source of X.npy and y.npy, or X_train.npy and y_train.npy, of a folder.

    Raises
    ------
    DataFileError
        If they are not there.
    """
    (folder,) = files
    arrays = _list_arrays(folder)
    for suffix in ("_train", ""):
        if f"x{suffix}" in arrays and f"y{suffix}" in arrays:
            weight = arrays.get(WEIGHT_FILE.removesuffix(".npy"))
            return npy_source(arrays[f"x{suffix}"], arrays[f"y{suffix}"], weight)
    raise missing_arrays_error(folder, [path.stem for path in arrays.values()])


def open_npy_test(files: list[Path]) -> Source | None:
    """Return a source of X_test.npy and y_test.npy of a folder; None if there are none."""
    (folder,) = files
    arrays = _list_arrays(folder)
    return npy_source(arrays["x_test"], arrays["y_test"]) if has_test_arrays(folder, arrays) else None


def _list_arrays(folder: Path) -> dict[str, Path]:
    """Return the .npy files of a folder by their names in lower case, without the ending."""
    names = [entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(".npy")]
    return {name.lower().removesuffix(".npy"): folder / name for name in names}


def has_test_arrays(path: Path, names: Collection[str]) -> bool:
    """Return whether arrays of these names, in lower case, include test samples.

    Raises
    ------
    DataFileError
        If either inputs or labels are missing.
    """
    if ("x_test" in names) != ("y_test" in names):
        raise DataFileError(f"{path}: holds only one of X_test and y_test; give both or neither")
    return "x_test" in names


def missing_arrays_error(path: Path, names: Iterable[str]) -> DataFileError:
    """Return the error that arrays of these names are no training samples."""
    return DataFileError(f"{path}: holds {sorted(names)}; it needs X and y, or X_train and y_train")


def open_npy_array(path: str | os.PathLike[str], offset: int = 0, member: str = "") -> StoredArray:
    """Return the array whose .npy header begins at `offset` of a file; `member` is its name, for messages.

    Raises
    ------
    DataFileError
        If there is none that can be read row by row.
    """
    name = os.path.abspath(path)
    try:
        with open(name, "rb") as file:
            stamp = file_stamp(file.fileno())
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
    return StoredArray(name, begins, tuple(shape), dtype.str, stamp)


def stored_source(
    name: str, X: StoredArray, y: StoredArray, weight: StoredArray | None = None, rows: int = ROWS
) -> Source:
    """Return a source of arrays in files.

    Raises
    ------
    DataFileError
        If their shapes or types do not fit samples.
    """
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
