"""The layout of data and Theta in which the compiled loops read them.

`PackedSamples` is a chunk of samples as non-zeros or as a dense array; `Shards` holds Theta and the state of
the rule cut into blocks of hidden units, some for each thread; `BatchRunner` calls the loops on both.
"""

from __future__ import annotations

import ctypes
import math
import sys
from concurrent.futures import Executor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.descent.rule import COEFFICIENTS
from thetanet.engine import Chunk
from thetanet.engine.cpu import kernels
from thetanet.theta import Theta

DENSITY = 0.45  # share of non-zeros above which the dense products are quicker (measured, see DECISIONS.md)
_SEGMENT, _GROUP = 60_000, 30_000  # bytes of W1 and of delta2 that stay in the first-level cache while in use
_WORD = 8  # bytes that are tested at once
_INDICES = 65_536  # samples that a sorted column can name (uint16)
_GRADIENT, _DENSE_GRADIENT = 8192, 400_000  # numbers of a gradient on their way to the rule


class PackedSamples:
    """Samples as the loops read them.

    Parameters
    ----------
    chunk : Chunk
        The samples.
    dtype : floating-point type
        Of the values where they are not kept as uint8.
    all_inputs : bool
        Keep inputs that are zero everywhere (a penalty moves their weights too).
    sparse : bool, optional
        Whether to skip zeros; None decides by the share of non-zeros.
    """

    def __init__(
        self, chunk: Chunk, dtype: Any, all_inputs: bool = False, sparse: bool | None = None
    ) -> None:
        X, scaling = chunk.X, chunk.scaling
        self.M, D_I = X.shape
        self.dtype = np.dtype(dtype)
        dense = isinstance(X, np.ndarray)
        shifted = scaling.shift is not None
        if dense:
            X = np.ascontiguousarray(X)
        counts = np.zeros(D_I, np.int64) if shifted else _non_zeros(X)
        active = np.flatnonzero(counts) if chunk.active_inputs is None else chunk.active_inputs
        self.active_inputs = np.arange(D_I) if all_inputs or shifted else active
        self.density = 1.0 if shifted else counts.sum() / max(1, self.M * len(self.active_inputs))
        skip = self.density < DENSITY if sparse is None else sparse
        self.sparse = (not dense) or (skip and not shifted)
        self.scale = 1.0
        # The loops are compiled for each combination of types, so there are few: inputs and values are uint8
        # or `dtype`, and what is not used has type `dtype`.
        self.X = np.zeros((0, D_I), dtype)
        self.column: NDArray[Any] = np.zeros(0, np.uint16)
        self.value: NDArray[Any] = np.zeros(0, dtype)
        self.begins = np.zeros(self.M + 1, np.int64)
        self.factor = np.ones(len(self.active_inputs), dtype)
        if self.sparse:
            self._skip_zeros(X, scaling, counts)
        else:
            self._keep(X, scaling)
            self.counts = np.ones(len(self.active_inputs), np.int64)
        L = chunk.L
        one_of_many = L.ndim == 1
        self.classes = L.astype(np.int64) if one_of_many else np.zeros(0, np.int64)
        self.targets = np.zeros((0, chunk.D_O), dtype) if one_of_many else np.array(L, dtype, order="C")
        self.weights = np.zeros(0) if chunk.weight is None else np.array(chunk.weight, np.float64)

    def _keep(self, X: Any, scaling: Any) -> None:
        if scaling.shift is None and X.dtype in (np.uint8, self.dtype):
            self.alive = X  # `_writeable` only borrows its memory
            self.X = _writeable(X)
            self.factor = scaling.factor[self.active_inputs].astype(self.dtype)
        else:
            self.X = self._scaled(X, scaling)

    def _scaled(self, X: NDArray[Any], scaling: Any) -> NDArray[Any]:
        """Scale once, and before narrowing: float32 holds neither 1e200 nor the 0.1 of 1e7 + 0.1."""
        scaled = np.empty(X.shape, self.dtype)
        for low in range(0, self.M, 4096):
            scaled[low : low + 4096] = scaling.apply(X[low : low + 4096])
        return scaled

    def _skip_zeros(self, X: Any, scaling: Any, counts: NDArray[Any]) -> None:
        kind = np.uint16 if len(self.active_inputs) < 2**16 else np.int32
        place = np.zeros(X.shape[1], kind)
        place[self.active_inputs] = np.arange(len(self.active_inputs), dtype=kind)
        self.begins = np.empty(self.M + 1, np.int64)
        self.counts = counts[self.active_inputs]
        if not isinstance(X, np.ndarray):
            X = X if X.has_sorted_indices and X.has_canonical_format else _canonical(X)
            self.begins[...] = X.indptr
            self.column = place[X.indices]
            self.value = (X.data * scaling.factor[X.indices]).astype(self.dtype)
            return
        factor = scaling.factor[self.active_inputs]
        if X.dtype in (np.uint8, self.dtype) and (factor == factor[:1]).all():
            self.scale = float(factor[0]) if len(factor) else 1.0  # applied to sums of what is kept as it is
        else:
            X = self._scaled(X, scaling)
        total = int(counts.sum())
        column: NDArray[Any] = np.empty(total + _WORD, kind)
        value: NDArray[Any] = np.empty(total + _WORD, X.dtype)
        self.column, self.value = column[:total], value[:total]
        if X.dtype == np.uint8 and X.shape[1] % _WORD == 0 and sys.byteorder == "little":
            words = _writeable(X).view(np.uint64)
            kernels.compress_bytes(words, place, self.begins, column, value)
        else:
            kernels.compress(_writeable(X), place, self.begins, self.column, self.value)

    @property
    def terms(self) -> float:
        """Products that a hidden unit takes for a sample, on average."""
        return len(self.active_inputs) * float(self.density if self.sparse else 1)

    def columns_of(self, threads: int, segments: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Divide the columns so that each thread has about the same number of non-zeros.

        Returns
        -------
        first : (threads + 1,)
            The first column of each thread.
        starts : (M, threads * segments + 1)
            Where each segment of columns begins among the non-zeros of each sample.
        """
        n = len(self.active_inputs)
        if not self.sparse:
            first = np.linspace(0, n, threads + 1).astype(np.int64)
            return first, np.zeros((0, threads + 1), np.uint32)
        cuts = np.searchsorted(np.cumsum(self.counts), self.counts.sum() * np.arange(1, threads) / threads)
        first = np.concatenate([[0], np.minimum(cuts + 1, n), [n]]).astype(np.int64)
        each = [np.linspace(low, high, segments, endpoint=False) for low, high in pairwise(first)]
        starts = np.empty((self.M, threads * segments + 1), np.uint32)
        cuts = np.concatenate([*each, [n]]).astype(np.int64)
        kernels.write_segment_starts(self.begins, self.column, cuts, starts)
        return first, starts


def _non_zeros(X: Any) -> NDArray[np.int64]:
    """Count the samples in which each input is not zero."""
    if not isinstance(X, np.ndarray):
        return np.bincount(X.indices[X.data != 0], minlength=X.shape[1]).astype(np.int64)
    total = np.zeros(X.shape[1], np.int64)
    if X.dtype == np.uint8:
        kernels.count_bytes(_writeable(X), total)
        return total
    for low in range(0, len(X), 4096):
        total += np.count_nonzero(X[low : low + 4096], axis=0)
    return total


def _writeable(X: NDArray[Any]) -> NDArray[Any]:
    """Return an array of the same memory that is not marked read-only (the loops never write to it).

    Read-only arrays have a type of their own, for which the loops would be compiled again.
    """
    if X.flags.writeable or X.size == 0:
        return X if X.flags.writeable else X.copy()
    memory: Any = (ctypes.c_byte * X.nbytes).from_address(
        X.ctypes.data
    )  # a buffer, for some stubs of NumPy only
    alias: NDArray[Any] = np.frombuffer(memory, X.dtype)
    return alias.reshape(X.shape)


def _canonical(X: Any) -> Any:
    X = X.copy()
    X.sum_duplicates()
    return X


def _aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros that begin at a cache line: vectors that straddle two of them take a quarter longer."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    array: NDArray[Any] = memory[begin : begin + size].view(dtype).reshape(shape)
    return array


class Shards:
    """Theta and the state of a rule, cut by hidden units.

    Each thread owns consecutive units in blocks of W; the last one is filled up with units that stay zero.
    """

    def __init__(
        self, theta: Theta, state: NDArray[Any], active_inputs: NDArray[Any], threads: int, widest: int
    ) -> None:
        self.theta, self.state, self.active_inputs = theta, state, active_inputs
        _, D_H, D_O = theta.shape
        each = -(-D_H // threads)
        lanes = kernels.BYTES // theta.dtype.itemsize
        self.blocks = -(-each // widest)
        self.W = -(-each // self.blocks // lanes) * lanes
        starts = [min(t * each, D_H) for t in range(threads + 1)]
        self.units = [
            [
                slice(min(low + j * self.W, high), min(low + (j + 1) * self.W, high))
                for j in range(self.blocks)
            ]
            for low, high in pairwise(starts)
        ]
        self.widths = np.array([[u.stop - u.start for u in blocks] for blocks in self.units])
        slots = len(state)
        self.size = (1 + len(active_inputs) + D_O) * self.W
        self.parts = [_aligned((self.blocks, self.size), theta.dtype) for _ in range(threads)]
        self.states = [_aligned((slots, self.blocks, self.size), theta.dtype) for _ in range(threads)]
        self.bias = np.zeros((threads, D_O), theta.dtype)
        self.bias_state = np.zeros((threads, slots, D_O), theta.dtype)
        # Views of all that is copied, made once: whole passes copy in and out for every sum.
        n = len(active_inputs)
        self._inputs: Any = slice(None) if n == theta.D_I else active_inputs
        self._vectors = [theta, *(theta.like(s) for s in state)]
        self._pieces = [
            (full, units, part.reshape(-1, self.W)[:, : units.stop - units.start])
            for t, blocks in enumerate(self.units)
            for j, units in enumerate(blocks)
            for full, part in zip(self._vectors, [self.parts[t][j], *self.states[t][:, j]], strict=True)
        ]
        self.scatter()

    def _move(self, inwards: bool) -> None:
        n, inputs = len(self.active_inputs), self._inputs
        for full, units, rows in self._pieces:
            if inwards:
                rows[0] = full.b1[units]
                rows[1 : n + 1] = full.W1[inputs, units]
                rows[n + 1 :] = full.W2[units].T
            else:
                full.b1[units] = rows[0]
                full.W1[inputs, units] = rows[1 : n + 1]
                full.W2[units] = rows[n + 1 :].T
        for s, full in enumerate(self._vectors):
            biases = self.bias if s == 0 else self.bias_state[:, s - 1]
            if inwards:
                biases[...] = full.b2
            else:
                full.b2[...] = biases[0]

    def scatter(self) -> None:
        """Give every thread its part of `theta` and `state`."""
        self._move(inwards=True)

    def gather(self) -> None:
        """Write what the threads hold back into `theta` and `state`."""
        self._move(inwards=False)


def _count_parts(size: float, fits: int, non_zeros: float, enough: int) -> int:
    """Return the number of parts that each fit into a cache; 1 where a part would have few non-zeros."""
    parts = max(1, math.ceil(size / fits))
    return parts if non_zeros >= enough * parts else 1


class BatchRunner:
    """Steps over one chunk: buffers, threads, and the call of the compiled loops."""

    def __init__(
        self,
        shards: Shards,
        packed: PackedSamples,
        batch_size: int,
        update: Any,
        lazy: bool,
        decay_index: int | None,
        pool: Executor | None,
        use_own_gemm: bool,
    ) -> None:
        self.shards, self.packed, self.batch_size, self.pool = shards, packed, batch_size, pool
        T, n, W, dtype = len(shards.parts), len(packed.active_inputs), shards.W, packed.dtype
        D_O = shards.theta.D_O
        self.update, self.lazy = update, bool(lazy) and batch_size <= _INDICES
        self.decay_index = -1 if decay_index is None else int(decay_index)
        without = D_O <= kernels.FEW and (packed.sparse or use_own_gemm)
        self.blas = 0 if without else kernels.gemm_address(dtype.name)
        self.products = kernels.Products(use_own_gemm, self.blas)
        row = W * dtype.itemsize
        mean = packed.density * n if packed.sparse else 0  # non-zeros of a sample
        first, self.segment_starts = packed.columns_of(T, _count_parts(n * row / T, _SEGMENT, mean / T, 12))
        per_column = 0 if self.lazy else packed.density * batch_size
        groups = max(_count_parts(batch_size * row, _GROUP, per_column, 6), -(-batch_size // _INDICES))
        self.sparse = kernels.SparseInputs(
            packed.begins, packed.column, packed.value, packed.scale, self.segment_starts, first,
            -(-batch_size // groups),
        )  # fmt: skip
        self.dense = kernels.DenseInputs(packed.X, packed.active_inputs, packed.factor)
        self.targets = kernels.Targets(packed.classes, packed.targets, packed.weights)
        self.parts = [
            kernels.Shard(part, state, widths, W, bias, bias_state)
            for part, state, widths, bias, bias_state in zip(
                shards.parts, shards.states, shards.widths, shards.bias, shards.bias_state, strict=True
            )
        ]
        most = int(np.diff(packed.begins).max()) if packed.sparse and packed.M else 0
        room = max(_GRADIENT if packed.sparse or use_own_gemm else min(n * W, _DENSE_GRADIENT), W * D_O)
        lanes = kernels.BYTES // dtype.itemsize
        width = -(-D_O // lanes) * lanes
        # Rows an odd number of cache lines apart: lines a power of 2 apart share few places in the cache.
        lines = -(-n * dtype.itemsize // 64) | 1
        row_of_tile = lines * 64 // dtype.itemsize
        self.starts, stops = np.zeros((2, 2, groups, n if packed.sparse else 0), np.uint32)
        Y, delta3 = np.empty((2, T, batch_size, D_O), dtype)
        common = {
            "partial": np.empty((2, T, batch_size, D_O), dtype),
            "Y": Y,
            "delta3": delta3,
            "tile": _aligned((3, 0 if packed.sparse else batch_size, row_of_tile), dtype),
            "column_starts": self.starts,
            "column_stops": stops,
            "samples": np.empty((2, T, batch_size * most), np.uint16),
            "values": np.empty((2, T, batch_size * most), packed.value.dtype),
            "columns_seen": np.zeros((2, n + T), np.int64),
        }
        self.buffers = [
            kernels.Buffers(
                Z=_aligned((shards.blocks, batch_size, W), dtype),
                delta=_aligned((batch_size, W), dtype),
                gradient=_aligned((room,), dtype),
                W2_rows=_aligned((W * width,), dtype),
                A2_rows=_aligned((batch_size * width,), dtype),
                **common,
            )
            for _ in range(T)
        ]

    def run(
        self, order: NDArray[Any], coefficients: NDArray[Any], decay: float, mean: bool, learn: bool = True
    ) -> NDArray[np.float64]:
        """Take one step for each row of `coefficients`; return the measure of each mini-batch."""
        T = len(self.parts)
        c = np.zeros((len(coefficients), COEFFICIENTS), self.packed.dtype)
        c[:, : coefficients.shape[1]] = coefficients
        order = np.ascontiguousarray(order, np.int64)
        barrier, measures = np.zeros(8, np.int64), np.zeros((len(c) + 1, T, 3))
        descent = kernels.Descent(self.update, c, float(decay), self.decay_index, mean, self.lazy, learn)

        def work(t: int) -> None:
            kernels.steps(
                t, T, barrier, self.sparse, self.dense, self.targets, order, self.batch_size,
                self.parts[t], descent, self.products, self.buffers[t], measures,
            )  # fmt: skip

        others = [self.pool.submit(work, t) for t in range(1, T)] if self.pool is not None else []
        work(0)
        for other in others:
            other.result()
        of_batches: NDArray[np.float64] = measures[:-1].sum(axis=1)
        return of_batches
