"""Samples on a cluster: from arrays, sources and Dask collections to groups that workers hold.

What is sent to workers are functions of this file, descriptions of parts, and the samples of arrays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from thetanet.data.arrays import Samples
from thetanet.data.skipping import skipped_by, warn_of
from thetanet.data.source import ArrayPart, Kind, Source, digest_of, read_part
from thetanet.data.streams import StreamedSamples, head_of
from thetanet.data.survey import Progress, Survey, add
from thetanet.engine.dask import DaskEngine, tasks
from thetanet.engine.dask.collections import is_collection, parts_of_arrays, parts_of_frame
from thetanet.errors import DataFileError, InputError

_HEAD = 4096  # samples that are looked at here, as of a source on this machine
_PIECE = 4 << 20  # bytes of arrays that are sent at once
_MOST_CLASSES = 10_000

# Parts on the workers and their numbers of samples, by source, from the first look on.
_divided: WeakKeyDictionary[Source, tuple[Any, list[int]]] = WeakKeyDictionary()


def on_cluster(engine: Any) -> bool:
    """Tell whether an engine computes on a cluster."""
    return isinstance(engine, DaskEngine)


def as_source(X: Any, y: Any = None, target: Any = None) -> Any:
    """Return a source of Dask arrays X, y or of a Dask dataframe with the columns `target` as labels.

    Partitions are computed on the workers, and stay there. Anything but a Dask collection is returned as it
    is.

    Raises
    ------
    InputError
        If X and y do not fit together, or the columns are not there.
    """
    if not is_collection(X):
        return X
    if hasattr(X, "columns"):
        if target is None or y is not None:
            raise InputError(
                "X is a dataframe of Dask: give thetanet.training.cluster.as_source(frame, target=NAME)"
            )
        labels = [target] if isinstance(target, str) else list(target)
        names = [str(name) for name in X.columns if name not in labels]
        return Source("a Dask dataframe", parts_of_frame(X, target), names)
    return Source(f"a Dask array of shape {X.shape}", parts_of_arrays(X, y))


# eq=False: samples are known by identity.
@dataclass(frozen=True, eq=False)
class SpreadSamples(Samples):
    """Samples that workers hold: one chunk, of which only the head is here.

    Attributes
    ----------
    local : Samples
        What is known of them here.
    groups : engine.dask.calls.Groups
        The groups.
    """

    local: Any = field(default=None)
    groups: Any = field(default=None)

    def __post_init__(self) -> None:
        """Do without the checks, which `local` has passed."""

    @property
    def M(self) -> int:
        """Number of samples."""
        return int(self.local.M)

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights."""
        return float(self.local.total_weight)

    @property
    def together(self) -> int:
        """Number of samples in a group, which descend together in mini-batches."""
        return max(1, self.M // len(self.groups))

    def target_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of each target: shape (D_O,)."""
        mean: NDArray[np.float64] = self.local.target_mean()
        return mean

    def digest(self) -> str:
        """Return a fingerprint of the data and of its division."""
        return f"{self.local.digest()}, {len(self.groups)} groups"

    def chunks(
        self, rng: np.random.Generator | None = None, when: float = 0.0, multiple: int = 1
    ) -> Iterator[Samples]:
        """Yield all at once: the engine knows what to do."""
        yield self


def spread(engine: Any, samples: Any) -> Any:
    """Have the workers hold these samples; returns what stands for them here.

    Raises
    ------
    InputError
        If they are new in each epoch (deformed images).
    """
    if samples is None:
        return None
    if isinstance(samples, StreamedSamples):
        groups = _spread_parts(engine, samples)
    elif type(samples) is Samples:
        rows = _rows_of(samples, engine.groups)
        pieces = [_Sent(samples.take(slice(low, low + rows))) for low in range(0, samples.M, rows)]
        groups = engine.scatter(_join, pieces)
    else:
        raise InputError("deform: works on this machine; on a cluster use deform=None")
    local = samples
    known = {"X": local.X, "L": local.L, "D_O": local.D_O, "scaling": local.scaling, "weight": local.weight}
    return SpreadSamples(**known, local=local, groups=groups)


@dataclass(frozen=True, eq=False)
class _Sent:
    sent: Samples


def _rows_of(samples: Samples, groups: int) -> int:
    """Return how many rows are sent at once: no more than 4 MB, and at least as many pieces as groups."""
    X = samples.X
    each = X.shape[1] * X.itemsize if isinstance(X, np.ndarray) else 12 * X.nnz / max(1, samples.M)
    return max(1, min(-(-samples.M // groups), int(_PIECE / max(1.0, each))))


def _join(pieces: list[Samples]) -> tasks.Group:
    """Join samples that were sent piece by piece to one chunk."""
    first = pieces[0]
    arrays = isinstance(first.X, np.ndarray)
    if arrays:
        X = np.concatenate([piece.X for piece in pieces])
    else:
        from scipy import sparse

        X = sparse.vstack([piece.X for piece in pieces], format="csr")
    weight = None if first.weight is None else np.concatenate([piece.weight for piece in pieces])
    whole = replace(first, X=X, L=np.concatenate([piece.L for piece in pieces]), weight=weight)
    return tasks.Group([whole], whole.M)


def _spread_parts(engine: Any, samples: StreamedSamples) -> Any:
    divided, sizes = _divided[samples.source]
    bare = replace(samples, X=None, L=np.zeros(0), source=Source("no parts yet", [None]))  # type: ignore[list-item]
    # A group without samples has no terms to add to a sum.
    groups = engine.map_groups(divided, [partial(_ready, bare, engine.keep, M) if M else None for M in sizes])
    if engine.keep:
        engine.gather(groups, _nothing)
        divided.release()
    return groups


def _parts(pieces: list[Any]) -> tasks.Group:
    """Return the parts of a group; what comes as arrays becomes parts."""
    return tasks.Group([ArrayPart(*piece) if isinstance(piece, tuple) else piece for piece in pieces])


def _nothing(engine: Any, group: tasks.Group, number: int) -> None:
    """Wait for a group."""


def _ready(samples: StreamedSamples, keep: bool, M: int, groups: list[tasks.Group]) -> tasks.Group:
    """Return the samples of a group of parts: in memory, or to be read in each pass."""
    own = replace(samples, source=Source("a group of parts", groups[0].content))
    return tasks.Group(list(own.chunks()) if keep else own, M)


def look(engine: Any, source: Source, progress: Progress | None = None) -> tuple[Survey, Any, Any]:
    """Look through a source on the workers: return what was found, and X and y of its first samples.

    Raises
    ------
    DataFileError, InputError
        If parts do not fit together, or there are too many labels to be classes.
    """
    divided = engine.scatter(_parts, source.parts)
    seen = engine.gather(divided, _look)
    sizes = [0 if found is None else found.M for found, _, _ in seen]
    _divided[source] = divided, sizes
    if progress is not None:
        progress(len(source.parts), len(source.parts))
    skipped = _skipped(source, [skipped for _, _, skipped in seen])
    warn_of(skipped)
    found = merged(source.name, [found for found, _, _ in seen], [said for _, said, _ in seen])
    found.skipped = skipped
    enough = int(np.searchsorted(np.cumsum(sizes), _HEAD)) + 1
    heads = [ArrayPart(*head) for head in engine.gather(divided, _head, enough) if head is not None]
    return (found, *head_of(Source("the first parts", heads)))


def _look(
    engine: Any, group: tasks.Group, number: int
) -> tuple[Survey | None, list[bytes], dict[str, list[Any]]]:
    found: Survey | None = None
    digests = []
    for part in group.content:
        X, y = read_part(part, None if found is None else found.kind)
        if not X.shape[0]:
            continue
        if found is None:
            found = _empty(Kind.of(X, y))
        digests.append(digest_of(X, y))
        if found.positive is not None:
            found.positive += y.sum(axis=0, dtype=np.float64)
        else:
            values, times = np.unique(y, return_counts=True)
            counts = Counter(found.counts)
            counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
            found.counts = dict(counts)
        add(found, X)
    return found, digests, skipped_by(Source("a group of parts", group.content))


def _skipped(source: Source, groups: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Return for each file what all groups have skipped, and what was when the source was opened."""
    unpacked = getattr(source, "unpacked", ())
    here = skipped_by(Source(source.name, unpacked)) if unpacked else {}
    whole: dict[str, list[Any]] = {}
    for skipped in [here, *groups]:
        for file, (count, first, why) in skipped.items():
            before = whole.get(file, [0, first, why])
            whole[file] = [before[0] + count, *before[1:]]
    return whole


def _head(engine: Any, group: tasks.Group, number: int, enough: int) -> Any:
    return head_of(Source("the first parts", group.content)) if number < enough else None


def _empty(kind: Kind) -> Survey:
    several = None if kind.columns is None else np.zeros(kind.columns)
    largest, mean, spread = np.zeros((3, kind.D_I))
    return Survey(0, kind, {}, several, largest, mean, spread)


def merged(name: str, surveys: Sequence[Survey | None], digests: Sequence[list[bytes]]) -> Survey:
    """Return the survey of all groups together.

    Raises
    ------
    DataFileError, InputError
        If they do not fit together, or there are too many labels to be classes.
    """
    known = [found for found in surveys if found is not None]
    if not known:
        raise InputError(f"{name}: there are no samples in it")
    whole = _empty(known[0].kind)
    counts: Counter[Any] = Counter()
    for found in known:
        if found.kind != whole.kind:
            raise DataFileError(f"{name}: some parts hold {found.kind}, but others {whole.kind}")
        counts.update(found.counts)
        if whole.positive is not None and found.positive is not None:
            whole.positive += found.positive
        whole.merge(found.M, found.largest, found.mean, found.spread)
    if len(counts) > _MOST_CLASSES:
        raise InputError(
            f"{name}: has over {_MOST_CLASSES:,} different labels; they must be classes, not numbers to be "
            "predicted"
        )
    hashed = hashlib.blake2b(digest_size=16)
    for group in digests:
        for one in group:
            hashed.update(one)
    whole.counts, whole.digest = dict(counts), hashed.hexdigest()
    return whole
