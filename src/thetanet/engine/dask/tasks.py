"""The functions that run on the workers of a cluster: they compute sums over groups of samples."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, reduce
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from thetanet.engine import Measure
from thetanet.engine.cpu.engine import CPUEngine
from thetanet.theta import Theta

Terms = tuple[Any, ...]  # arrays, to be added each to its like
Shape = tuple[int, int, int]


class Group:
    """Parts of the samples, which a worker holds in memory or reads anew in each pass.

    Parameters
    ----------
    content : object
        A list of chunks or of parts, or an object whose `chunks(rng, when, multiple)` yields them.
    M : int
        Number of samples, where it is known.
    """

    def __init__(self, content: Any, M: int = 0) -> None:
        self.content, self.M = content, M
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        return Group, (self.content, self.M)

    def __sizeof__(self) -> int:
        """Return what it weighs, by which the scheduler decides whether to move it, and when to spill it."""
        return sys.getsizeof(self.lock) + _bytes_of(self.content)

    def chunks(self, rng: np.random.Generator | None = None, when: float = 0.0, batch_size: int = 1) -> Any:
        """Yield the chunks, with `rng` in random order."""
        if not isinstance(self.content, list):
            yield from self.content.chunks(rng, when, batch_size)
            return
        count = len(self.content)
        for n in range(count) if rng is None else rng.permutation(count):
            yield self.content[n]

    def steps(self, batch_size: int) -> int:
        """Return the number of mini-batches that `chunks` brings."""
        sizes = [chunk.X.shape[0] for chunk in self.content] if isinstance(self.content, list) else [self.M]
        return sum(-(-size // batch_size) for size in sizes)


def _bytes_of(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes_of, value))
    return sum(map(_bytes_of, vars(value).values())) if hasattr(value, "__dict__") else 64


def identity(value: Any) -> Any:
    """Return the argument: a task that sends it to a worker, and can be repeated."""
    return value


def build(make: Callable[[list[Any]], Group], *pieces: Any) -> Group:
    """Make a group of its pieces."""
    return make(list(pieces))


def compute(
    function: Callable[..., Any], dtype: str, number: int, group: Group, arguments: Sequence[Any]
) -> Any:
    """Call function(engine, group, number, *arguments).

    One call at a time for a group: the engine keeps buffers for its chunks, and a call that was given up
    by the scheduler may still be running when it is made again.
    """
    with group.lock:
        return function(_engine(dtype), group, number, *arguments)


def add(terms: list[Terms]) -> Terms:
    """Return the sums of terms of the same kind, added from left to right."""
    return reduce(_plus, terms)


def _plus(one: Terms, other: Terms) -> Terms:
    return tuple(a + b for a, b in zip(one, other, strict=True))


@cache
def _engine(dtype: str) -> CPUEngine:
    """Return the engine of this process.

    Bits depend on how many threads share the hidden units, so there is one; a worker with several threads
    computes several groups at once. BLAS stays at one thread from now on.
    """
    threadpool_limits(1, "blas")
    return CPUEngine(dtype, threads=1)


def _sum(terms: Iterator[Terms]) -> Terms:
    return reduce(_plus, terms)


# Theta travels as its flat vector: pickled as it is, its matrices would travel beside it.


def gradient(engine: CPUEngine, group: Group, number: int, flat: Any, shape: Shape) -> Terms:
    """Return the measure and dE/dTheta."""
    theta = Theta.from_flat(flat, *shape)

    def terms() -> Iterator[Terms]:
        for chunk in group.chunks():
            measure, slope = engine.error_and_gradient(theta, chunk)
            yield np.array(measure), slope.flat

    return _sum(terms())


def measure(engine: CPUEngine, group: Group, number: int, flat: Any, shape: Shape) -> Terms:
    """Return the measure."""
    theta = Theta.from_flat(flat, *shape)
    return _sum((np.array(engine.measure(theta, chunk)),) for chunk in group.chunks())


def curvature(engine: CPUEngine, group: Group, number: int, flat: Any, direction: Any, shape: Shape) -> Terms:
    """Return the product of the Hessian matrix and a direction."""
    theta, v = Theta.from_flat(flat, *shape), Theta.from_flat(direction, *shape)
    return _sum((engine.hessian_product(theta, v, chunk).flat,) for chunk in group.chunks())


def as_measure(numbers: Any) -> Measure:
    """Return the measure that was sent as three numbers."""
    return Measure(*numbers.tolist())
