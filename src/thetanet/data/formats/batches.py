"""Batches of an iterable as a source: read once, and kept in .npy files of a temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from thetanet.checks import check_number
from thetanet.data.npy_writer import write_temporary_source
from thetanet.data.source import ROWS, Source
from thetanet.errors import InputError


def batches_source(
    batches: Iterable[tuple[Any, ...]] | Callable[[], Iterable[tuple[Any, ...]]],
    rows: int = ROWS,
    name: str = "batches",
) -> Source:
    """Return a source of batches (X, y), e.g. of a data loader: they are read once, here.

    The samples lie in a temporary folder (TMPDIR) for as long as the source is in use. Memory: one batch.

    Parameters
    ----------
    batches : iterable, or a function that returns one
        Pairs of X, an array of shape (n, D_I) or (n, ...) or a SciPy sparse matrix, and y of shape (n,) or
        (n, D_O); or triples of X, y and sample weights of shape (n,).
    rows : int
        Samples in a part.
    name : str
        For messages.

    Raises
    ------
    InputError
        If there are no samples, or a batch is no such pair or of another kind than those before.

    Examples
    --------
    >>> import numpy as np
    >>> source = batches_source((np.eye(2), [0, 1]) for _ in range(3))
    >>> sum(len(y) for X, y in source)
    6
    """
    check_number("rows", rows, least=1, whole=True)
    iterable = batches() if callable(batches) else batches
    if not isinstance(iterable, Iterable):
        raise InputError(f"{name}: is {type(iterable).__name__}; give an iterable of pairs (X, y)")
    return write_temporary_source(name, iterable, rows=rows)
