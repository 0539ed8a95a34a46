"""Samples from a source, as training sees them: chunks that fit into memory, read ahead in the background."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.arrays import Samples
from thetanet.data.source import Part, Source, read_part
from thetanet.data.survey import Survey
from thetanet.errors import InputError

_AHEAD = 1  # chunks that are read before they are needed
_HEAD = 4096  # samples that stand for all where a look at some is enough


@dataclass(frozen=True, eq=False)
class StreamedSamples(Samples):
    """Samples of a source. X and L are those of its head, for whoever needs a look at some samples.

    Attributes
    ----------
    source : Source
        What is read.
    survey : Survey
        What a first pass found.
    targets : callable
        Turns labels into targets.
    factors : array of shape (n_classes,), optional
        Weights of the classes.
    rows : int
        Samples in a chunk.
    prepare : callable, optional
        What the engine wants done with a chunk before it is needed; by the thread that reads ahead.
    """

    source: Source = field(default=None)  # type: ignore[assignment]
    survey: Survey = field(default=None)  # type: ignore[assignment]
    targets: Callable[[NDArray[Any]], NDArray[Any]] = field(default=None)  # type: ignore[assignment]
    factors: NDArray[np.float64] | None = None
    rows: int = 0
    prepare: Callable[[Samples], Any] | None = None

    def __post_init__(self) -> None:
        """Do without the checks of samples in memory: the survey has made them."""

    @property
    def M(self) -> int:
        """Number of samples in the source."""
        return self.survey.M

    @cached_property
    def class_counts(self) -> NDArray[np.float64]:
        """Number of samples of each class, or with each label: shape (n_labels,)."""
        if self.survey.positive is not None:
            return self.survey.positive
        return np.array([self.survey.counts[label] for label in sorted(self.survey.counts)], np.float64)

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights."""
        return float(self.M) if self.factors is None else float(self.factors @ self.class_counts)

    def target_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of each target: shape (D_O,)."""
        weights = self.class_counts if self.factors is None else self.factors * self.class_counts
        shares = weights / self.total_weight
        return shares[1:] if len(shares) == 2 and self.D_O == 1 else shares

    def digest(self) -> str:
        """Return a fingerprint of the data and of how it is shuffled."""
        said = repr((self.survey.digest, len(self.source.parts), self.rows, self.scaling.kind, self.D_O))
        hashed = hashlib.blake2b(said.encode(), digest_size=16)
        for array in (self.factors, self.scaling.factor, self.scaling.shift):
            hashed.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()

    def prepared_by(self, prepare: Callable[[Samples], Any] | None) -> StreamedSamples:
        """Return these samples, with chunks that were prepared by the thread that reads them."""
        return replace(self, prepare=prepare)

    def take(self, rows: Any) -> Samples:
        """Refuse: rows of a source cannot be picked one by one."""
        raise InputError(f"{self.source.name}: is read in parts; single rows cannot be taken")

    def chunks(
        self, rng: np.random.Generator | None = None, when: float = 0.0, multiple: int = 1
    ) -> Iterator[Samples]:
        """Yield chunks of samples; with `rng` the parts come in a random order.

        All but the last chunk hold a multiple of `multiple` samples. Shuffling within a chunk is left to
        training, which draws mini-batches at random.
        """
        order = np.arange(len(self.source.parts)) if rng is None else rng.permutation(len(self.source.parts))
        parts = [self.source.parts[n] for n in order]
        rows = max(1, self.rows // multiple) * multiple

        def ready() -> Iterator[Samples]:
            for X, y in self._pieces(parts, rows):
                L = self.targets(y)
                chunk = Samples(X, L, self.D_O, self.scaling, self._weights(L), self.active_inputs)
                if self.prepare is not None:
                    self.prepare(chunk)
                yield chunk

        yield from read_ahead(ready)

    def _weights(self, L: NDArray[Any]) -> NDArray[np.float64] | None:
        if self.factors is None:
            return None
        weights: NDArray[np.float64] = self.factors[L[:, 0].astype(np.intp) if L.ndim == 2 else L]
        return weights

    def _pieces(self, parts: Sequence[Part], rows: int) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Join parts to pieces of equally many rows."""
        held: list[tuple[Any, NDArray[Any]]] = []
        n = 0
        for part in parts:
            X, y = read_part(part, self.survey.kind)
            while n + len(y) >= rows:
                cut = rows - n
                yield _joined([*held, (X[:cut], y[:cut])])
                held, n, X, y = [], 0, X[cut:], y[cut:]
            if len(y):
                held.append((X, y))
                n += len(y)
        if held:
            yield _joined(held)


def _joined(held: list[tuple[Any, NDArray[Any]]]) -> tuple[Any, NDArray[Any]]:
    if len(held) == 1:
        return held[0]
    y = np.concatenate([y for _, y in held])
    if isinstance(held[0][0], np.ndarray):
        return np.concatenate([X for X, _ in held]), y
    from scipy import sparse

    return sparse.vstack([X for X, _ in held], format="csr"), y


class _Stopped(Exception):
    """Nobody wants what is read any more."""


def read_ahead(make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yield what `make()` yields, which runs ahead in a thread of its own; its errors are raised here."""
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(_AHEAD)
    over = threading.Event()

    def put(what: str, item: Any) -> None:
        while True:
            if over.is_set():
                raise _Stopped
            try:
                return ready.put((what, item), timeout=0.1)
            except queue.Full:
                pass

    def run() -> None:
        try:
            for item in make():
                put("item", item)
                del item  # or this thread would keep one chunk more in memory
            put("end", None)
        except _Stopped:
            pass
        except BaseException as problem:
            with contextlib.suppress(_Stopped):
                put("problem", problem)

    thread = threading.Thread(target=run, name="thetanet-reader", daemon=True)
    thread.start()
    try:
        while True:
            what, item = ready.get()
            if what == "problem":
                raise item
            if what == "end":
                return
            yield item
            del item
    finally:
        over.set()
        thread.join()


def head_of(source: Source) -> tuple[Any, NDArray[Any]]:
    """Return X and y of the first samples, about 4,096."""
    held: list[tuple[Any, NDArray[Any]]] = []
    for X, y in source:
        if len(y) or not held:
            held.append((X[:_HEAD], y[:_HEAD]))
        if sum(len(y) for _, y in held) >= _HEAD:
            break
    return _joined([each for each in held if len(each[1])] or held)
