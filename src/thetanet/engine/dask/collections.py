"""Parts of Dask collections: partitions, computed on the workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError, MissingExtraError


@dataclass(frozen=True, eq=False)
class DelayedPart:
    """A partition: `delayed` computes (X, y)."""

    delayed: Any
    where: str

    def read(self) -> tuple[Any, NDArray[Any]]:
        """Compute it here, by whatever Dask computes with by default."""
        X, y = self.delayed.compute()
        return X, y


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
    if X.numblocks[0] != y.numblocks[0] or not _alike(X.chunks[0], y.chunks[0]):
        raise InputError(
            f"y is divided into rows {y.chunks[0]}, but X into {X.chunks[0]}: use y.rechunk((X.chunks[0],))"
        )
    blocks = zip(X.to_delayed().ravel(), y.to_delayed().ravel(), strict=True)
    return [
        DelayedPart(_delayed(_pair)(one, other), f"block {n} of a Dask array")
        for n, (one, other) in enumerate(blocks)
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
        DelayedPart(_delayed(_cut)(part, names, several), f"partition {n} of a Dask dataframe")
        for n, part in enumerate(frame.to_delayed())
    ]


def _alike(one: Any, other: Any) -> bool:
    return all(a == b or a != a or b != b for a, b in zip(one, other, strict=True))  # unknown sizes are NaN


def _delayed(function: Any) -> Any:
    try:
        import dask
    except ImportError as missing:
        raise MissingExtraError("training on Dask collections", "cluster") from missing
    library: Any = dask
    return library.delayed(function, pure=False)


def _pair(X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
    return _numbers(X), np.asarray(y)


def _cut(frame: Any, names: list[str], several: bool) -> tuple[Any, NDArray[Any]]:
    labels = frame[names] if several else frame[names[0]]
    return _numbers(frame.drop(columns=names).to_numpy()), labels.to_numpy()


def _numbers(X: Any) -> Any:
    """Return inputs as the engine reads them: uint8, float32 or float64; sparse ones as CSR."""
    if hasattr(X, "tocsr"):
        return X.tocsr()
    X = np.ascontiguousarray(X)
    return X if X.dtype in (np.uint8, np.float32, np.float64) else X.astype(np.float64)
