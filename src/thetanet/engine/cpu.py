"""The processor engine: hidden units shared over threads, zeros skipped, one compiled call for many steps.

Training runs in the compiled loops of `kernels` (see there for the design), prediction in NumPy and its BLAS
over tiles of samples. A test proves both equal to network.py.

BLAS runs on one thread at a time: its own threads wait in spinning barriers, and slow down 25-fold as soon as
another process wants one of the cores (see DECISIONS.md).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from thetanet.checks import check_number
from thetanet.engine import Chunk, Measure, Rule
from thetanet.engine.tiles import propagate
from thetanet.errors import InputError
from thetanet.theta import Theta

_ENOUGH = 2e6  # floating-point operations in a step from which a second thread is worth its meeting
_PASS_BATCH = 512  # samples in a tile of a whole pass


def available_threads() -> int:
    """Return the cores that this process may use, or OMP_NUM_THREADS if that is less (as under joblib)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores


class CPUEngine:
    """Training and prediction on this machine's processor.

    Parameters
    ----------
    dtype : "float32" or "float64"
        Floating-point type of training.
    threads : int, optional
        None: all cores that this process may use. Small problems use fewer.
    sparse : bool, optional
        Whether to skip zeros of dense inputs; None decides by their share.
    tile : int
        Samples in a tile of a prediction; its memory is about 4 * tile * (D_I + 2 D_H) bytes.
    """

    def __init__(
        self,
        dtype: Any = "float32",
        threads: int | None = None,
        sparse: bool | None = None,
        tile: int = 1024,
    ) -> None:
        check_number("tile", tile, least=1, whole=True)
        if threads is not None:
            check_number("threads", threads, least=1, whole=True)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise InputError(f"dtype={dtype!r}: the engine computes in 'float32' or 'float64'")
        self.threads, self.sparse, self.tile = threads, sparse, int(tile)

    def __repr__(self) -> str:
        return f"CPUEngine(dtype={self.dtype.name!r}, threads={self.threads}, sparse={self.sparse})"

    def error_and_gradient(self, theta: Theta, chunk: Chunk) -> tuple[Measure, Theta]:
        """Return the sums of E and dE/dTheta over all samples of the chunk."""
        batch = min(_PASS_BATCH, chunk.X.shape[0])
        walk = _CPUStepper(self, theta, _Sum(), batch, 0.0, None, mean=False)
        measure = walk.run(chunk, np.arange(chunk.X.shape[0]), np.zeros((-(-chunk.X.shape[0] // batch), 1)))
        return measure, theta.like(walk.state()[0])

    def measure(self, theta: Theta, chunk: Chunk) -> Measure:
        """Return E and the number of right answers, without the gradient."""
        batch = min(_PASS_BATCH, chunk.X.shape[0])
        walk = _CPUStepper(self, theta, _Sum(), batch, 0.0, None, mean=False, learn=False)
        return walk.run(chunk, np.arange(chunk.X.shape[0]), np.zeros((-(-chunk.X.shape[0] // batch), 1)))

    def stepper(
        self, theta: Theta, rule: Rule, batch: int, decay: float = 0.0, state: NDArray[Any] | None = None
    ) -> _CPUStepper:
        """Begin mini-batch descent at `theta`."""
        return _CPUStepper(self, theta.astype(self.dtype), rule, batch, decay, state)

    def propagate(self, theta: Theta, X: Any, to: str = "Y") -> NDArray[Any]:
        """Return Z, A2 or Y of the rows of X, in Theta's own floating-point type."""
        threads = 1 if X.shape[0] <= self.tile else self.threads or available_threads()
        return propagate(theta, X, to, self.tile, threads)

    def threads_for(self, theta: Theta, batch: int, inputs: float) -> int:
        """Return how many threads a step of this size is shared out over."""
        worth = max(1, int(4 * batch * inputs * theta.D_H // _ENOUGH))
        return min(self.threads or available_threads(), max(1, theta.D_H // 8), worth)


class _Sum:
    """The rule of a whole pass: remember the sum of the gradients, and leave Theta alone."""

    slots = 1

    @staticmethod
    def update(theta: Any, gradient: Any, state: Any, c: Any) -> Any:
        return theta, (state[0] + gradient,)


_prepared: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


class _CPUStepper:
    def __init__(
        self,
        engine: CPUEngine,
        theta: Theta,
        rule: Rule,
        batch: int,
        decay: float,
        state: NDArray[Any] | None,
        mean: bool = True,
        learn: bool = True,
    ) -> None:
        # Compiling or loading the loops takes a moment; `import thetanet` and prediction do without them.
        from thetanet.engine import kernels

        self._engine, self._theta, self._batch, self._decay = engine, theta.copy(), batch, decay
        self._mean, self._learn = mean, learn
        self._state = np.zeros((rule.slots, theta.flat.size), theta.dtype)
        if state is not None:
            self._state[...] = state
        self._update = kernels.row_update(rule.update, rule.slots, theta.dtype.name)
        self._lazy = bool(getattr(rule, "lazy", False)) and not decay
        self._blas = ThreadpoolController().select(user_api="blas")
        self._chunk: Any = None
        self._walk: Any = None
        self._pool: ThreadPoolExecutor | None = None

    def run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> Measure:
        """Take one step for each row of `coefficients`, over consecutive batches of `order`."""
        if self._chunk is not chunk:
            self._turn_to(chunk)
        with self._blas.limit(limits=1):
            measure: Measure = self._walk.run(order, coefficients, self._decay, self._mean, self._learn)
        return measure

    def _turn_to(self, chunk: Chunk) -> None:
        from thetanet.engine import kernels, shards

        self._collect()
        dtype = self._theta.dtype
        kept = _prepared.setdefault(chunk, {})
        key = (dtype.name, bool(self._decay), self._engine.sparse)
        if key not in kept:
            kept[key] = shards.Prepared(chunk, dtype, bool(self._decay), self._engine.sparse)
        prepared, inputs = kept[key], kept[key].lit
        if self._state.any() and len(inputs) < self._theta.D_I and self._learn:
            # Inputs that are never lit here, but were before, still move by what the rule remembers.
            prepared = shards.Prepared(chunk, dtype, True, self._engine.sparse)
        density = prepared.density if prepared.sparse else 1.0
        threads = self._engine.threads_for(self._theta, self._batch, density * len(prepared.lit))
        widest = kernels.VECTORS * kernels.BYTES // dtype.itemsize if prepared.sparse else 4096
        held = shards.Shards(self._theta, self._state, prepared.lit, threads, widest)
        if threads > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="thetanet")
        lazy = self._lazy and prepared.sparse
        self._walk = shards.Walk(held, prepared, self._batch, self._update.address, lazy, self._pool)
        self._chunk = chunk

    def _collect(self) -> None:
        if self._walk is not None:
            self._walk.shards.collect()

    def theta(self) -> Theta:
        """Return a copy of the present Theta."""
        self._collect()
        return self._theta.copy()

    def state(self) -> NDArray[Any]:
        """Return a copy of what the rule remembers: (slots, size of Theta)."""
        self._collect()
        return self._state.copy()
