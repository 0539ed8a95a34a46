"""The processor engine: hidden units divided over threads, zeros skipped, one compiled call for many steps.

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
from thetanet.descent.rule import AVERAGE_INDEX, MiniBatchRule
from thetanet.engine import Chunk, Engine, Measure, Stepper
from thetanet.engine.clipping import ClippedStepper
from thetanet.engine.cpu.curvature import hessian_product
from thetanet.engine.cpu.tiles import propagate
from thetanet.errors import InputError
from thetanet.theta import Theta

_ENOUGH = 2e6  # floating-point operations in a step from which a second thread is worth its barrier
_COMPILING = "thetanet: compiling for this kind of data, once on this machine: 15 to 30 seconds"
_FEW_INPUTS = 256  # inputs up to which our own dense products are at least as quick as BLAS for any width
_PASS_BATCH = 512  # samples in a tile of a whole pass


def available_threads() -> int:
    """Return the cores that this process may use, or OMP_NUM_THREADS if that is less (as under joblib)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores


class CPUEngine(Engine):
    """Training and prediction on this machine's processor.

    Parameters
    ----------
    dtype : "float32" or "float64"
        Floating-point type of training.
    threads : int, optional
        None: all cores that this process may use. Small problems use fewer.
    sparse : bool, optional
        Whether to skip zeros of dense inputs; None decides by their density.
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
        """Return E and the number of correct samples, without the gradient."""
        return self._pass(theta, chunk, learn=False)[0]

    def _pass(self, theta: Theta, chunk: Chunk, learn: bool) -> tuple[Measure, Theta]:
        M = chunk.X.shape[0]
        batch_size = min(_PASS_BATCH, M)
        cache_of_chunk = _passes.setdefault(chunk, {})
        key = (theta.shape, theta.dtype.name, learn, self.threads, self.sparse)
        stepper = cache_of_chunk.get(key)
        if stepper is None:
            cache_of_chunk.clear()  # buffers are kept for one shape only
            stepper = cache_of_chunk[key] = _CPUStepper(
                self, theta, _SumGradients(), batch_size, 0.0, None, mean=False, learn=learn
            )
        else:
            stepper.restart(theta)
        measures = stepper.run(chunk, np.arange(M), np.zeros((-(-M // batch_size), 1)))
        return Measure.of(measures), theta.like(stepper.state()[0])

    def stepper(
        self,
        theta: Theta,
        rule: MiniBatchRule,
        batch_size: int,
        decay: float = 0.0,
        state: NDArray[Any] | None = None,
    ) -> Stepper:
        """Begin mini-batch descent at `theta`."""
        theta = theta.astype(self.dtype)
        if rule.largest_norm is not None:
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

    def warm_up(self, theta: Theta, chunk: Chunk, method: Any, batch_size: int, decay: float = 0.0) -> None:
        """Prepare the chunk and compile for its kind of data: seconds, once on a machine.

        A compilation that takes longer than a moment is announced on standard error.
        """
        notice = threading.Timer(1.5, print, [_COMPILING], {"file": sys.stderr})
        notice.daemon = True
        notice.start()
        try:
            no_steps = np.zeros(0, np.int64), np.zeros((0, 1))
            self.stepper(theta, _rule_of(method), batch_size, decay).run(chunk, *no_steps)
        finally:
            notice.cancel()

    def preparation_for(self, method: Any = None, decay: float = 0.0) -> Callable[[Chunk], Any]:
        """Return a function that packs chunks for a mini-batch rule or a whole-pass method."""
        rule = _rule_of(method)
        all_inputs = rule is method and moves_at_zero_gradient(rule, decay)
        return lambda chunk: _pack(self, chunk, self.dtype, all_inputs)

    def explain(self, theta: Theta, chunk: Chunk, batch_size: int) -> str:
        """Return a description of how steps of `batch_size` samples of this chunk are computed, and why."""
        packed = _pack(self, chunk, self.dtype, False)
        threads = self.threads_for(theta, batch_size, packed.terms)
        products = "zeros are skipped" if packed.sparse else "dense products"
        active, plural = len(packed.active_inputs), "s" if threads > 1 else ""
        return (
            f"{active:,} of {theta.D_I:,} inputs are active, {packed.density:.1%} of their values are not "
            f"zero: {products}; {threads} thread{plural}, {self.dtype.name}"
        )

    def threads_for(self, theta: Theta, batch_size: int, terms: float) -> int:
        """Return the number of threads for a step of this size, with `terms` products a unit and sample."""
        worth = max(1, int(4 * batch_size * terms * theta.D_H // _ENOUGH))
        return min(self.threads or available_threads(), max(1, theta.D_H // 8), worth)


def _rule_of(method: Any) -> MiniBatchRule:
    """Return a mini-batch rule itself; for a whole-pass method, or none, the rule of a whole pass."""
    rule: MiniBatchRule = _SumGradients() if method is None or method.whole_passes else method
    return rule


def _pack(engine: CPUEngine, chunk: Chunk, dtype: Any, all_inputs: bool) -> Any:
    """Return the chunk as the loops read it, packed once for as long as the chunk lives."""
    from thetanet.engine.cpu import shards

    cache_of_chunk = _packed.setdefault(chunk, {})
    key = (dtype.name, all_inputs, engine.sparse)
    if key not in cache_of_chunk:
        cache_of_chunk[key] = shards.PackedSamples(chunk, dtype, all_inputs, engine.sparse)
    return cache_of_chunk[key]


def moves_at_zero_gradient(rule: MiniBatchRule, decay: float) -> bool:
    """Return whether weights change where the gradient is zero: then inactive inputs take part too."""
    return bool(decay) or rule.decay_index is not None or rule.averaged


class _SumGradients(MiniBatchRule):
    """The rule of a whole pass: leave Theta alone, and add up the gradients."""

    @staticmethod
    def update(theta: Any, gradient: Any, state: Any, c: Any) -> Any:
        return theta, (state[0] + gradient,)


_packed: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()
_passes: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


@cache
def _blas() -> Any:
    """Return the BLAS libraries of this process; SciPy's must be loaded before the first call."""
    return ThreadpoolController().select(user_api="blas")


