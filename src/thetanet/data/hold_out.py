"""Samples drawn at random: a validation set, and a subset."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from thetanet.data.formats.arrays import ArrayPart
from thetanet.data.source import Rows, Source
from thetanet.data.survey import ArraySurvey, Survey
from thetanet.errors import InputError


def hold_out(source: Source, survey: Survey, fraction: float, seed: int) -> tuple[Source, Source]:
    """Return the samples of a source in two sources, drawn at random: training and validation samples.

    Samples in memory are stratified, if there are enough of each class. Of a source in parts each sample is
    drawn for validation with the probability `fraction`, so their number is right on average.

    Parameters
    ----------
    source, survey : Source, Survey
        The samples, and their survey.
    fraction : float
        Of the samples for validation, above 0 and below 1.
    seed : int
        The same seed draws the same samples.

    Raises
    ------
    InputError
        If one of the two would have no samples, or none with a weight above 0.
    """
    if isinstance(survey, ArraySurvey):
        return _split_rows(source, survey, fraction, seed)
    training, validation = (
        [part.map(_DrawRows(n, seed, fraction, take_drawn)) for n, part in enumerate(source.parts)]
        for take_drawn in (False, True)
    )
    return replace(source, parts=training), replace(source, parts=validation, unpacked=())


def draw_rows(source: Source, survey: Survey, count: int | None, seed: int) -> Source:
    """Return some samples of a source, drawn at random.

    Samples in memory stay there, in a random order. Of a source in parts each sample is drawn with the
    probability `count` / M, so that their number is about `count`.

    Parameters
    ----------
    source, survey : Source, Survey
        The samples, and their survey.
    count : int or None
        How many to draw; None, or at least as many as there are, for all.
    seed : int
        The same seed draws the same samples.
    """
    everything = count is None or count >= survey.M
    if isinstance(survey, ArraySurvey):
        rows = survey.rows
        if not everything:
            rows = rows.take(np.random.default_rng(seed).permutation(rows.M)[:count])
        return replace(source, parts=[ArrayPart(*rows, checked=True)], unpacked=())
    if everything:
        return source
    assert count is not None
    drawn = [part.map(_DrawRows(n, seed, count / survey.M, True)) for n, part in enumerate(source.parts)]
    return replace(source, parts=drawn, unpacked=())


def _split_rows(source: Source, survey: ArraySurvey, fraction: float, seed: int) -> tuple[Source, Source]:
    from sklearn.model_selection import train_test_split

    rows, labels = survey.rows, survey.labels()
    M = rows.M
    index = None  # by which to stratify
    if not labels.multilabel:
        index = labels.indices(labels.targets(rows.y))
        counts = np.bincount(index)
        if counts[counts > 0].min() < 2 or min(fraction * M, (1 - fraction) * M) < len(labels.classes):
            index = None
    try:
        split = train_test_split(np.arange(M), test_size=fraction, random_state=seed, stratify=index)
    except ValueError as problem:
        raise InputError(f"validation_fraction={fraction} of {M} samples: {problem}") from None
    y = rows.y.tocsr() if hasattr(rows.y, "tocsr") else np.asarray(rows.y)
    pieces = [rows._replace(y=y).take(places) for places in split]
    if any(piece.weight is not None and not piece.weight.any() for piece in pieces):
        raise InputError(
            f"validation_fraction={fraction}: one of the parts has no weight, all its sample weights are "
            "zero; leave out samples of weight 0"
        )
    training, validation = (replace(source, parts=[ArrayPart(*piece, checked=True)]) for piece in pieces)
    return training, validation


@dataclass(frozen=True)
class _DrawRows:
    """A function that draws rows of a part at random, and returns those drawn, or the others."""

    part_number: int
    seed: int
    fraction: float
    take_drawn: bool

    def __call__(self, rows: Rows) -> Rows:
        drawn = np.random.default_rng([self.seed, self.part_number]).random(rows.M) < self.fraction
        return rows.take(drawn == self.take_drawn)
