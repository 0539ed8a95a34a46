"""Training on a source: what joins its parts, its labels and the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.arrays import Samples, chunk_rows
from thetanet.data.input_order import ordered_like
from thetanet.data.label_types import labelled_like
from thetanet.data.labels import Labels
from thetanet.data.source import Source
from thetanet.data.streams import StreamedSamples, head_of
from thetanet.data.survey import Progress, Survey, survey
from thetanet.errors import InputError

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
    labels = labels_of(found, source.name)
    factors = None
    if class_weight is not None:
        counts = np.array([found.counts.get(label, 0) for label in labels.classes.tolist()], np.float64)
        # Of several labels a sample there are no class weights, as `class_weights` says.
        one_each = counts if labels.multilabel else labels.targets(labels.classes)
        factors = labels.class_weights(class_weight, one_each, None, counts - 1)
    return labels, _samples(source, found, head, labels, found.scaling(scaling), factors)


def validation_of(
    source: Source,
    labels: Labels,
    samples: Samples,
    names: Any = None,
    verbose: bool = False,
    look: Look = look_here,
) -> StreamedSamples:
    """Return validation data that is read in parts, as the engine sees it beside these samples.

    `names` are those of the inputs, if they have names.
    """
    source = ordered_like(labelled_like(source, labels.classes), names)
    with _shown(source, verbose) as progress:
        found, *head = look(source, progress)
    if found.kind.D_I != samples.D_I:
        raise InputError(f"X_val has {found.kind.D_I} inputs, but X has {samples.D_I}: give the same columns")
    return _samples(source, found, head, labels, samples.scaling, None)


def labels_of(found: Survey, name: str) -> Labels:
    """Return the labels that a survey of training data of this name has found.

    Raises
    ------
    InputError
        If there are fewer than two classes.
    """
    if found.kind.columns is not None:
        return Labels(np.arange(found.kind.columns), multilabel=True)
    classes = found.labels()
    if len(classes) < 2:
        raise InputError(
            f"{name}: has only one class ({classes.tolist()}); a classifier needs samples of at least two "
            "classes"
        )
    return Labels(classes)


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
        X, labels.targets(y), labels.D_O, scaling, active_inputs=np.flatnonzero(found.largest), source=source,
        survey=found, targets=labels.targets, factors=factors,
        rows=chunk_rows(kind.D_I, kind.dtype, kind.sparse),
    )  # fmt: skip


@contextmanager
def _shown(source: Source, verbose: bool) -> Iterator[Progress | None]:
    """Show how far the first pass is."""
    if not verbose:
        yield None
        return
    from thetanet.training.progress import counted

    with counted(f"looking through {source.name}", "parts") as advance:
        yield advance
