"""What a fitted network does on data read in parts: the figures of `evaluation`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from thetanet.classifier.fitted import FittedNetwork
from thetanet.data.input_order import ordered_like
from thetanet.data.label_types import labelled_like
from thetanet.data.skipping import no_samples
from thetanet.data.source import Kind, Source, read_part
from thetanet.evaluation.figures import Answers, Evaluation, evaluation

_BINS = 15


def evaluation_of_parts(
    net: FittedNetwork,
    source: Source,
    worst: int = 10,
    reject_below: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a fitted network on a source, one part after the other.

    Parameters
    ----------
    net : fitted network
        E.g. a `ThetaNetClassifier`.
    source : Source
        Labelled samples. Where network and source have names of inputs, their order does not matter.
    worst : int
        How many of the worst mistakes to keep; their `row` counts from the first sample of the source.
    reject_below : float
        No answer is given where `net.confidence` is lower.
    progress : callable, optional
        Told (parts read, parts).

    Returns
    -------
    Evaluation
        The same as for all samples at once, up to the rounding of sums.

    Raises
    ------
    DataFileError, InputError
        If a part cannot be read, has another number of inputs or inputs of other names, or labels that the
        network does not know.
    """
    samples = mistakes = answered = 0
    error = right = 0.0
    confusion: Any = None
    found_worst: list[dict[str, Any]] = []
    distance = np.zeros(_BINS)
    kind = last = None
    source = ordered_like(labelled_like(source, net.classes_), getattr(net, "feature_names_in_", None))
    net = copy.copy(net)
    vars(net).pop("feature_names_in_", None)  # which were compared; of arrays scikit-learn would miss them
    for n, part in enumerate(source.parts):
        X, y = read_part(part, kind)
        if len(y):
            kind = Kind.of(X, y) if kind is None else kind
            answers = Answers.of(net, X, y)
            last = evaluation(net, X, y, worst, reject_below, answers)
            for mistake in last.worst:
                mistake["row"] += samples
            found_worst = sorted(found_worst + last.worst, key=lambda m: -m["probability"])[:worst]
            samples += last.samples
            mistakes += last.mistakes
            error += last.error * last.samples
            answered += last.answered
            right += (last.accuracy_answered or 0.0) * last.answered
            if last.confusion is not None:
                confusion = np.array(last.confusion) + (0 if confusion is None else confusion)
                sure = answers.probability.max(axis=1)
                place = np.minimum((sure * _BINS).astype(int), _BINS - 1)
                distance += np.bincount(place, weights=sure - ~answers.wrong, minlength=_BINS)
        if progress is not None:
            progress(n + 1, len(source.parts))
    if last is None:
        raise no_samples(source)
    return Evaluation(
        samples=samples,
        accuracy=1 - mistakes / samples,
        mistakes=mistakes,
        error=error / samples,
        labels=last.labels,
        confusion=None if confusion is None else confusion.tolist(),
        worst=found_worst,
        calibration_error=None if confusion is None else float(np.abs(distance).sum() / samples),
        reject_below=reject_below,
        answered=answered,
        accuracy_answered=right / answered if answered else None,
    )
