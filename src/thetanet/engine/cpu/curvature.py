"""Hessian-vector products over tiles of samples: NumPy and its BLAS on threads of our own, in fixed memory.

The equations are those of thetanet/hessian.py, where rows are samples.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.engine import Chunk
from thetanet.engine.cpu.tiles import one_blas_thread, sigma
from thetanet.errors import InputError
from thetanet.theta import Theta


def hessian_product(theta: Theta, direction: Theta, chunk: Chunk, tile: int, threads: int) -> Theta:
    """Return H V summed over the samples of a chunk, in Theta's type."""
    if direction.shape != theta.shape:
        raise InputError(
            f"direction has (D_I, D_H, D_O) = {direction.shape}: it must be those of theta, {theta.shape}"
        )
    V = direction.astype(theta.dtype)
    # A1 and R{A1} in one product with the inputs.
    both = np.concatenate([theta.W1, V.W1], axis=1), np.concatenate([theta.b1, V.b1])
    starts = range(0, chunk.X.shape[0], tile)
    threads = max(1, min(threads, len(starts)))

    def work(t: int) -> Theta:
        total = Theta.zeros(*theta.shape, dtype=theta.dtype)
        for low in starts[t::threads]:  # a fixed share, so that the sum has a fixed order
            _add(total, theta, V, both, chunk, slice(low, low + tile))
        return total

    with one_blas_thread():
        if threads == 1:
            return work(0)
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(work, range(threads)))
    for part in parts[1:]:
        parts[0].flat += part.flat
    return parts[0]


def _add(
    total: Theta, theta: Theta, V: Theta, both: tuple[NDArray[Any], ...], chunk: Chunk, rows: slice
) -> None:
    """Add the product over the samples of one tile to `total`."""
    X = _scaled(chunk.X[rows], chunk.scaling, theta.dtype)
    A1 = X @ both[0]
    A1 += both[1]
    Z, R_A1 = np.ascontiguousarray(A1[:, : theta.D_H]), A1[:, theta.D_H :]
    sigma(Z)
    slope = Z * (1 - Z)
    R_Z = slope * R_A1
    Y = Z @ theta.W2
    Y += theta.b2
    sigma(Y)
    R_delta3 = Z @ V.W2
    R_delta3 += V.b2
    R_delta3 += R_Z @ theta.W2
    R_delta3 *= Y * (1 - Y)
    delta3 = Y
    L = chunk.L[rows]
    if L.ndim == 1:
        delta3[np.arange(len(L)), L] -= 1
    else:
        delta3 -= L.astype(theta.dtype, copy=False)
    if chunk.weight is not None:
        w = chunk.weight[rows, None].astype(theta.dtype)
        delta3 *= w
        R_delta3 *= w
    R_delta2 = delta3 @ V.W2.T
    R_delta2 += R_delta3 @ theta.W2.T
    R_delta2 *= slope
    R_delta2 += (delta3 @ theta.W2.T) * (1 - 2 * Z) * R_Z

    total.b1[...] += R_delta2.sum(axis=0)
    total.W1[...] += X.T @ R_delta2
    total.b2[...] += R_delta3.sum(axis=0)
    total.W2[...] += R_Z.T @ delta3
    total.W2[...] += Z.T @ R_delta3


def _scaled(X: Any, scaling: Any, dtype: Any) -> Any:
    """Scale before narrowing: float32 holds neither 1e200 nor the 0.1 of 1e7 + 0.1, but it holds pixels."""
    if isinstance(X, np.ndarray) and X.dtype == np.uint8 and scaling.shift is None:
        return np.multiply(X, scaling.factor.astype(dtype), dtype=dtype)
    return scaling.apply(X).astype(dtype, copy=False)
