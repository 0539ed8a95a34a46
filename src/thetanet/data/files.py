"""From a path to arrays: a folder of IDX files, an .npz file, or the embedded MNIST."""

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


@dataclass(frozen=True)
class Dataset:
    """Training and (perhaps) test data. Rows of X are samples; `name` says where they are from."""

    name: str
    X: NDArray[Any]
    y: NDArray[Any]
    X_test: NDArray[Any] | None
    y_test: NDArray[Any] | None


def load_data(path: str | PathLike[str] | None = None) -> Dataset:
    """Read a data set: MNIST if `path` is None, a folder of IDX files, or a file made by numpy.savez.

    An .npz file holds X and y (or X_train and y_train), and perhaps X_test and y_test; capitals do not
    matter. Images of shape (M, height, width) are flattened.

    Raises
    ------
    DataFileError
        If nothing is there, or it cannot be read.
    """
    if path is None:
        return Dataset("MNIST", *load_mnist())
    where = Path(path)
    if where.is_dir():
        return Dataset(str(path), *read_idx_directory(where))
    if not where.exists():
        raise DataFileError(f"{path}: there is no such file or folder; give an .npz file or an IDX folder")
    if where.suffix != ".npz":
        raise DataFileError(f"{path}: the name must end in .npz, or be a folder of IDX files")
    return Dataset(str(path), *_read_npz(where))


def _read_npz(path: Path) -> tuple[Any, Any, Any, Any]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            names = {name.lower(): name for name in file.files}
            found = {name: file[names[name]] for name in ("x", "y", "x_train", "y_train", "x_test", "y_test")
                     if name in names}  # fmt: skip
    except Exception as problem:  # zipfile, zlib, struct, tokenize, ...: NumPy lets each of them through
        raise DataFileError(
            f"{path}: cannot be read as .npz ({problem}); write it with numpy.savez"
        ) from problem
    X, y = found.get("x_train", found.get("x")), found.get("y_train", found.get("y"))
    if X is None or y is None:
        raise DataFileError(
            f"{path}: holds {sorted(names.values())}; it needs X and y, or X_train and y_train"
        )
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
