"""Compiled loops: mini-batch steps over a shard of the hidden units, one call for many steps.

Each thread calls `steps` with its own blocks of hidden units. A block of W units lies together in memory,
row by row: the bias row b1, the rows of W1 (only inputs that are ever lit), then W2 transposed, (D_O, W).
Threads meet once a step, to add up A2. What they share is written alternately into two buffers, so that a
thread that is one step ahead never overwrites what another still reads.

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
from thetanet.engine.cpu.kernels.instructions import BYTES, VECTORS, flush_subnormals, restore, shifted
from thetanet.engine.cpu.kernels.loops import FEW
from thetanet.engine.cpu.kernels.products import QUICKER_THAN_BLAS

__all__ = [
    "BYTES", "FEW", "QUICKER_THAN_BLAS", "VECTORS",
    "compress", "compress_bytes", "count_bytes", "gemm_address", "row_update", "share_out", "steps", "warp",
]  # fmt: skip

_SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()
_steps, _compress, _share_out = loops.steps, zeros.compress, zeros.share_out
_warp, _compress_bytes, _count_bytes = warping.warp, zeros.compress_bytes, zeros.count_bytes


@cache
def gemm_address(dtype: str) -> int:
    """Return the address of SciPy's matrix product; asked for only where it is used."""
    name = {"float32": "sgemm", "float64": "dgemm"}[dtype]
    return int(get_cython_function_address("scipy.linalg.cython_blas", name))


def _cached(fingerprint: str) -> tuple[Any, ...]:
    @cached
    def steps(*arguments):
        fingerprint  # noqa: B018
        before = flush_subnormals()
        found = _steps(*arguments)
        restore(before)
        return found

    @cached
    def compress(*arguments):
        fingerprint  # noqa: B018
        return _compress(*arguments)

    @cached
    def share_out(*arguments):
        fingerprint  # noqa: B018
        return _share_out(*arguments)

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

    return steps, compress, share_out, warp, compress_bytes, count_bytes


steps, compress, share_out, warp, compress_bytes, count_bytes = _cached(_SOURCES)


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
    own = slots - (average > 0)

    def body(theta, gradient, state, c, n, stride):
        fingerprint  # noqa: B018
        p, g = carray(theta, n), carray(gradient, n)
        k = (c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9])
        if own == 0:
            for i in range(n):
                p[i], _ = update(p[i], g[i], (), k)
        elif own == 1:
            s = carray(state, n)
            for i in range(n):
                p[i], (s[i],) = update(p[i], g[i], (s[i],), k)
        elif own == 2:
            s, r = carray(state, n), carray(shifted(state, stride), n)
            for i in range(n):
                p[i], (s[i], r[i]) = update(p[i], g[i], (s[i], r[i]), k)
        else:
            s, r = carray(state, n), carray(shifted(state, stride), n)
            q = carray(shifted(state, 2 * stride), n)
            for i in range(n):
                p[i], (s[i], r[i], q[i]) = update(p[i], g[i], (s[i], r[i], q[i]), k)
        if average:
            mean = carray(shifted(state, own * stride), n)
            for i in range(n):
                mean[i] = c[average] * mean[i] + (number(1) - c[average]) * p[i]

    return cached_callback(signature, body)
