"""The first pass over a source: number of samples, classes, scaling, fingerprint, and where samples are kept.

Here is decided whether samples are kept in memory or read in parts in each epoch. Those that take at most
`IN_MEMORY_BYTES` are kept, and a training on them is the same, to the bit, as one on arrays. Larger sources
are read once from beginning to end, and the result of that pass is cached in a small file for as long as the
source does not change.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data import survey_cache
from thetanet.data.labels import Labels
from thetanet.data.samples import Samples, TrainingSamples, chunk_rows
from thetanet.data.scaling import Moments, Scaling
from thetanet.data.skipping import SkippedByFile, warn_of_skipped
from thetanet.data.source import Progress, Rows, SampleSchema, Source, hash_rows, join_rows, read_rows
from thetanet.data.streams import StreamedSamples
from thetanet.errors import InputError

IN_MEMORY_BYTES = 128 << 20  # inputs and labels of a source that is kept in memory
MOST_CLASSES = 10_000


class Survey(ABC):
    """Number, kind, classes and scaling of the samples of a source.

    Attributes
    ----------
    name : str
        Of the source.
    schema : SampleSchema
        What all parts have in common.
    M : int
        Number of samples.
    """

    name: str
    schema: SampleSchema
    M: int

    @abstractmethod
    def labels(self) -> Labels:
        """Return the classes of the samples.

        Raises
        ------
        InputError
            If there are fewer than two classes.
        """

    @abstractmethod
    def samples(
        self,
        labels: Labels,
        scaling: str | Scaling = "auto",
        class_weight: Any = None,
        targets: Callable[[Rows], NDArray[Any]] | None = None,
    ) -> TrainingSamples:
        """Return the samples as training reads them.

        Parameters
        ----------
        labels : Labels
            Turns labels into targets.
        scaling : str or Scaling
            Its kind, to be measured on these samples, or the scaling of others.
        class_weight : None, "balanced" or dict
            Weights of the classes.
        targets : callable, optional
            Returns the targets of some rows, instead of `labels.targets` of their labels.
        """

    @abstractmethod
    def read_head(self) -> Rows:
        """Return some of the samples."""


class ArraySurvey(Survey):
    """Samples in memory: their classes and scaling are computed when they are needed."""

    def __init__(self, source: Source, rows: Rows) -> None:
        self.name, self.rows = source.name, rows
        self.schema, self.M = SampleSchema.of(rows), rows.M

    def labels(self) -> Labels:
        """Return the classes of the samples."""
        return Labels.of(self.rows.y, name=self.name)

    def samples(
        self,
        labels: Labels,
        scaling: str | Scaling = "auto",
        class_weight: Any = None,
        targets: Callable[[Rows], NDArray[Any]] | None = None,
    ) -> Samples:
        """Return the samples as training reads them."""
        X, y, weight = self.rows
        L = labels.targets(y)
        weight = labels.class_weights(class_weight, L, weight)
        if isinstance(scaling, str):
            scaling = Scaling.of(X, scaling, weight)
        return Samples(X, L if targets is None else targets(self.rows), labels.D_O, scaling, weight)

    def read_head(self) -> Rows:
        """Return all samples."""
        return self.rows


@dataclass(eq=False)
class PartsSurvey(Survey):
    """The survey of a source that is read in parts.

    Attributes
    ----------
    class_counts : dict
        Number of samples with each label; empty for several labels a sample.
    class_totals : dict
        Sums of the sample weights; empty if there are no weights.
    positive : array of shape (n_labels,)
        For several labels a sample: (weighted) number of samples that have each.
    total_weight : float
        Sum of the sample weights.
    moments : Moments
        Of each input.
    digest : str
        Fingerprint of all samples in order.
    skipped : dict
        For each file: number of bad rows that were left out, where the first was, and why.
    head : Rows, optional
        The first samples, if they were read already.
    """

    source: Source
    schema: SampleSchema
    moments: Moments
    M: int = 0
    total_weight: float = 0.0
    class_counts: dict[Any, int] = field(default_factory=dict)
    class_totals: dict[Any, float] = field(default_factory=dict)
    positive: NDArray[np.float64] | None = None
    digest: str = ""
    skipped: SkippedByFile = field(default_factory=dict)
    head: Rows | None = None

    @classmethod
    def begin(cls, source: Source, schema: SampleSchema) -> PartsSurvey:
        """Return the survey of no samples."""
        several = None if schema.label_columns is None else np.zeros(schema.label_columns)
        return cls(source, schema, Moments.none(schema.D_I), positive=several)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the source."""
        return self.source.name

    def add(self, rows: Rows) -> None:
        """Add samples.

        Raises
        ------
        InputError
            If there are too many labels to be classes.
        """
        X, y, weight = rows
        self.M += rows.M
        self.total_weight += float(rows.M) if weight is None else float(weight.sum())
        if self.positive is not None:
            self.positive += y.sum(axis=0, dtype=np.float64) if weight is None else weight @ y
        else:
            values, place, times = np.unique(y, return_inverse=True, return_counts=True)
            self.class_counts = _add_counts(self.class_counts, values, times)
            if weight is not None:
                self.class_totals = _add_counts(self.class_totals, values, np.bincount(place, weight))
            self._check_number_of_classes()
        self.moments = self.moments.plus(Moments.of(X, weight))

    def merge(self, other: PartsSurvey) -> None:
        """Add the survey of other samples of the same schema; the caller joins the digests."""
        self.M += other.M
        self.total_weight += other.total_weight
        self.class_counts = dict(Counter(self.class_counts) + Counter(other.class_counts))
        for label, total in other.class_totals.items():
            self.class_totals[label] = self.class_totals.get(label, 0.0) + total
        if self.positive is not None and other.positive is not None:
            self.positive += other.positive
        self._check_number_of_classes()
        self.moments = self.moments.plus(other.moments)

    def _check_number_of_classes(self) -> None:
        if len(self.class_counts) > MOST_CLASSES:
            raise InputError(
                f"{self.name}: has over {MOST_CLASSES:,} different labels; they must be classes, not numbers "
                "to be predicted"
            )

    def labels(self) -> Labels:
        """Return the classes of the samples."""
        if self.schema.label_columns is not None:
            return Labels(np.arange(self.schema.label_columns), multilabel=True)
        return Labels.of_classes(np.array(sorted(self.class_counts)), self.name)

    def read_head(self) -> Rows:
        """Return the first samples."""
        if self.head is None:
            self.head = self.source.read_head()
        return self.head

    def samples(
        self,
        labels: Labels,
        scaling: str | Scaling = "auto",
        class_weight: Any = None,
        targets: Callable[[Rows], NDArray[Any]] | None = None,
    ) -> StreamedSamples:
        """Return the samples as training reads them."""
        totals = self._weight_of_classes(labels)
        factors = None
        if class_weight is not None:
            # Of several labels a sample there are no class weights, as `class_factors` says.
            factors = labels.class_factors(class_weight, totals)
        if isinstance(scaling, str):
            scaling = self.measure_scaling(scaling, labels, factors)
        weighted = totals if factors is None else totals * factors
        head = self.read_head()
        sparse = self.schema.sparse
        return StreamedSamples(
            D_O=labels.D_O,
            scaling=scaling,
            source=self.source,
            schema=self.schema,
            first=head,
            n_samples=self.M,
            weight_sum=self.total_weight if factors is None else float(weighted.sum()),
            target_totals=weighted[1:] if labels.binary else weighted,
            labels=labels,
            factors=factors,
            active_inputs=np.flatnonzero(self.moments.largest),
            rows=chunk_rows(self.schema.D_I, self.schema.dtype, sparse),
            data_digest=self.digest,
            targets=targets,
        )

    def _weight_of_classes(self, labels: Labels) -> NDArray[np.float64]:
        """Return the sum of the sample weights of each class, or with each label: shape (n_labels,)."""
        if self.positive is not None:
            return self.positive
        totals = self.class_totals or self.class_counts
        return np.array([totals.get(label, 0.0) for label in labels.classes.tolist()], np.float64)

    def measure_scaling(
        self, kind: str = "auto", labels: Labels | None = None, factors: NDArray[np.float64] | None = None
    ) -> Scaling:
        """Return the scaling of a kind; `factors` are the weights of the classes of these labels, if any."""
        kind = Scaling.resolve_kind(kind, self.schema.dtype, self.schema.sparse)
        moments = self.moments
        if kind == "standard" and labels is not None and factors is not None:
            # Mean and deviation of weighted classes: only now are the weights known, so one more pass.
            moments = Moments.none(self.schema.D_I)
            for rows in self.source.iter_rows():
                weight = labels.weigh(labels.targets(rows.y), rows.weight, factors)
                moments = moments.plus(Moments.of(rows.X, weight))
        return moments.scaling(kind)