def compiled_update(rule: MiniBatchRule, dtype: str) -> Any:
    """Return the compiled update of a rule; the running average around a rule is compiled with it."""
    # Compiling or loading the loops takes a moment; `import thetanet` and prediction do without them.
    from thetanet.engine.cpu import kernels

    if rule.averaged and rule.rule is not None:
        return kernels.row_update(rule.rule.update, rule.slots, dtype, AVERAGE_INDEX)
    return kernels.row_update(rule.update, rule.slots, dtype)


class _CPUStepper(Stepper):
    def __init__(
        self,
        engine: CPUEngine,
        theta: Theta,
        rule: MiniBatchRule,
        batch_size: int,
        decay: float,
        state: NDArray[Any] | None,
        mean: bool = True,
        learn: bool = True,
    ) -> None:
        self.rule = rule
        self._engine, self._theta, self._batch, self._decay = engine, theta.copy(), batch_size, decay
        self._mean, self._learn = mean, learn
        self._state = np.zeros((rule.slots, theta.flat.size), theta.dtype)
        if state is not None:
            self._state[...] = state
        self._update = compiled_update(rule, theta.dtype.name)
        self._all_inputs = moves_at_zero_gradient(rule, decay)
        self._lazy = rule.lazy and not self._all_inputs
        self._chunk: Any = None  # a weak reference: what is kept for a chunk must not keep it alive
        self._runner: Any = None
        self._pool: ThreadPoolExecutor | None = None

    def run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """Take one step for each row of `coefficients`, over consecutive batches of `order`."""
        if self._chunk is None or self._chunk() is not chunk:
            self._bind_chunk(chunk)
        # Setting the threads of BLAS takes longer than some steps: only where there are products for it.
        with _blas().limit(limits=1) if self._runner.blas else nullcontext():
            measures: NDArray[np.float64] = self._runner.run(
                order, coefficients, self._decay, self._mean, self._learn
            )
        return measures

    def restart(self, theta: Theta) -> None:
        """Start again at another Theta, with a state of zeros, in the same buffers."""
        self._theta.flat[...] = theta.flat
        self._state[...] = 0
        if self._runner is not None:
            self._runner.shards.scatter()

    def _bind_chunk(self, chunk: Chunk) -> None:
        """Pack a chunk, and divide Theta and the state over threads for the inputs that are active in it."""
        from thetanet.engine.cpu import kernels, shards

        self._gather()
        dtype = self._theta.dtype
        packed = _pack(self._engine, chunk, dtype, self._all_inputs)
        if self._learn and self._remembers_inactive(packed.active_inputs):
            # Inputs that are inactive here, but were not before, still move by the state of the rule.
            packed = shards.PackedSamples(chunk, dtype, True, self._engine.sparse)
        threads = self._engine.threads_for(self._theta, self._batch, packed.terms)
        widest = kernels.VECTORS * kernels.BYTES // dtype.itemsize
        narrow = -(-self._theta.D_H // threads) <= widest or len(packed.active_inputs) <= _FEW_INPUTS
        use_own_gemm = kernels.QUICKER_THAN_BLAS and narrow
        if not (packed.sparse or use_own_gemm):
            widest = 4096
        parts = shards.Shards(self._theta, self._state, packed.active_inputs, threads, widest)
        if threads > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="thetanet")
        self._runner = shards.BatchRunner(
            parts,
            packed,
            self._batch,
            self._update.address,
            self._lazy and packed.sparse,
            self.rule.decay_index,
            self._pool,
            use_own_gemm,
        )
        self._chunk = ref(chunk)

    def _remembers_inactive(self, active_inputs: NDArray[Any]) -> bool:
        """Return whether the state holds anything for weights of inactive inputs."""
        inactive = np.ones(self._theta.D_I, bool)
        inactive[active_inputs] = False
        return any(self._theta.like(slot).W1[inactive].any() for slot in self._state)

    def _gather(self) -> None:
        if self._runner is not None:
            self._runner.shards.gather()

    def theta(self) -> Theta:
        """Return a copy of the present Theta."""
        self._gather()
        return self._theta.copy()

    def state(self) -> NDArray[Any]:
        """Return a copy of the rule's state: shape (slots, size of Theta)."""
        self._gather()
        return self._state.copy()
