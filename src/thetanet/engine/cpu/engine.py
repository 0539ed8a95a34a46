"""The processor engine: hidden units shared over threads, zeros skipped, one compiled call for many steps.

Training runs in the compiled loops of `kernels` (see there for the design), prediction in NumPy and its BLAS
over tiles of samples. A test proves both equal to network.py.

BLAS runs on one thread at a time: its own threads wait in spinning barriers, and slow down 25-fold as soon as
another process wants one of the cores (see DECISIONS.md).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from thetanet.checks import check_number
from thetanet.engine import Chunk, Measure, Rule, Stepper
from thetanet.engine.clipping import ClippedStepper
from thetanet.engine.cpu.curvature import hessian_product
from thetanet.engine.cpu.tiles import propagate
from thetanet.errors import InputError
from thetanet.theta import Theta

_ENOUGH = 2e6  # floating-point operations in a step from which a second thread is worth its meeting
_COMPILING = "thetanet: compiling for this kind of data, once on this machine: 15 to 30 seconds"
_FEW_INPUTS = 256  # inputs up to which our own dense products are at least as quick as BLAS for any width
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
        Samples in a tile of a prediction; its memory is about 4 * tile * (D_I + 2 D_H) bytes, that of a
        Hessian-vector product three times as much for each thread.
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
        return self._pass(theta, chunk, learn=True)

    def measure(self, theta: Theta, chunk: Chunk) -> Measure:
        """Return E and the number of right answers, without the gradient."""
        return self._pass(theta, chunk, learn=False)[0]

    def _pass(self, theta: Theta, chunk: Chunk, learn: bool) -> tuple[Measure, Theta]:
        M = chunk.X.shape[0]
        batch_size = min(_PASS_BATCH, M)
        kept = _passes.setdefault(chunk, {})
        key = (theta.shape, theta.dtype.name, learn, self.threads, self.sparse)
        stepper = kept.get(key)
        if stepper is None:
            kept.clear()  # buffers are kept for one shape only
            stepper = kept[key] = _CPUStepper(
                self, theta, _Sum(), batch_size, 0.0, None, mean=False, learn=learn
            )
        else:
            stepper.restart(theta)
        measures = stepper.run(chunk, np.arange(M), np.zeros((-(-M // batch_size), 1)))
        return Measure.of(measures), theta.like(stepper.state()[0])

    def stepper(
        self, theta: Theta, rule: Rule, batch_size: int, decay: float = 0.0, state: NDArray[Any] | None = None
    ) -> Stepper:
        """Begin mini-batch descent at `theta`."""
        theta = theta.astype(self.dtype)
        if hasattr(rule, "largest_norm"):
            return ClippedStepper(self, theta, rule, batch_size, decay, state)
        return _CPUStepper(self, theta, rule, batch_size, decay, state)

    def hessian_product(self, theta: Theta, direction: Theta, chunk: Chunk) -> Theta:
        """Return the product of the Hessian matrix of E, summed over the chunk, and a direction."""
        threads = self.threads or available_threads()
        return hessian_product(theta, direction, chunk, self.tile, threads)

    def propagate(self, theta: Theta, X: Any, to: str = "Y") -> NDArray[Any]:
        """Return Z, A2 or Y of the rows of X, in Theta's own floating-point type."""
        threads = 1 if X.shape[0] <= self.tile else self.threads or available_threads()
        return propagate(theta, X, to, self.tile, threads)

    def warm_up(self, theta: Theta, chunk: Chunk, rule: Any, batch_size: int, decay: float = 0.0) -> None:
        """Prepare the chunk, and compile for its kind of data: seconds, once on a machine; says so then.

        `rule` is a mini-batch rule, or a whole-pass method.
        """
        notice = threading.Timer(1.5, print, [_COMPILING], {"file": sys.stderr})
        notice.daemon = True
        notice.start()
        try:
            steps = rule if hasattr(rule, "update") else _Sum()
            self.stepper(theta, steps, batch_size, decay).run(chunk, np.zeros(0, np.int64), np.zeros((0, 1)))
        finally:
            notice.cancel()

    def preparing(self, rule: Any, decay: float = 0.0) -> Callable[[Chunk], Any]:
        """Return what prepares chunks for a mini-batch rule or a whole-pass method, in whatever thread.

        Where chunks come from disk, it is called before they are needed.
        """
        steps = rule if hasattr(rule, "update") else _Sum()
        whole = _fades(steps, decay if steps is rule else 0.0)
        return lambda chunk: _prepare(self, chunk, self.dtype, whole)

    def explain(self, theta: Theta, chunk: Chunk, batch_size: int) -> str:
        """Say how steps of `batch` samples of this chunk are computed, and why."""
        prepared = _prepare(self, chunk, self.dtype, False)
        share = prepared.density if prepared.sparse else 1.0
        threads = self.threads_for(theta, batch_size, share * len(prepared.lit))
        how = "zeros are skipped" if prepared.sparse else "dense products"
        return (
            f"{len(prepared.lit):,} of {theta.D_I:,} inputs are ever lit, {prepared.density:.1%} of their "
            f"values are not zero: {how}; {threads} thread{'s' if threads > 1 else ''}, {self.dtype.name}"
        )

    def threads_for(self, theta: Theta, batch_size: int, inputs: float) -> int:
        """Return how many threads a step of this size is shared out over."""
        worth = max(1, int(4 * batch_size * inputs * theta.D_H // _ENOUGH))
        return min(self.threads or available_threads(), max(1, theta.D_H // 8), worth)


def _prepare(engine: CPUEngine, chunk: Chunk, dtype: Any, whole: bool) -> Any:
    """Return the chunk as the loops read it, made once for as long as the chunk lives."""
    from thetanet.engine.cpu import shards

    kept = _prepared.setdefault(chunk, {})
    key = (dtype.name, whole, engine.sparse)
    if key not in kept:
        kept[key] = shards.Prepared(chunk, dtype, whole, engine.sparse)
    return kept[key]


def _fades(rule: Any, decay: float) -> bool:
    """Tell whether something moves where the gradient is zero: then inputs that are never lit are kept."""
    averaged = bool(getattr(rule, "averaged", False))
    return bool(decay) or getattr(rule, "decoupled", None) is not None or averaged


class _Sum:
    """The rule of a whole pass: remember the sum of the gradients, and leave Theta alone."""

    slots = 1

    @staticmethod
    def update(theta: Any, gradient: Any, state: Any, c: Any) -> Any:
        return theta, (state[0] + gradient,)


_prepared: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()
_passes: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


@cache
def _blas() -> Any:
    """Find the BLAS libraries, once; SciPy's must be there."""
    return ThreadpoolController().select(user_api="blas")


def compiled_update(rule: Any, dtype: str) -> Any:
    """Compile a rule's update; an average around a rule is compiled with it."""
    # Compiling or loading the loops takes a moment; `import thetanet` and prediction do without them.
    from thetanet.engine.cpu import kernels

    if getattr(rule, "averaged", False):
        return kernels.row_update(rule.rule.update, rule.slots, dtype, kernels.COEFFICIENTS - 1)
    return kernels.row_update(rule.update, rule.slots, dtype)


class _CPUStepper:
    def __init__(
        self,
        engine: CPUEngine,
        theta: Theta,
        rule: Rule,
        batch_size: int,
        decay: float,
        state: NDArray[Any] | None,
        mean: bool = True,
        learn: bool = True,
    ) -> None:
        self._engine, self._theta, self._batch, self._decay = engine, theta.copy(), batch_size, decay
        self._mean, self._learn = mean, learn
        self._state = np.zeros((rule.slots, theta.flat.size), theta.dtype)
        if state is not None:
            self._state[...] = state
        self._update = compiled_update(rule, theta.dtype.name)
        share = getattr(rule, "decoupled", None)
        self._share = -1 if share is None else int(share)
        self._fades = _fades(rule, decay)
        self._lazy = bool(getattr(rule, "lazy", False)) and not self._fades
        self._chunk: Any = None  # a weak reference: what is kept for a chunk must not keep it alive
        self._walk: Any = None
        self._pool: ThreadPoolExecutor | None = None

    def run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """Take one step for each row of `coefficients`, over consecutive batches of `order`."""
        if self._chunk is None or self._chunk() is not chunk:
            self._turn_to(chunk)
        # Setting the threads of BLAS takes longer than some steps: only where there are products for it.
        with _blas().limit(limits=1) if self._walk.blas else nullcontext():
            measures: NDArray[np.float64] = self._walk.run(
                order, coefficients, self._decay, self._mean, self._learn
            )
        return measures

    def restart(self, theta: Theta) -> None:
        """Begin again at another Theta, with nothing remembered, in the same buffers."""
        self._theta.flat[...] = theta.flat
        self._state[...] = 0
        if self._walk is not None:
            self._walk.shards.distribute()

    def _turn_to(self, chunk: Chunk) -> None:
        from thetanet.engine.cpu import kernels, shards

        self._collect()
        dtype = self._theta.dtype
        prepared = _prepare(self._engine, chunk, dtype, self._fades)
        if self._learn and self._remembers_unlit(prepared.lit):
            # Inputs that are never lit here, but were before, still move by what the rule remembers.
            prepared = shards.Prepared(chunk, dtype, True, self._engine.sparse)
        density = prepared.density if prepared.sparse else 1.0
        threads = self._engine.threads_for(self._theta, self._batch, density * len(prepared.lit))
        widest = kernels.VECTORS * kernels.BYTES // dtype.itemsize
        narrow = -(-self._theta.D_H // threads) <= widest or len(prepared.lit) <= _FEW_INPUTS
        own = kernels.QUICKER_THAN_BLAS and narrow
        if not (prepared.sparse or own):
            widest = 4096
        held = shards.Shards(self._theta, self._state, prepared.lit, threads, widest)
        if threads > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="thetanet")
        lazy = self._lazy and prepared.sparse
        self._walk = shards.Walk(
            held, prepared, self._batch, self._update.address, lazy, self._share, self._pool, own
        )
        self._chunk = ref(chunk)

    def _remembers_unlit(self, lit: NDArray[Any]) -> bool:
        unlit = np.ones(self._theta.D_I, bool)
        unlit[lit] = False
        return any(self._theta.like(slot).W1[unlit].any() for slot in self._state)

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
