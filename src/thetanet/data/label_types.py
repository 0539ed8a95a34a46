"""Types of labels: integers, numbers, booleans or texts, none missing."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError

_TYPES: tuple[tuple[Any, type], ...] = (
    (str, str),
    ((bool, np.bool_), bool),
    (Integral, np.int64),
    (Real, np.float64),
)


def as_plain_labels(labels: Any, first: int = 0) -> NDArray[Any]:
    """Return labels as an array of one of these types; Python objects of one type become that type.

    Messages count rows from `first`, the number of rows before them.

    Raises
    ------
    InputError
        If one is missing (None, NaN, ...), or they are of another type, or of several.
    """
    y: NDArray[Any] = np.asarray(labels.toarray() if hasattr(labels, "tocsr") else labels)
    if y.dtype.kind in "OT":
        return _convert_objects(y, first)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        _raise_missing(y, int(np.flatnonzero(~np.isfinite(y))[0]), first)
    if y.dtype.kind not in "biufU":
        raise InputError(
            f"labels are of type {y.dtype}; give texts (y.astype(str)), whole numbers or booleans"
        )
    return y


def _convert_objects(y: NDArray[Any], first: int) -> NDArray[Any]:
    values = y.astype(object).ravel().tolist()
    for place, value in enumerate(values):
        if _is_missing(value):
            _raise_missing(y, place, first)
    for kind, dtype in _TYPES:
        if all(isinstance(value, kind) for value in values):
            return np.array(values, dtype).reshape(y.shape)
    kinds = sorted({type(value).__name__ for value in values})
    raise InputError(f"labels are of type {' and '.join(kinds)}; give texts, whole numbers or booleans")


def _raise_missing(y: NDArray[Any], place: int, first: int) -> NoReturn:
    row = first + place // (y.shape[1] if y.ndim == 2 else 1)
    raise InputError(f"the label of row {row + 1:,} is {y.ravel()[place]}; remove the row or label it")


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)  # NaN and NaT differ from themselves
    except (TypeError, ValueError):  # pandas.NA neither differs nor not
        return True


def as_texts(y: NDArray[Any]) -> NDArray[Any]:
    """Return labels as texts."""
    texts: NDArray[Any] = y.astype(str)
    return texts
