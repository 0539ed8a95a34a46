"""Samples on a cluster: from arrays and sources to groups that workers hold.

What is sent to workers are functions of this file, descriptions of parts, and the samples of arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from thetanet.data.formats.arrays import ArrayPart
from thetanet.data.samples import Samples, TrainingSamples
from thetanet.data.skipping import SkippedByFile, warn_of_skipped
from thetanet.data.source import Part, Progress, Rows, SampleSchema, Source, hash_rows, read_rows
from thetanet.data.streams import StreamedSamples
from thetanet.data.survey import PartsSurvey, Survey, survey_source
from thetanet.engine.dask import tasks
from thetanet.errors import DataFileError, InputError

_HEAD = 4096  # samples that are looked at here, as of a source on this machine
_BYTES_AT_ONCE = 4 << 20  # of arrays that are sent

# Parts on the workers and their numbers of samples, by source, from the survey on.
_scattered: WeakKeyDictionary[Source, tuple[Any, list[int]]] = WeakKeyDictionary()


class DistributedSamples(TrainingSamples):
    """Samples that workers hold in groups: one chunk, of which only the head is here.

    Parameters
    ----------
    local : TrainingSamples
        What is known of them here.
    groups : Groups
        What the workers hold.
    """

    def __init__(self, local: TrainingSamples, groups: Any) -> None:
        self.local, self.groups = local, groups
        self.D_O, self.scaling = local.D_O, local.scaling

    @property
    def head(self) -> Samples:
        """Some of them."""
        return self.local.head

    @property
    def M(self) -> int:
        """Number of samples."""
        return self.local.M

    @property
    def D_I(self) -> int:
        """Number of inputs."""
        return self.local.D_I

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights."""
        return self.local.total_weight

    @property
    def group_size(self) -> int:
        """Number of samples in a group, which descend together in mini-batches."""
        return max(1, self.M // len(self.groups))

    def target_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of each target: shape (D_O,)."""
        return self.local.target_mean()

    def digest(self) -> str:
        """Return a fingerprint of the data and of its division."""
        return f"{self.local.digest()}, {len(self.groups)} groups"

    def chunks(
        self, rng: np.random.Generator | None = None, training_progress: float = 0.0, multiple: int = 1
    ) -> Iterator[Any]:
        """Yield all at once: the engine knows what to do."""
        yield self


def distribute(engine: Any, samples: TrainingSamples) -> DistributedSamples:
    """Have the workers of an engine hold these samples; returns what stands for them here.

    Raises
    ------
    InputError
        If they are new in each epoch (deformed images).
    """
    if isinstance(samples, StreamedSamples):
        groups = _distribute_parts(engine, samples)
    elif isinstance(samples, Samples):
        rows = _rows_at_once(samples, engine.groups)
        pieces = [_SentSamples(samples.take(slice(low, low + rows))) for low in range(0, samples.M, rows)]
        groups = engine.scatter(_join_samples, pieces)
    else:
        raise InputError("deform: works on this machine; on a cluster use deform=None")
    return DistributedSamples(samples, groups)


@dataclass(frozen=True, eq=False)
class _SentSamples:
    """Samples that travel to a worker by themselves."""

    sent: Samples


def _rows_at_once(samples: Samples, groups: int) -> int:
    """Return how many rows are sent at once: no more than 4 MB, and at least as many pieces as groups."""
    X = samples.X
    each = X.shape[1] * X.itemsize if isinstance(X, np.ndarray) else 12 * X.nnz / max(1, samples.M)
    return max(1, min(-(-samples.M // groups), int(_BYTES_AT_ONCE / max(1.0, each))))


def _join_samples(pieces: list[Samples]) -> tasks.Group:
    """Join samples that were sent piece by piece to one chunk."""
    first = pieces[0]
    if isinstance(first.X, np.ndarray):
        X = np.concatenate([piece.X for piece in pieces])
    else:
        from scipy import sparse

        X = sparse.vstack([piece.X for piece in pieces], format="csr")
    weight = None
    if first.weight is not None:
        weight = np.concatenate([piece.weight for piece in pieces if piece.weight is not None])
    joined = replace(first, X=X, L=np.concatenate([piece.L for piece in pieces]), weight=weight)
    return tasks.Group([joined], joined.M)


def _distribute_parts(engine: Any, samples: StreamedSamples) -> Any:
    parts, sizes = _scattered[samples.source]
    # Only the description travels: the parts are on the workers, or are described there.
    bare = replace(samples, first=None, source=Source("a group of parts", [_NoPart()]))
    # A group without samples has no terms to add to a sum.
    groups = engine.map_groups(
        parts, [partial(_ready_group, bare, engine.keep, M) if M else None for M in sizes]
    )
    if engine.keep:
        engine.gather(groups, _wait_for_group)
        parts.release()
    return groups


class _NoPart(Part):
    """Stands for parts that are elsewhere."""

    where = "parts on a worker"

    def read(self) -> Rows:
        """Refuse: there is nothing here."""
        raise InputError(f"{self.where}: cannot be read here")


def _ready_group(samples: StreamedSamples, keep: bool, M: int, groups: list[tasks.Group]) -> tasks.Group:
    """Return the samples of a group of parts: in memory, or to be read in each pass."""
    local = replace(samples, source=Source("a group of parts", groups[0].content), n_samples=M)
    return tasks.Group(list(local.chunks()) if keep else local, M)


def _wait_for_group(engine: Any, group: tasks.Group, number: int) -> None:
    """Return when a group is there."""


def _group_parts(pieces: list[Any]) -> tasks.Group:
    """Return the parts of a group; what comes as computed samples becomes parts."""
    return tasks.Group([ArrayPart(*piece) if isinstance(piece, tuple) else piece for piece in pieces])


class _GroupSurvey(NamedTuple):
    """What was seen of a group of parts on a worker."""

    survey: PartsSurvey | None
    digests: list[bytes]
    skipped: SkippedByFile


def survey_on_workers(engine: Any, source: Source, progress: Progress | None = None) -> Survey:
    """Survey a source on the workers of an engine; samples in memory, which are sent there later, here.

    Raises
    ------
    DataFileError, InputError
        If parts do not fit together, or there are too many labels to be classes.
    """
    if source.in_memory:
        return survey_source(source)
    parts = engine.scatter(_group_parts, source.parts)
    seen: list[_GroupSurvey] = engine.gather(parts, _survey_group)
    sizes = [0 if each.survey is None else each.survey.M for each in seen]
    _scattered[source] = parts, sizes
    if progress is not None:
        progress(len(source.parts), len(source.parts))
    skipped = _add_skipped(source, [each.skipped for each in seen])
    warn_of_skipped(skipped)
    survey = merge_surveys(source, [each.survey for each in seen], [each.digests for each in seen])
    survey.skipped = skipped
    enough = int(np.searchsorted(np.cumsum(sizes), _HEAD)) + 1
    heads = [ArrayPart(*head) for head in engine.gather(parts, _read_group_head, enough) if head is not None]
    survey.head = Source("the first parts", heads).read_head()
    return survey


def _survey_group(engine: Any, group: tasks.Group, number: int) -> _GroupSurvey:
    survey: PartsSurvey | None = None
    digests = []
    source = Source("a group of parts", group.content)
    for part in group.content:
        rows = read_rows(part, None if survey is None else survey.schema)
        if rows.M:
            if survey is None:
                survey = PartsSurvey.begin(source, SampleSchema.of(rows))
            digests.append(hash_rows(rows))
            survey.add(rows)
    skipped = source.skipped_rows()
    if survey is not None:
        survey.source = Source("a group of parts", [_NoPart()])  # parts do not travel back
    return _GroupSurvey(survey, digests, skipped)


def _add_skipped(source: Source, groups: Sequence[SkippedByFile]) -> SkippedByFile:
    """Return for each file what all groups have skipped, and what was when the source was opened."""
    here = Source(source.name, source.unpacked).skipped_rows() if source.unpacked else {}
    total: SkippedByFile = {}
    for skipped in [here, *groups]:
        for file, (count, first, why) in skipped.items():
            before = total.get(file, [0, first, why])
            total[file] = [before[0] + count, *before[1:]]
    return total


def _read_group_head(engine: Any, group: tasks.Group, number: int, enough: int) -> Any:
    return tuple(Source("the first parts", group.content).read_head()) if number < enough else None


def merge_surveys(
    source: Source, surveys: Sequence[PartsSurvey | None], digests: Sequence[list[bytes]]
) -> PartsSurvey:
    """Return the survey of all groups together.

    Raises
    ------
    DataFileError, InputError
        If they do not fit together, or there are too many labels to be classes.
    """
    known = [survey for survey in surveys if survey is not None]
    if not known:
        raise InputError(f"{source.name}: there are no samples in it")
    merged = PartsSurvey.begin(source, known[0].schema)
    for survey in known:
        if survey.schema != merged.schema:
            raise DataFileError(f"{source.name}: some parts hold {survey.schema}, but others {merged.schema}")
        merged.merge(survey)
    hashed = hashlib.blake2b(digest_size=16)
    for group in digests:
        for one in group:
            hashed.update(one)
    merged.digest = hashed.hexdigest()
    return merged
