"""Parts of Dask collections: partitions, computed on the workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.source import Part, Rows, Source
from thetanet.errors import DataFileError, InputError, MissingExtraError


@dataclass(frozen=True, eq=False)
class DelayedPart(Part):
    """A partition: `delayed` computes its rows."""

    delayed: Any
    name: str

    @property
    def where(self) -> str:
        """Name of the partition."""
        return self.name

    def read(self) -> Rows:
        """Compute it here, by whatever Dask computes with by default."""
        return Rows(*self.delayed.compute())

    def map(self, function: Callable[[Rows], Rows]) -> DelayedPart:
        """Return the part that a function makes of this one, on the workers."""
        return replace(self, delayed=_delayed(function)(self.delayed))


def is_collection(X: Any) -> bool:
    """Tell whether X is an array or dataframe of Dask."""
    return hasattr(X, "__dask_graph__") and hasattr(X, "to_delayed")


def parts_of_arrays(X: Any, y: Any) -> list[DelayedPart]:
    """Return the parts of Dask arrays X of shape (M, D_I) and y of shape (M,) or (M, D_O).

    Raises
    ------
    InputError
        If they are not divided into the same rows.
    """
    if not (is_collection(X) and is_collection(y)) or X.ndim != 2 or y.ndim not in (1, 2):
        raise InputError("X and y: give Dask arrays of shapes (M, D_I) and (M,) or (M, D_O)")
    X, y = X.rechunk({1: -1}), y.rechunk({1: -1}) if y.ndim == 2 else y
    if X.numblocks[0] != y.numblocks[0] or not _same_chunks(X.chunks[0], y.chunks[0]):
        raise InputError(
            f"y is divided into rows {y.chunks[0]}, but X into {X.chunks[0]}: use y.rechunk((X.chunks[0],))"
        )
    blocks = zip(X.to_delayed().ravel(), y.to_delayed().ravel(), strict=True)
    return [
        DelayedPart(_delayed(_check_pair)(one, other, where), where)
        for where, (one, other) in ((f"block {n} of a Dask array", pair) for n, pair in enumerate(blocks))
    ]


def parts_of_frame(frame: Any, target: str | list[str]) -> list[DelayedPart]:
    """Return the parts of a Dask dataframe: columns `target` are the labels, all others the inputs.

    Raises
    ------
    InputError
        If it has no such columns.
    """
    names, several = ([target], False) if isinstance(target, str) else (list(target), True)
    missing = [name for name in names if name not in frame.columns]
    if missing or len(names) == len(frame.columns) or not names:
        raise InputError(
            f"target={target!r}: the dataframe has the columns {list(frame.columns)}; name one of them"
        )
    return [
        DelayedPart(_delayed(_split_columns)(part, names, several, where), where)
        for where, part in (
            (f"partition {n} of a Dask dataframe", part) for n, part in enumerate(frame.to_delayed())
        )
    ]


def dask_source(X: Any, y: Any = None, target: Any = None) -> Source:
    """Return a source of Dask arrays X, y or of a Dask dataframe with the columns `target` as labels.

    Partitions are computed on the workers, and stay there.

    Raises
    ------
    InputError
        If X and y do not fit together, or the columns are not there.
    """
    if hasattr(X, "columns"):
        if target is None or y is not None:
            raise InputError(
                "X is a dataframe of Dask, whose labels are one of its columns: give "
                "thetanet.data.formats.dask.dask_source(frame, target=NAME)"
            )
        labels = [target] if isinstance(target, str) else list(target)
        names = [str(name) for name in X.columns if name not in labels]
        return Source("a Dask dataframe", parts_of_frame(X, target), names)
    return Source(f"a Dask array of shape {X.shape}", parts_of_arrays(X, y))


def _same_chunks(one: Any, other: Any) -> bool:
    return all(a == b or a != a or b != b for a, b in zip(one, other, strict=True))  # unknown sizes are NaN


def _delayed(function: Any) -> Any:
    try:
        import dask
    except ImportError as missing:
        raise MissingExtraError("training on Dask collections", "cluster") from missing
    library: Any = dask
    return library.delayed(function, pure=False)


def _check_pair(X: Any, y: Any, where: str) -> Rows:
    names, y = [f"column {n + 1} of X" for n in range(X.shape[1])], np.asarray(y)
    columns = ["y"] * (y.shape[1] if y.ndim == 2 else 1)
    return Rows(_as_numbers(X, names, where), _check_labels(y, columns, where))


def _split_columns(frame: Any, names: list[str], several: bool, where: str) -> Rows:
    inputs, labels = frame.drop(columns=names), frame[names] if several else frame[names[0]]
    return Rows(
        _as_numbers(inputs.to_numpy(), [f"column {name!r}" for name in inputs.columns], where),
        _check_labels(labels.to_numpy(), [f"column {name!r}" for name in names], where),
    )


def _as_numbers(X: Any, names: list[str], where: str) -> Any:
    """Return inputs as the engine reads them: uint8, float32 or float64; sparse ones as CSR.

    Raises
    ------
    DataFileError
        If they are no numbers, or not finite ones.
    """
    if hasattr(X, "tocsr"):
        return X.tocsr()
    X = np.ascontiguousarray(X)
    try:
        if X.dtype.kind not in "biufO":
            raise TypeError
        numbers = X if X.dtype in (np.uint8, np.float32, np.float64) else X.astype(np.float64)
    except (TypeError, ValueError):
        raise _fault(X, names, where) from None
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        raise _fault(X, names, where)
    return numbers


def _check_labels(y: NDArray[Any], names: list[str], where: str) -> NDArray[Any]:
    """Return labels, none of which may be missing."""
    if y.dtype.kind == "O" or (y.dtype.kind == "f" and np.isnan(y).any()):
        for row, values in enumerate(y if y.ndim == 2 else y[:, None]):
            for name, value in zip(names, values, strict=True):
                if _is_missing(value):
                    raise _missing(name, row, where)
    return y


def _fault(X: NDArray[Any], names: list[str], where: str) -> DataFileError:
    """Return the error that says which value is no finite number."""
    for row, values in enumerate(X):
        for name, value in zip(names, values.astype(object), strict=True):
            if _is_missing(value):
                return _missing(name, row, where)
            try:
                if not isinstance(value, np.datetime64 | np.timedelta64) and np.isfinite(float(value)):
                    continue
            except (TypeError, ValueError):
                pass
            return DataFileError(
                f"{where}: {name} holds {value!r} in row {row + 1}; encode it as a number, or leave it out"
            )
    return DataFileError(f"{where}: X holds {X.dtype}, not numbers; encode it, or leave it out")


def _missing(name: str, row: int, where: str) -> DataFileError:
    return DataFileError(f"{where}: {name} holds no value in row {row + 1}; remove the row or impute it")


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)  # NaN and NaT
    except TypeError:
        return True  # pandas.NA, which is neither equal nor different
