"""The door: what users give as X and y, as a source."""

from __future__ import annotations

from typing import Any

from thetanet.data.source import Source
from thetanet.errors import InputError


def as_source(
    X: Any, y: Any = None, sample_weight: Any = None, names: tuple[str, str] = ("y", "sample_weight")
) -> Source | None:
    """Return the source that X is, or that Dask collections X and y make; None where X is something else.

    Raises
    ------
    InputError
        If a source is given together with labels or weights; `names` are those of the arguments.
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
