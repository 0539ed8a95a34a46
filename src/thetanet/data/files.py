"""From a path to arrays: a folder of IDX or .npy files, an .npz file, or the embedded MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.idx import read_idx_directory
from thetanet.data.mnist import load_mnist
from thetanet.errors import DataFileError

_NAMES = ("x", "y", "x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Dataset:
    """Training and (perhaps) test data. Rows of X are samples; `name` says where they are from."""

    name: str
    X: NDArray[Any]
    y: NDArray[Any]
    X_test: NDArray[Any] | None
    y_test: NDArray[Any] | None


def load_data(path: str | PathLike[str] | None = None) -> Dataset:
    """Read a data set: MNIST if `path` is None, a folder of IDX or .npy files, or a file made by numpy.savez.

    An .npz file, or the .npy files in a folder, are named X and y (or X_train and y_train), and perhaps
    X_test and y_test; capitals do not matter. Arrays in .npy files are mapped, not read at once. Images of
    shape (M, height, width) are flattened.

    Raises
    ------
    DataFileError
        If nothing is there, or it cannot be read.
    """
    if path is None:
        return Dataset("MNIST", *load_mnist())
    where = Path(path)
    if where.is_dir():
        arrays = sorted(where.glob("*.npy"))
        if arrays:
            return Dataset(str(path), *_choose(where, _read_npy(where, arrays)))
        return Dataset(str(path), *read_idx_directory(where))
    if not where.exists():
        raise DataFileError(f"{path}: there is no such file or folder; give an .npz file or a folder")
    if where.suffix != ".npz":
        raise DataFileError(f"{path}: the name must end in .npz, or be a folder of IDX or .npy files")
    return Dataset(str(path), *_choose(where, _read_npz(where)))


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name.lower() in _NAMES}
    except Exception as problem:  # zipfile, zlib, struct, tokenize, ...: NumPy lets each of them through
        raise DataFileError(
            f"{path}: cannot be read as .npz ({problem}); write it with numpy.savez"
        ) from problem


def _read_npy(folder: Path, files: list[Path]) -> dict[str, Any]:
    found = {}
    for file in files:
        if file.stem.lower() in _NAMES:
            try:
                found[file.stem] = np.load(file, mmap_mode="r", allow_pickle=False)
            except Exception as problem:
                message = f"{file}: cannot be read as .npy ({problem}); write it with numpy.save"
                raise DataFileError(message) from problem
    return found


def _choose(path: Path, arrays: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    found = {name.lower(): array for name, array in arrays.items()}
    X, y = found.get("x_train", found.get("x")), found.get("y_train", found.get("y"))
    if X is None or y is None:
        raise DataFileError(f"{path}: holds {sorted(arrays)}; it needs X and y, or X_train and y_train")
    X_test, y_test = found.get("x_test"), found.get("y_test")
    if (X_test is None) != (y_test is None):
        raise DataFileError(f"{path}: holds only one of X_test and y_test; give both or neither")
    return _rows(path, X, y), y, None if X_test is None else _rows(path, X_test, y_test), y_test


def _rows(path: Path, X: Any, y: Any) -> Any:
    if X.ndim < 2 or len(X) != len(y) or len(X) == 0:
        raise DataFileError(
            f"{path}: X has shape {X.shape} and y {y.shape}; X needs one row and y one label for each sample"
        )
    return X.reshape(len(X), -1)
