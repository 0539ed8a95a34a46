"""Compiled loops: mini-batch steps over a shard of the hidden units, one call for many steps.

Each thread calls `steps` with blocks of hidden units of its own. A block of W units lies together in memory,
row by row: the bias row b1, the rows of W1 (active inputs only), then W2 transposed, (D_O, W).
Threads wait for each other once a step, to add up A2. Common arrays are written alternately into two
buffers, so that a thread that is one step ahead never overwrites what another still reads.

numba is named in this folder only. Calls release the GIL.

Compilations are kept on disk by numba, which finds them by the time stamp of one source file. That is not
enough: a changed function in another file, or a release whose files carry the time stamp of the last one,
would run old code. So what is cached is a closure over a fingerprint of all sources of this folder.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba import carray, types
from numba.extending import get_cython_function_address, register_jitable

from thetanet.engine.cpu.kernels import loops, warping, zeros
from thetanet.engine.cpu.kernels.caching import cached, cached_callback
from thetanet.engine.cpu.kernels.instructions import (
    BYTES,
    VECTORS,
    flush_subnormals,
    offset_pointer,
    restore_subnormals,
)
from thetanet.engine.cpu.kernels.loops import (
    FEW,
    Buffers,
    DenseInputs,
    Descent,
    Products,
    Shard,
    SparseInputs,
    Targets,
)
from thetanet.engine.cpu.kernels.products import QUICKER_THAN_BLAS

__all__ = [
    "BYTES",
    "FEW",
    "QUICKER_THAN_BLAS",
    "VECTORS",
    "Buffers",
    "DenseInputs",
    "Descent",
    "Products",
    "Shard",
    "SparseInputs",
    "Targets",
    "compress",
    "compress_bytes",
    "count_bytes",
    "gemm_address",
    "row_update",
    "steps",
    "warp",
    "write_segment_starts",
]  # fmt: skip

_SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()
_steps, _compress, _write_segment_starts = loops.steps, zeros.compress, zeros.write_segment_starts
_warp, _compress_bytes, _count_bytes = warping.warp, zeros.compress_bytes, zeros.count_bytes


@cache
def gemm_address(dtype: str) -> int:
    """Return the address of SciPy's matrix product; looked up only where it is used."""
    name = {"float32": "sgemm", "float64": "dgemm"}[dtype]
    return int(get_cython_function_address("scipy.linalg.cython_blas", name))


def _cached(fingerprint: str) -> tuple[Any, ...]:
    @cached
    def steps(*arguments):
        fingerprint  # noqa: B018
        before = flush_subnormals()
        _steps(*arguments)
        restore_subnormals(before)

    @cached
    def compress(*arguments):
        fingerprint  # noqa: B018
        return _compress(*arguments)

    @cached
    def write_segment_starts(*arguments):
        fingerprint  # noqa: B018
        return _write_segment_starts(*arguments)

    @cached
    def warp(*arguments):
        fingerprint  # noqa: B018
        return _warp(*arguments)

    @cached
    def compress_bytes(*arguments):
        fingerprint  # noqa: B018
        return _compress_bytes(*arguments)

    @cached
    def count_bytes(*arguments):
        fingerprint  # noqa: B018
        return _count_bytes(*arguments)

    return steps, compress, write_segment_starts, warp, compress_bytes, count_bytes


steps, compress, write_segment_starts, warp, compress_bytes, count_bytes = _cached(_SOURCES)


@cache
def row_update(update: Any, slots: int, dtype: str, average: int = 0) -> Any:
    """Compile the `update` of a rule to a C function over n parameters in a row.

    Its `address` is what `steps` takes. A changed rule has another fingerprint, and is compiled anew. With
    `average`, the last slot is a running average of Theta, whose decay is that coefficient.
    """
    code = update.__code__
    described = repr((_SOURCES, code.co_code, code.co_consts, code.co_names, code.co_varnames)).encode()
    return _row_update(register_jitable(update), slots, hashlib.sha256(described).hexdigest(), dtype, average)


def _row_update(update: Any, slots: int, fingerprint: str, dtype: str, average: int) -> Any:
    number = getattr(types, dtype)
    pointer = types.CPointer(number)
    signature = types.void(pointer, pointer, pointer, pointer, types.int64, types.int64)
    rule_slots = slots - (average > 0)

    def body(theta, gradient, state, c, n, stride):
        fingerprint  # noqa: B018
        p, g = carray(theta, n), carray(gradient, n)
        # Written out, since compiled tuples have a fixed length: all COEFFICIENTS of descent/rule.py.
        k = (c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9])
        if rule_slots == 0:
            for i in range(n):
                p[i], _ = update(p[i], g[i], (), k)
        elif rule_slots == 1:
            s = carray(state, n)
            for i in range(n):
                p[i], (s[i],) = update(p[i], g[i], (s[i],), k)
        elif rule_slots == 2:
            s, r = carray(state, n), carray(offset_pointer(state, stride), n)
            for i in range(n):
                p[i], (s[i], r[i]) = update(p[i], g[i], (s[i], r[i]), k)
        else:
            s, r = carray(state, n), carray(offset_pointer(state, stride), n)
            q = carray(offset_pointer(state, 2 * stride), n)
            for i in range(n):
                p[i], (s[i], r[i], q[i]) = update(p[i], g[i], (s[i], r[i], q[i]), k)
        if average:
            mean = carray(offset_pointer(state, rule_slots * stride), n)
            for i in range(n):
                mean[i] = c[average] * mean[i] + (number(1) - c[average]) * p[i]

    return cached_callback(signature, body)
