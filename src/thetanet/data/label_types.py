"""Types of labels: whole numbers, numbers, booleans or texts, none missing, the same in further data."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError

if TYPE_CHECKING:
    from thetanet.data.source import Part, Source

_TYPES: tuple[tuple[Any, type], ...] = (
    (str, str),
    ((bool, np.bool_), bool),
    (Integral, np.int64),
    (Real, np.float64),
)


def plain_labels(labels: Any, first: int = 0) -> NDArray[Any]:
    """Return labels as an array of one of these types; Python objects become what they all are.

    There are `first` rows before them.

    Raises
    ------
    InputError
        If one is missing (None, NaN, ...), or they are of another type, or of several.
    """
    y: NDArray[Any] = np.asarray(labels.toarray() if hasattr(labels, "tocsr") else labels)
    if y.dtype.kind in "OT":
        return _of_one_type(y, first)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        _refuse_missing(y, int(np.flatnonzero(~np.isfinite(y))[0]), first)
    if y.dtype.kind not in "biufU":
        raise InputError(
            f"labels are of type {y.dtype}; give texts (y.astype(str)), whole numbers or booleans"
        )
    return y


def _of_one_type(y: NDArray[Any], first: int) -> NDArray[Any]:
    values = y.astype(object).ravel().tolist()
    for place, value in enumerate(values):
        if _is_missing(value):
            _refuse_missing(y, place, first)
    for kind, dtype in _TYPES:
        if all(isinstance(value, kind) for value in values):
            return np.array(values, dtype).reshape(y.shape)
    kinds = sorted({type(value).__name__ for value in values})
    raise InputError(f"labels are of type {' and '.join(kinds)}; give texts, whole numbers or booleans")


def _refuse_missing(y: NDArray[Any], place: int, first: int) -> NoReturn:
    row = first + place // (y.shape[1] if y.ndim == 2 else 1)
    raise InputError(f"the label of row {row + 1:,} is {y.ravel()[place]}; remove the row or label it")


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)  # NaN and NaT differ from themselves
    except (TypeError, ValueError):  # pandas.NA neither differs nor not
        return True


@dataclass(frozen=True)
class TextLabels:
    """A part whose labels are written as texts."""

    part: Part

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "part":  # asked for while this is unpickled
            raise AttributeError(name)
        return getattr(self.part, name)

    def read(self) -> tuple[Any, NDArray[Any]]:
        """Read them."""
        return _texts(self.part.read())


def _texts(samples: tuple[Any, NDArray[Any]]) -> tuple[Any, NDArray[Any]]:
    X, y = samples
    return X, y.astype(str)


def labelled_like(source: Source, classes: NDArray[Any]) -> Source:
    """Return further data with labels of the type that those of the training data have.

    What a column or the names of folders hold is seen for each data set on its own: where training data has
    the classes 0, 1 and other, which are texts, test data with 0 and 1 only seems to have whole numbers.
    """
    if classes.dtype.kind != "U":
        return source
    found = copy.copy(source)  # with the temporary folder that it may hold
    object.__setattr__(found, "parts", [_as_texts(part) for part in source.parts])
    return found


def _as_texts(part: Any) -> Part:
    texts: Part = TextLabels(part)
    if hasattr(part, "then"):  # what a cluster computes is changed there
        texts = part.then(_texts)
    elif hasattr(part, "lines") and hasattr(part, "columns"):  # as written: 007 and true, not 7 and True
        texts = replace(part, columns=replace(part.columns, label_type="text"))
    return texts
