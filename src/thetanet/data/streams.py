"""Samples of a source in parts as training reads them: in chunks that fit into memory, read in advance."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.labels import Labels
from thetanet.data.samples import Samples, TrainingSamples
from thetanet.data.scaling import Scaling
from thetanet.data.source import Part, Rows, SampleSchema, Source, join_rows, read_rows

_AHEAD = 1  # chunks that are read before they are needed

Targets = Callable[[Rows], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class StreamedSamples(TrainingSamples):
    """Samples of a source that are read anew in each pass.

    Attributes
    ----------
    D_O : int
        Number of outputs.
    scaling : Scaling
        Of the inputs.
    source : Source
        What is read.
    schema : SampleSchema
        What its parts have in common.
    first : Rows, optional
        Its first samples.
    n_samples : int
        Number of samples.
    weight_sum : float
        Sum of the sample weights.
    target_totals : array of shape (D_O,)
        Weighted sum of each target.
    labels : Labels
        Turns labels into targets.
    factors : array of shape (n_classes,), optional
        Weights of the classes.
    active_inputs : array of int
        Inputs that are not zero everywhere.
    rows : int
        Samples in a chunk.
    data_digest : str
        Fingerprint of all samples in order.
    targets : callable, optional
        Returns the targets of some rows, instead of those of their labels.
    prepare : callable, optional
        Called with each chunk by the thread that reads in advance, to prepare it for the engine.
    """

    D_O: int
    scaling: Scaling
    source: Source
    schema: SampleSchema
    first: Rows | None
    n_samples: int
    weight_sum: float
    target_totals: NDArray[np.float64]
    labels: Labels
    factors: NDArray[np.float64] | None
    active_inputs: NDArray[np.int64]
    rows: int
    data_digest: str
    targets: Targets | None = None
    prepare: Callable[[Samples], Any] | None = None

    @cached_property
    def head(self) -> Samples:
        """The first samples."""
        return self._to_samples(self.source.read_head() if self.first is None else self.first)

    @property
    def M(self) -> int:
        """Number of samples."""
        return self.n_samples

    @property
    def D_I(self) -> int:
        """Number of inputs."""
        return self.schema.D_I

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights."""
        return self.weight_sum

    def target_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of each target: shape (D_O,); of a teacher's targets that of the head."""
        return self.target_totals / self.total_weight if self.targets is None else self.head.target_mean()

    def digest(self) -> str:
        """Return a fingerprint of the samples and of the chunks in which they are shuffled."""
        text = repr((self.data_digest, len(self.source.parts), self.rows, self.scaling.kind, self.D_O))
        hashed = hashlib.blake2b(text.encode(), digest_size=16)
        for array in (self.factors, self.scaling.factor, self.scaling.shift):
            hashed.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        if self.targets is not None:
            hashed.update(np.ascontiguousarray(self.head.take(slice(0, 64)).L).tobytes())
        return hashed.hexdigest()

    def with_preparation(self, prepare: Callable[[Samples], Any] | None) -> StreamedSamples:
        """Return these samples, with chunks that were prepared by the thread that reads them."""
        return replace(self, prepare=prepare)

    def chunks(
        self, rng: np.random.Generator | None = None, training_progress: float = 0.0, multiple: int = 1
    ) -> Iterator[Samples]:
        """Yield chunks of samples; with `rng` the parts come in a random order."""
        order = np.arange(len(self.source.parts)) if rng is None else rng.permutation(len(self.source.parts))
        parts = [self.source.parts[n] for n in order]
        size = max(1, self.rows // multiple) * multiple

        def read_chunks() -> Iterator[Samples]:
            for rows in self._regroup(parts, size):
                chunk = self._to_samples(rows)
                if self.prepare is not None:
                    self.prepare(chunk)
                yield chunk

        yield from read_ahead(read_chunks)

    def _to_samples(self, rows: Rows) -> Samples:
        L, weight = self.labels.targets(rows.y), rows.weight
        if self.factors is not None:
            weight = self.labels.weigh(L, weight, self.factors)
        if self.targets is not None:
            L = self.targets(rows)
        return Samples(rows.X, L, self.D_O, self.scaling, weight, self.active_inputs)

    def _regroup(self, parts: Sequence[Part], size: int) -> Iterator[Rows]:
        """Yield the rows of parts in pieces of `size` rows, the last one perhaps shorter."""
        pieces: list[Rows] = []
        n = 0
        for part in parts:
            rows = read_rows(part, self.schema)
            while n + rows.M >= size:
                cut = size - n
                yield join_rows([*pieces, rows.take(slice(0, cut))])
                pieces, n, rows = [], 0, rows.take(slice(cut, None))
            if rows.M:
                pieces.append(rows)
                n += rows.M
        if pieces:
            yield join_rows(pieces)


class _StoppedError(Exception):
    """The consumer has stopped."""


def read_ahead(make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yield the items of `make()`, which runs ahead in a background thread; its errors are raised here."""
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(kind: str, item: Any) -> None:
        while True:
            if stopped.is_set():
                raise _StoppedError
            try:
                return ready.put((kind, item), timeout=0.1)
            except queue.Full:
                pass

    def run() -> None:
        try:
            for item in make():
                put("item", item)
                del item  # or this thread would keep one more chunk in memory
            put("end", None)
        except _StoppedError:
            pass
        except BaseException as problem:
            with contextlib.suppress(_StoppedError):
                put("problem", problem)

    thread = threading.Thread(target=run, name="thetanet-reader", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = ready.get()
            if kind == "problem":
                raise item
            if kind == "end":
                return
            yield item
            del item
    finally:
        stopped.set()
        thread.join()
