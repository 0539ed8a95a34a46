"""Sources: labelled samples that need not fit into memory, in parts that can be read in any order.

A source is a list of parts. A part knows how to read itself, from wherever it lies, and can be pickled, so
that threads and the workers of a cluster read parts too. Everything else (shuffling, reading ahead, scaling,
classes) is built on that: a new format is one class with `read` and a function that lists its parts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from thetanet.checks import check_number
from thetanet.data.label_types import plain_labels
from thetanet.errors import DataFileError, InputError

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

ROWS = 4096  # of a part, where the format lets us choose: a chunk of training data is made of many


@runtime_checkable
class Part(Protocol):
    """A piece of a source."""

    @property
    def where(self) -> str:
        """Say which file and rows, for messages."""
        ...

    def read(self) -> tuple[Any, NDArray[Any]]:
        """Return X, an array or CSR matrix of shape (n, D_I), and labels y of shape (n,) or (n, D_O).

        Raises
        ------
        DataFileError
            If the file is not what it was, or holds something else; the message names file and row.
        """
        ...


@dataclass(frozen=True, eq=False)
class Source:
    """Labelled samples in parts.

    Attributes
    ----------
    name : str
        Where they are from.
    parts : sequence of Part
        In the order of the samples.
    feature_names : list of str, optional
        Names of the inputs.
    """

    name: str
    parts: Sequence[Part]
    feature_names: list[str] | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError(f"{self.name}: there are no samples in it")

    def __iter__(self) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield (X, y) of all parts in order, checked to be of one kind."""
        first = None
        for part in self.parts:
            X, y = read_part(part, first)
            first = Kind.of(X, y) if first is None else first
            yield X, y


@dataclass(frozen=True)
class Kind:
    """What all parts of a source must have in common."""

    D_I: int
    dtype: np.dtype[Any]
    sparse: bool
    columns: int | None  # of y, for several labels

    @classmethod
    def of(cls, X: Any, y: NDArray[Any]) -> Kind:
        """Return the kind of samples that these are."""
        return cls(
            int(X.shape[1]),
            np.dtype(X.dtype),
            not isinstance(X, np.ndarray),
            None if y.ndim == 1 else int(y.shape[1]),
        )


def read_part(part: Part, kind: Kind | None = None) -> tuple[Any, NDArray[Any]]:
    """Read a part and check that it holds what samples are made of.

    Raises
    ------
    DataFileError
        If it does not, or is of another kind than the parts before.
    """
    X, y = part.read()
    try:
        y = plain_labels(y, getattr(part, "low", 0))
    except InputError as problem:
        raise DataFileError(f"{part.where}: {problem}") from None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column of labels, as scikit-learn takes it
    if X.ndim != 2 or len(y) != X.shape[0] or y.ndim not in (1, 2):
        raise DataFileError(
            f"{part.where}: X has shape {X.shape} and y {y.shape}; X needs one row and y one label for each "
            "sample"
        )
    values = X if isinstance(X, np.ndarray) else X.data
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = getattr(part, "low", 0) + _first_bad(X) + 1
        raise DataFileError(f"{part.where}: row {row:,} holds NaN or infinity; remove or impute it")
    found = Kind.of(X, y)
    if kind is not None and found != kind:
        raise DataFileError(f"{part.where}: holds {_said(found)}, but the parts before it {_said(kind)}")
    return X, y


def _first_bad(X: Any) -> int:
    if isinstance(X, np.ndarray):
        return int(np.flatnonzero(~np.isfinite(X).all(axis=1))[0])
    return int(np.searchsorted(X.indptr, np.flatnonzero(~np.isfinite(X.data))[0], side="right")) - 1


def _said(kind: Kind) -> str:
    labels = "" if kind.columns is None else f" and {kind.columns} labels"
    return f"{kind.D_I} inputs of {'sparse ' * kind.sparse}{kind.dtype}{labels}"


@dataclass(frozen=True, eq=False)
class ArrayPart:
    """Rows of arrays in memory."""

    X: Any
    y: NDArray[Any]
    low: int = 0

    @property
    def where(self) -> str:
        """Say which rows, counted from 1."""
        return f"rows {self.low + 1:,} to {self.low + len(self.y):,}"

    def read(self) -> tuple[Any, NDArray[Any]]:
        """Return the rows."""
        return self.X, self.y


def array_source(X: Any, y: Any, rows: int = ROWS) -> Source:
    """Return a source of samples in memory: trains to the same bits as the same samples on disk.

    Parameters
    ----------
    X : array, sparse matrix or frame of shape (M, D_I)
        Rows are samples.
    y : array of shape (M,) or (M, D_O)
        Labels.
    rows : int
        Samples in a part.

    Raises
    ------
    InputError
        If they are no samples, or a label is missing.
    """
    check_number("rows", rows, least=1, whole=True)
    names = [*getattr(X, "columns", [])]
    name = f"{type(X).__name__} of shape "
    X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
    if X.dtype == object:  # e.g. a frame of several types
        try:
            X = X.astype(np.float64)
        except (TypeError, ValueError) as problem:
            raise InputError(f"X: holds what is no number ({problem}); encode or remove it") from None
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise InputError(f"X has shape {X.shape} and holds {X.dtype}; give numbers, a row for each sample")
    try:
        y = plain_labels(y)
    except InputError as problem:
        raise InputError(f"y: {problem}") from None
    if y.ndim not in (1, 2) or X.shape[0] != len(y):
        raise InputError(f"X has shape {X.shape} and y {y.shape}: give one label a sample")
    return Source(
        name + str(X.shape),
        [ArrayPart(X[low : low + rows], y[low : low + rows], low) for low in range(0, X.shape[0], rows)],
        names if names and all(isinstance(each, str) for each in names) else None,
    )


def named(paths: Paths) -> tuple[list[str], str]:
    """Return the absolute names of one or several files, and what to call them together.

    Absolute, as parts are read by workers with another working folder, and notes on them outlast this one.
    """
    given = [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    together = f"{given[0]} and {len(given) - 1} more" if len(given) > 1 else "".join(given)
    return [os.path.abspath(name) for name in given], together


def is_source(X: Any) -> bool:
    """Tell whether X is a source."""
    return isinstance(X, Source)


def digest_of(X: Any, y: NDArray[Any]) -> bytes:
    """Return a fingerprint of samples: the same for the same samples in the same order."""
    hashed = hashlib.blake2b(repr((X.shape, X.dtype.str, y.dtype.str)).encode(), digest_size=16)
    for array in [X, y] if isinstance(X, np.ndarray) else [X.data, X.indices, X.indptr, y]:
        hashed.update(
            repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes()
        )
    return hashed.digest()
