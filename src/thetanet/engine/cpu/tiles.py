"""Prediction over tiles of samples: NumPy and its BLAS on threads of our own, in memory of fixed size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from thetanet.theta import Theta

_blas = ThreadpoolController().select(user_api="blas")


def one_blas_thread() -> Any:
    """Return a context in which BLAS runs on the thread that calls it."""
    return _blas.limit(limits=1)


def propagate(theta: Theta, X: Any, to: str, tile: int, threads: int) -> NDArray[Any]:
    """Return Z (M, D_H), A2 or Y (M, D_O) of the rows of X, an array or CSR matrix, in Theta's type."""
    M = X.shape[0]
    out = np.empty((M, theta.D_H if to == "Z" else theta.D_O), theta.dtype)
    starts = range(0, M, tile)

    def work(low: int) -> None:
        rows = slice(low, low + tile)
        part = X[rows] if tile < M else X
        x = part if part.dtype == theta.dtype else part.astype(theta.dtype)
        Z = x @ theta.W1
        Z += theta.b1
        sigma(Z)
        if to == "Z":
            out[rows] = Z
            return
        np.matmul(Z, theta.W2, out=out[rows])
        out[rows] += theta.b2
        if to == "Y":
            sigma(out[rows])

    if len(starts) <= 1:
        for low in starts:
            work(low)
        return out
    with one_blas_thread(), ThreadPoolExecutor(min(threads, len(starts))) as pool:
        for done in pool.map(work, starts):
            assert done is None
    return out


def sigma(a: NDArray[Any]) -> None:
    """1 / (1 + exp(-a)) in place; exp may overflow to infinity, whose inverse is the right zero."""
    with np.errstate(over="ignore"):
        np.negative(a, out=a)
        np.exp(a, out=a)
        a += 1
        np.reciprocal(a, out=a)
