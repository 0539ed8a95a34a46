"""What a report is made of, in one form each: samples, labels, the history of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.classifier.fitted import FittedNetwork
from thetanet.errors import InputError


def samples_of(net: FittedNetwork, X: Any, y: Any) -> tuple[Any, Any]:
    """Return X with rows that can be taken and y as an array, one label a sample where that is the kind.

    A DataFrame stays one, for the names of its columns.

    Raises
    ------
    InputError
        If X has no rows of inputs.
    """
    try:
        X = X.tocsr() if hasattr(X, "tocsr") else X if hasattr(X, "shape") else np.asarray(X)
        y = np.asarray(y)
    except ValueError as problem:
        raise InputError(
            f"X or y: no array can be made of it ({problem}); give rows of equal length"
        ) from None
    if len(X.shape) != 2:
        raise InputError(f"X has shape {tuple(X.shape)}: give one row of {net.theta_.D_I} inputs a sample")
    return X, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 and not net.multilabel_ else y


def dense(X: Any, rows: Sequence[int] | slice = slice(None)) -> NDArray[Any]:
    """Return some rows of what `samples_of` returns, all of them if left out, as an array."""
    return np.asarray(X[rows].toarray() if hasattr(X, "toarray") else np.asarray(X)[rows])


def lists_of(history: Any) -> dict[str, list[Any]]:
    """Return a history of lists, arrays or columns as one of lists; what was not measured is None.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return {name: [_number(value) for value in _values(history[name])] for name in history}
    except (TypeError, ValueError, LookupError) as problem:
        raise InputError(
            f"history: is not that of a training ({problem}); give a dict of lists such as net.history_"
        ) from None


def _values(values: Any) -> Any:
    return () if values is None else values


def _number(value: Any) -> Any:
    return None if value is None or value != value else value
