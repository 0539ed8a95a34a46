"""Conversion of the arguments X and y of public functions to a source."""

from __future__ import annotations

from typing import Any

from thetanet.data.formats.arrays import array_source
from thetanet.data.source import Source
from thetanet.errors import InputError


def as_source(
    X: Any, y: Any = None, sample_weight: Any = None, names: tuple[str, str] = ("y", "sample_weight")
) -> Source | None:
    """Return X if it is a source, the source of Dask collections X and y, and None for anything else.

    Raises
    ------
    InputError
        If X is a source and there are labels or weights besides; `names` are those of these arguments.
    """
    if hasattr(X, "__dask_graph__"):
        from thetanet.data.formats.dask import dask_source

        X, y = dask_source(X, y), None
    if not isinstance(X, Source):
        return None
    for name, value in zip(names, (y, sample_weight), strict=True):
        if value is not None:
            raise InputError(f"{name}: a source has its labels and weights itself; leave it out")
    return X


def make_source(X: Any, y: Any = None, sample_weight: Any = None) -> Source:
    """Return labelled samples of any kind as a source.

    Parameters
    ----------
    X : Source, Dask collection, array, sparse matrix or frame of shape (M, D_I)
        A source has the labels itself. Arrays are not copied.
    y : array of shape (M,) or (M, D_O)
        Labels of anything else.
    sample_weight : array of shape (M,), optional
        How often each sample counts.

    Raises
    ------
    InputError
        If they are no samples, or labels are missing.
    """
    source = as_source(X, y, sample_weight)
    if source is not None:
        return source
    if y is None:
        raise InputError("y=None: give the labels of X; only a source has them itself")
    return array_source(X, y, sample_weight)
