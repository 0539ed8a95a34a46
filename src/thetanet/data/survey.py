"""The first pass over a source: how many samples there are, their classes, their scaling, their fingerprint.

It reads everything once, and remembers in a small file what it found, for as long as the source stays what it
is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.scaling import KINDS, Scaling, inverse
from thetanet.data.skipping import no_samples, skipped_by, warn_of
from thetanet.data.source import Kind, Source, digest_of, read_part
from thetanet.data.survey_cache import note, recalled
from thetanet.errors import InputError

_MOST_CLASSES = 10_000

Progress = Callable[[int, int], None]  # (parts read, parts)


@dataclass(eq=False)
class Survey:
    """What a first pass finds.

    Attributes
    ----------
    M : int
        Number of samples.
    kind : Kind
        What all parts have in common.
    counts : dict
        Labels, and how many samples have them; empty for several labels a sample.
    positive : array of shape (n_labels,)
        For several labels a sample: how many samples have each.
    largest : array of shape (D_I,)
        Largest absolute value of each input.
    mean, spread : arrays of shape (D_I,)
        Mean of each input, and the root of the sum of its squared differences from it: of numbers beyond
        1e154 or below 1e-154 that sum cannot be held.
    digest : str
        Fingerprint of all samples in order.
    skipped : dict
        Files, and how many bad rows of each were left out, where the first was, and why.
    """

    M: int
    kind: Kind
    counts: dict[Any, int] = field(default_factory=dict)
    positive: NDArray[np.float64] | None = None
    largest: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    spread: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    digest: str = ""
    skipped: dict[str, list[Any]] = field(default_factory=dict)

    def merge(
        self, M: int, largest: NDArray[np.float64], mean: NDArray[np.float64], spread: NDArray[np.float64]
    ) -> None:
        """Add what was found of M further samples (Chan, Golub & LeVeque 1979)."""
        both = self.M + M
        apart = mean - self.mean
        self.largest = np.maximum(self.largest, largest)
        self.mean = self.mean + apart * (M / both)
        between = np.abs(apart) * np.sqrt(self.M * M / both)
        self.spread = np.hypot(np.hypot(self.spread, spread), between)
        self.M = both

    def labels(self) -> NDArray[Any]:
        """Return the classes, sorted: shape (n_classes,)."""
        return np.array(sorted(self.counts))

    def scaling(self, kind: str = "auto") -> Scaling:
        """Return the scaling that `Scaling.of` would find for all samples at once, up to rounding.

        Raises
        ------
        InputError
            If `kind` is unknown, or "standard" is asked for sparse samples.
        """
        if kind not in KINDS:
            raise InputError(f"scaling={kind!r}: must be one of {', '.join(KINDS)}")
        D_I, sparse = self.kind.D_I, self.kind.sparse
        if kind == "auto":
            whole = self.kind.dtype == np.uint8
            kind = "maximum" if sparse else "pixels" if whole else "standard"
            brightest = int(self.largest.max(initial=0)) if kind == "pixels" else 255
            if brightest < 128:
                return Scaling(kind, np.full(D_I, 1 / max(1, brightest)))
        if kind == "none":
            return Scaling.identity(D_I)
        if kind == "pixels":
            return Scaling(kind, np.full(D_I, 1 / 255))
        if kind == "maximum":
            return Scaling(kind, inverse(self.largest))
        if sparse:
            raise InputError("scaling='standard' would make sparse samples dense: use 'maximum' or 'none'")
        deviation = self.spread / np.sqrt(self.M)
        deviation[deviation <= 1e-12 * np.abs(self.mean)] = 0.0  # rounding of a constant, no deviation
        return Scaling(kind, inverse(np.where(deviation > 0, deviation, self.largest)), self.mean)


def survey(source: Source, progress: Progress | None = None, cache: Path | None = None) -> Survey:
    """Read all parts once; what was found before for the same files is taken from the cache.

    Parameters
    ----------
    source : Source
        What to read.
    progress : callable, optional
        Told after each part.
    cache : folder, optional
        Where to keep what was found. `THETANET_CACHE`, or a folder of the user's, if None.

    Raises
    ------
    DataFileError, InputError
        If parts do not fit together, or there are too many labels to be classes.
    """
    found = recalled(source, cache, _from_json)
    if found is None:
        found = _look(source, progress)
        found.skipped = skipped_by(source)
        note(source, cache, _to_json(found))
    warn_of(found.skipped)
    return found


def _look(source: Source, progress: Progress | None) -> Survey:
    hashed = hashlib.blake2b(digest_size=16)
    counts: Counter[Any] = Counter()
    found: Survey | None = None
    for n, part in enumerate(source.parts):
        X, y = read_part(part, None if found is None else found.kind)
        if X.shape[0]:
            if found is None:
                kind = Kind.of(X, y)
                several = None if kind.columns is None else np.zeros(kind.columns)
                D_I = kind.D_I
                found = Survey(0, kind, {}, several, np.zeros(D_I), np.zeros(D_I), np.zeros(D_I))
            hashed.update(digest_of(X, y))
            if found.positive is not None:
                found.positive += y.sum(axis=0, dtype=np.float64)
            else:
                values, times = np.unique(y, return_counts=True)
                counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
                if len(counts) > _MOST_CLASSES:
                    raise InputError(
                        f"{source.name}: has over {_MOST_CLASSES:,} different labels; they must be classes, "
                        "not numbers to be predicted"
                    )
            add(found, X)
        if progress is not None:
            progress(n + 1, len(source.parts))
    if found is None:
        raise no_samples(source)
    found.counts, found.digest = dict(counts), hashed.hexdigest()
    return found


def add(found: Survey, X: Any) -> None:
    """Add a part to mean and spread and to the largest values."""
    n, dense = X.shape[0], isinstance(X, np.ndarray)
    if dense:
        low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
        largest = np.maximum(np.abs(low), np.abs(high))
        # Integers add up exactly as they are; float64 would take eight times the memory of pixels.
        sums = X.sum(axis=0, dtype=np.float64 if X.dtype.kind == "f" else np.int64)
        mean = np.asarray(sums, np.float64) / n
        if X.dtype != np.uint8:  # pixels are not standardised unless asked for; then by what follows
            unit = np.where((largest > 1e100) | (largest < 1e-100), inverse(largest), 1.0)
            spread = np.sqrt(np.square((X - mean) * unit, dtype=np.float64).sum(axis=0)) / unit
        else:
            square = np.einsum("ij,ij->j", X, X, dtype=np.int64) - n * mean * mean
            spread = np.sqrt(np.maximum(square, 0))
    else:
        largest = np.asarray(abs(X).max(axis=0).todense(), dtype=np.float64).ravel()
        mean, spread = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    found.merge(n, largest, mean, spread)


def _to_json(found: Survey) -> dict[str, Any]:
    kind = found.kind
    return {
        "M": found.M,
        "kind": [kind.D_I, kind.dtype.str, kind.sparse, kind.columns],
        "counts": list(found.counts.items()),
        "arrays": [
            None if a is None else a.tolist()
            for a in (found.positive, found.largest, found.mean, found.spread)
        ],
        "digest": found.digest,
        "skipped": found.skipped,
    }


def _from_json(said: dict[str, Any]) -> Survey:
    D_I, dtype, sparse, columns = said["kind"]
    skipped = {
        file: [int(n), str(first), str(why)] for file, (n, first, why) in dict(said["skipped"]).items()
    }
    positive, largest, mean, spread = (None if a is None else np.array(a) for a in said["arrays"])
    return Survey(
        int(said["M"]), Kind(D_I, np.dtype(dtype), sparse, columns), dict(map(tuple, said["counts"])),
        positive, largest, mean, spread, said["digest"], skipped,  # type: ignore[arg-type]
    )  # fmt: skip
