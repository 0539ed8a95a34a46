"""From a path to arrays: a folder of IDX or .npy files, an .npz file, or the embedded MNIST."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.formats.idx import find_idx, read_idx_test, read_idx_training
from thetanet.data.mnist import load_mnist_test, load_mnist_training
from thetanet.errors import DataFileError

_IDX = (("images", 3), ("labels", 1))
_NAMES = ("x", "y", "x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Dataset:
    """Training and (perhaps) test data. Rows of X are samples; `name` says where they are from.

    Test data is read when it is first asked for, so that training cannot see it.
    """

    name: str
    X: NDArray[Any]
    y: NDArray[Any]
    read_test: Callable[[], tuple[NDArray[Any], NDArray[Any]] | None] = lambda: None

    @cached_property
    def test(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Test samples and labels; None if there are none."""
        return self.read_test()

    @property
    def X_test(self) -> NDArray[Any] | None:
        """Test samples."""
        return None if self.test is None else self.test[0]

    @property
    def y_test(self) -> NDArray[Any] | None:
        """Their labels."""
        return None if self.test is None else self.test[1]


def load_data(path: str | PathLike[str] | None = None) -> Dataset:
    """Read a data set: MNIST if `path` is None, a folder of IDX or .npy files, or a file made by numpy.savez.

    An .npz file, or the .npy files in a folder, are named X and y (or X_train and y_train), and perhaps
    X_test and y_test; capitals do not matter. Arrays in .npy files are mapped, not read at once. Images of
    shape (M, height, width) are flattened.

    Raises
    ------
    DataFileError
        If nothing is there, or it cannot be read, or only in parts, by `open_source`.
    """
    if path is None:
        return Dataset("MNIST", *load_mnist_training(), load_mnist_test)
    where = Path(path)
    apart = "`thetanet convert` makes .npy files of tables, svmlight and images"
    if where.is_dir():
        arrays: dict[str, Callable[[], Any]] = {
            file.stem: partial(_read_npy, file) for file in sorted(where.glob("*.npy"))
        }
        if arrays:
            return _choose(where, arrays)
        if not any(find_idx(where, f"{part}-{what}", n) for part in ("train", "t10k") for what, n in _IDX):
            raise DataFileError(f"{path}: is no folder of .npy or IDX files; {apart}")
        X, y = read_idx_training(where)
        return Dataset(str(path), X, y, partial(read_idx_test, where, X.shape[1]))
    if not where.exists():
        raise DataFileError(f"{path}: there is no such file or folder; give an .npz file or a folder")
    if where.suffix.lower() != ".npz":
        raise DataFileError(
            f"{path}: the name must end in .npz, or be a folder of .npy or IDX files; {apart}"
        )
    return _choose(where, _members(where))


def _members(path: Path) -> dict[str, Callable[[], Any]]:
    """Return the arrays of an .npz file by name, each yet to be read."""
    with _as_data_file_error(path, ".npz", "numpy.savez"), path.open("rb") as raw:
        names = np.load(raw, allow_pickle=False).files

    def read(name: str) -> Any:
        with (
            _as_data_file_error(path, ".npz", "numpy.savez", name),
            path.open("rb") as raw,
            np.load(raw, allow_pickle=False) as file,
        ):
            return file[name]

    return {name: partial(read, name) for name in names}


def _read_npy(file: Path) -> Any:
    with _as_data_file_error(file, ".npy", "numpy.save", file.stem):
        return np.load(file, mmap_mode="r", allow_pickle=False)


@contextmanager
def _as_data_file_error(path: Path, kind: str, writer: str, array: str = "") -> Iterator[None]:
    try:
        yield
    except Exception as problem:  # zipfile, zlib, struct, tokenize, ...: NumPy lets each of them through
        if any(sign in str(problem) for sign in ("Object arrays", "Python objects")):  # of NumPy's two ways
            raise DataFileError(
                f"{path}: {array} holds Python objects; write texts as {array}.astype(str), numbers as a "
                "type of NumPy"
            ) from problem
        message = f"{path}: cannot be read as {kind} ({problem}); write it with {writer}"
        raise DataFileError(message) from problem


def _choose(path: Path, arrays: dict[str, Callable[[], Any]]) -> Dataset:
    found = {name.lower(): read for name, read in arrays.items() if name.lower() in _NAMES}
    X, y = found.get("x_train", found.get("x")), found.get("y_train", found.get("y"))
    if X is None or y is None:
        raise DataFileError(f"{path}: holds {sorted(arrays)}; it needs X and y, or X_train and y_train")
    X_test, y_test = found.get("x_test"), found.get("y_test")
    if (X_test is None) != (y_test is None):
        raise DataFileError(f"{path}: holds only one of X_test and y_test; give both or neither")

    def test() -> tuple[Any, Any] | None:
        return None if X_test is None or y_test is None else _rows(path, X_test(), y_test())

    return Dataset(str(path), *_rows(path, X(), y()), test)


def _rows(path: Path, X: Any, y: Any) -> tuple[Any, Any]:
    if X.ndim < 2 or len(X) != len(y) or len(X) == 0:
        raise DataFileError(
            f"{path}: X has shape {X.shape} and y {y.shape}; X needs one row and y one label for each sample"
        )
    return X.reshape(len(X), -1), y
