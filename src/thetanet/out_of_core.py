"""Training on a source: what joins its parts, its labels and the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.arrays import Samples, chunk_rows
from thetanet.data.source import Source, array_source, is_source
from thetanet.data.streams import StreamedSamples, head_of
from thetanet.data.survey import Progress, Survey, survey
from thetanet.errors import InputError
from thetanet.labels import Labels

Look = Callable[[Source, Progress | None], tuple[Survey, Any, NDArray[Any]]]


def look_here(source: Source, progress: Progress | None = None) -> tuple[Survey, Any, NDArray[Any]]:
    """Look through a source once: return what was found, and X and y of its first samples."""
    return (survey(source, progress), *head_of(source))


def streamed(
    source: Source, scaling: str, class_weight: Any = None, verbose: bool = False, look: Look = look_here
) -> tuple[Labels, StreamedSamples]:
    """Look through a source once, and return its labels and its samples as training sees them.

    Raises
    ------
    DataFileError, InputError
        If the source cannot be read, or its samples do not fit together.
    """
    with _shown(source, verbose) as progress:
        found, *head = look(source, progress)
    labels = labels_of(found)
    factors = None
    if class_weight is not None:
        counts = np.array([found.counts.get(label, 0) for label in labels.classes.tolist()], np.float64)
        one_each = labels.targets(labels.classes)
        factors = labels.class_weights(class_weight, one_each, None, counts - 1)
    return labels, _samples(source, found, head, labels, found.scaling(scaling), factors)


def validation_of(
    X: Any,
    y: Any,
    labels: Labels,
    samples: StreamedSamples,
    verbose: bool = False,
    look: Look = look_here,
) -> Samples | None:
    """Return validation data, arrays or a source of its own, as the engine sees them."""
    if X is None:
        return None
    if not is_source(X):
        if y is None:
            raise InputError("X_val without y_val: give both, or a source")
        X = array_source(np.asarray(X) if not hasattr(X, "tocsr") else X.tocsr(), y)
    elif y is not None:
        raise InputError("y_val: a source has its labels itself; leave it out")
    with _shown(X, verbose) as progress:
        found, *head = look(X, progress)
    if found.kind.D_I != samples.D_I:
        raise InputError(f"X_val has {found.kind.D_I} inputs, but X has {samples.D_I}: give the same columns")
    return _samples(X, found, head, labels, samples.scaling, None)


def labels_of(found: Survey) -> Labels:
    """Return the labels that a survey has found."""
    if found.kind.columns is not None:
        return Labels(np.arange(found.kind.columns), multilabel=True)
    return Labels(found.labels())


def _samples(
    source: Source,
    found: Survey,
    head: list[Any],
    labels: Labels,
    scaling: Any,
    factors: NDArray[np.float64] | None,
) -> StreamedSamples:
    X, y = head
    kind = found.kind
    return StreamedSamples(
        X, labels.targets(y), labels.D_O, scaling, lit=np.flatnonzero(found.largest), source=source,
        survey=found, targets=labels.targets, factors=factors,
        rows=chunk_rows(kind.D_I, kind.dtype, kind.sparse),
    )  # fmt: skip


@contextmanager
def _shown(source: Source, verbose: bool) -> Iterator[Progress | None]:
    """Show how far the first pass is."""
    if not verbose:
        yield None
        return
    from thetanet.progress import counted

    with counted(f"looking through {source.name}", "parts") as advance:
        yield advance
