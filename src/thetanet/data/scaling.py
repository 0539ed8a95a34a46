"""Scaling of the inputs: chosen for the user, applied tile by tile, folded into Theta(1) at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError
from thetanet.theta import Theta

KINDS = ("auto", "none", "pixels", "standard", "maximum")


@dataclass(frozen=True)
class Scaling:
    """The map x -> (x - shift) * factor of each input.

    Attributes
    ----------
    kind : str
        "none", "pixels" (divide by 255), "standard" (mean 0, standard deviation 1) or "maximum"
        (divide by the largest absolute value, which keeps zeros).
    factor : array of shape (D_I,)
        In float64.
    shift : array of shape (D_I,) or None
        None means no shift, so that zeros stay zeros.
    """

    kind: str
    factor: NDArray[np.float64]
    shift: NDArray[np.float64] | None = None

    @classmethod
    def identity(cls, D_I: int) -> Scaling:
        """Return the scaling that leaves inputs as they are."""
        return cls("none", np.ones(D_I))

    @classmethod
    def of(cls, X: Any, kind: str = "auto", weight: NDArray[Any] | None = None) -> Scaling:
        """Choose and measure the scaling of X, an array or CSR matrix whose rows are samples.

        `weight` counts samples: those of weight 2 as if they were there twice, of 0 as if they were not.

        "auto" is "pixels" for uint8, "maximum" for sparse matrices, "standard" for anything else. If the
        largest of those pixels is below 128 (0 and 1, or 16 grey levels), it stands for 255.

        Raises
        ------
        InputError
            If `kind` is unknown, or "standard" is asked for a sparse matrix.
        """
        if kind not in KINDS:
            raise InputError(f"scaling={kind!r}: must be one of {', '.join(KINDS)}")
        sparse = not isinstance(X, np.ndarray)
        D_I = X.shape[1]
        if kind == "auto":
            kind = "maximum" if sparse else "pixels" if X.dtype == np.uint8 else "standard"
            brightest = int(X.max(initial=0)) if kind == "pixels" else 255
            if brightest < 128:
                return cls(kind, np.full(D_I, 1 / max(1, brightest)))
        if kind == "none":
            return cls.identity(D_I)
        if kind == "pixels":
            return cls(kind, np.full(D_I, 1 / 255))
        if weight is not None and not weight.all():
            X, weight = X[weight > 0], weight[weight > 0]
        if kind == "maximum":
            return cls(kind, inverse(_largest(X, sparse)))
        if sparse:
            raise InputError(
                "scaling='standard' would make a sparse X dense: use 'maximum', 'none' or 'auto'"
            )
        # Standardised by its largest absolute value first, or the squares of very large inputs overflow
        # and those of very small ones vanish.
        unit = inverse(_largest(X, sparse))
        mean, deviation = _moments(X, unit, weight)
        # What is left of a constant input is the rounding of its mean, not a deviation.
        deviation[deviation <= 1e-12 * np.abs(mean)] = 0.0
        return cls(kind, unit * inverse(deviation), mean / unit)

    def apply(self, X: Any) -> Any:
        """Return the scaled rows of X: a CSR matrix for a CSR matrix, else a float64 array."""
        if not isinstance(X, np.ndarray):
            X = X.copy()
            X.data = X.data * self.factor[X.indices]
            return X
        if self.shift is None:
            return X * self.factor
        return (X - self.shift) * self.factor

    def fold(self, theta: Theta, dtype: Any = np.float64) -> Theta:
        """Return the Theta that gives for raw inputs what `theta` gives for scaled ones.

        (f (x - s)) W1 + b1 = x (f W1) + (b1 - (f s) W1)
        """
        folded = theta.astype(np.float64).copy()
        folded.W1[...] *= self.factor[:, None]
        if self.shift is not None:
            folded.b1[...] -= self.shift @ folded.W1
        return folded.astype(dtype)

    def unfold(self, theta: Theta) -> Theta:
        """Return the Theta that gives for scaled inputs what `theta` gives for raw ones: undoes `fold`."""
        unfolded = theta.astype(np.float64).copy()
        if self.shift is not None:
            unfolded.b1[...] += self.shift @ unfolded.W1
        unfolded.W1[...] /= self.factor[:, None]
        return unfolded


def inverse(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / scale, and 1 where the scale is zero or so small that its inverse would overflow."""
    usable = scale > 1e-300
    return np.where(usable, 1.0 / np.where(usable, scale, 1.0), 1.0)


def _largest(X: Any, sparse: bool) -> NDArray[np.float64]:
    if sparse:
        if not X.has_canonical_format:  # else SciPy would sum up duplicates in the user's own matrix
            X = X.copy()
            X.sum_duplicates()
        return np.asarray(abs(X).max(axis=0).todense(), dtype=np.float64).ravel()
    low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
    return np.asarray(np.maximum(np.abs(low), np.abs(high)))


def _moments(
    X: NDArray[Any], unit: NDArray[np.float64], weight: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of X * unit in two passes over tiles, in float64."""
    tiles = [slice(low, low + 4096) for low in range(0, len(X), 4096)]

    def total(function: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
        if weight is None:
            return np.sum([function(X[t] * unit).sum(axis=0) for t in tiles], axis=0) / len(X)
        return np.sum([weight[t] @ function(X[t] * unit) for t in tiles], axis=0) / weight.sum()

    mean = total(lambda x: x)
    return mean, np.sqrt(total(lambda x: (x - mean) ** 2))