def _add_counts(counts: dict[Any, Any], labels: NDArray[Any], times: NDArray[Any]) -> dict[Any, Any]:
    total = dict(counts)
    for label, n in zip(labels.tolist(), times.tolist(), strict=True):
        total[label] = total.get(label, 0) + n
    return total


def survey_source(source: Source, progress: Progress | None = None, cache: Path | None = None) -> Survey:
    """Return the survey of a source, which is read once; its samples are kept in memory if they are few.

    Parameters
    ----------
    source : Source
        The samples.
    progress : callable, optional
        Called with (parts read, parts) after each part.
    cache : folder, optional
        For surveys of sources in parts. `THETANET_CACHE`, or a folder of the user's, if None.

    Raises
    ------
    DataFileError, InputError
        If parts do not fit together, or there are too many labels to be classes.
    """
    if source.in_memory:
        return ArraySurvey(source, read_rows(source.parts[0]))
    survey = survey_cache.load(source, cache, partial(_from_json, source))
    if survey is None:
        kept: list[Rows] | None = []
        size = 0
        for rows in source.iter_rows(progress):
            if survey is None:
                survey, hashed = (
                    PartsSurvey.begin(source, SampleSchema.of(rows)),
                    hashlib.blake2b(digest_size=16),
                )
            hashed.update(hash_rows(rows))
            survey.add(rows)
            size += rows.nbytes
            if kept is not None:
                kept = [*kept, rows] if size <= IN_MEMORY_BYTES else None
        if survey is None:
            raise source.empty_error()
        survey.digest, survey.skipped = hashed.hexdigest(), source.skipped_rows()
        warn_of_skipped(survey.skipped)
        if kept is not None:
            return ArraySurvey(source, join_rows(kept))
        survey_cache.store(source, cache, _to_json(survey))
        return survey
    warn_of_skipped(survey.skipped)
    return survey


def _to_json(survey: PartsSurvey) -> dict[str, Any]:
    schema = survey.schema
    return {
        "M": survey.M,
        "total_weight": survey.total_weight,
        "schema": [schema.D_I, schema.dtype.str, schema.sparse, schema.label_columns],
        "class_counts": list(survey.class_counts.items()),
        "class_totals": list(survey.class_totals.items()),
        "positive": None if survey.positive is None else survey.positive.tolist(),
        "moments": survey.moments.to_json(),
        "digest": survey.digest,
        "skipped": survey.skipped,
    }


def _from_json(source: Source, fields: dict[str, Any]) -> PartsSurvey:
    D_I, dtype, sparse, columns = fields["schema"]
    positive = fields["positive"]
    return PartsSurvey(
        source,
        SampleSchema(D_I, np.dtype(dtype), sparse, columns),
        Moments.from_json(fields["moments"]),
        int(fields["M"]),
        float(fields["total_weight"]),
        dict(map(tuple, fields["class_counts"])),
        dict(map(tuple, fields["class_totals"])),
        None if positive is None else np.array(positive),
        str(fields["digest"]),
        {file: [int(n), str(first), str(why)] for file, (n, first, why) in dict(fields["skipped"]).items()},
    )
