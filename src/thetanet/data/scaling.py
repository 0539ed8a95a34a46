"""Scaling of the inputs: chosen by their type, applied tile by tile, folded into Theta(1) at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError
from thetanet.theta import Theta

KINDS = ("auto", "none", "pixels", "standard", "maximum")
GREY_LEVELS = "grey levels"  # what "auto" means for uint8: pixels, whose largest value is measured


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

    @staticmethod
    def resolve_kind(kind: str, dtype: np.dtype[Any], sparse: bool) -> str:
        """Return the kind that "auto" means for inputs of this type, any other kind unchanged.

        "auto" is "pixels" for uint8, "maximum" for sparse matrices, "standard" for anything else.

        Raises
        ------
        InputError
            If the kind is unknown, or it is "standard" and inputs are sparse.
        """
        if kind not in KINDS:
            raise InputError(f"scaling={kind!r}: must be one of {', '.join(KINDS)}")
        if kind == "auto":
            return "maximum" if sparse else GREY_LEVELS if dtype == np.uint8 else "standard"
        if kind == "standard" and sparse:
            raise InputError(
                "scaling='standard' would make a sparse X dense: use 'maximum', 'none' or 'auto'"
            )
        return kind

    @classmethod
    def of_pixels(cls, D_I: int, brightest: float = 255) -> Scaling:
        """Return the scaling of pixels from 0 to 255; where the brightest is below 128, it stands for 255."""
        return cls("pixels", np.full(D_I, 1 / (255 if brightest >= 128 else max(1, int(brightest)))))

    @classmethod
    def of(cls, X: Any, kind: str = "auto", weight: NDArray[Any] | None = None) -> Scaling:
        """Choose and measure the scaling of X, an array or CSR matrix whose rows are samples.

        `weight` counts samples: a sample of weight 2 counts twice, one of weight 0 not at all. `resolve_kind`
        documents "auto". If the largest of pixels is below 128 (0 and 1, or 16 grey levels), it
        stands for 255.

        Raises
        ------
        InputError
            If `kind` is unknown, or it is "standard" and X is sparse.
        """
        sparse = not isinstance(X, np.ndarray)
        kind = cls.resolve_kind(kind, X.dtype, sparse)
        D_I = X.shape[1]
        if kind == "none":
            return cls.identity(D_I)
        if kind == "pixels":
            return cls.of_pixels(D_I)
        if weight is not None and not weight.all():
            X, weight = X[weight > 0], weight[weight > 0]
        if kind == GREY_LEVELS:
            return cls.of_pixels(D_I, X.max(initial=0))
        if kind == "maximum":
            return cls(kind, inverse(_largest(X, sparse)))
        # Standardised by its largest absolute value first, or the squares of very large inputs overflow
        # and those of very small ones vanish.
        unit = inverse(_largest(X, sparse))
        mean, deviation = _mean_and_deviation(X, unit, weight)
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


@dataclass(frozen=True)
class Moments:
    """Largest value, mean and spread of each input, of samples that come in parts.

    Attributes
    ----------
    weight : float
        Sum of the sample weights; the number of samples if there are none.
    largest : array of shape (D_I,)
        Largest absolute value of each input.
    mean, spread : arrays of shape (D_I,)
        Weighted mean of each input, and the root of the weighted sum of its squared differences from it: of
        numbers beyond 1e154 or below 1e-154 that sum cannot be held.
    """

    weight: float
    largest: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def none(cls, D_I: int) -> Moments:
        """Return the moments of no samples."""
        return cls(0, np.zeros(D_I), np.zeros(D_I), np.zeros(D_I))

    @classmethod
    def of(cls, X: Any, weight: NDArray[np.float64] | None = None) -> Moments:
        """Return the moments of the rows of X, an array or CSR matrix; of CSR the largest values alone."""
        if weight is not None:
            X, weight = X[weight > 0], weight[weight > 0]
        M, D_I = X.shape
        if not M:
            return cls.none(D_I)
        n = float(M) if weight is None else float(weight.sum())
        largest = _largest(X, not isinstance(X, np.ndarray))
        if not isinstance(X, np.ndarray):
            return cls(n, largest, np.zeros(D_I), np.zeros(D_I))
        # Integers add up exactly as they are; float64 would take eight times the memory of pixels.
        if weight is not None:
            mean = weight @ X.astype(np.float64, copy=False) / n
        else:
            total = X.sum(axis=0, dtype=np.float64 if X.dtype.kind == "f" else np.int64)
            mean = np.asarray(total, dtype=np.float64) / n
        if X.dtype == np.uint8 and weight is None:
            square = np.einsum("ij,ij->j", X, X, dtype=np.int64) - n * mean * mean
            return cls(n, largest, mean, np.sqrt(np.maximum(square, 0)))
        unit = np.where((largest > 1e100) | (largest < 1e-100), inverse(largest), 1.0)
        squares = np.square((X - mean) * unit, dtype=np.float64)
        spread = np.sqrt(squares.sum(axis=0) if weight is None else weight @ squares) / unit
        return cls(n, largest, mean, spread)

    def plus(self, other: Moments) -> Moments:
        """Return the moments of both sets of samples together (Chan, Golub & LeVeque 1979)."""
        both = self.weight + other.weight
        if not both:
            return self
        apart = other.mean - self.mean
        between = np.abs(apart) * np.sqrt(self.weight * other.weight / both)
        return Moments(
            both,
            np.maximum(self.largest, other.largest),
            self.mean + apart * (other.weight / both),
            np.hypot(np.hypot(self.spread, other.spread), between),
        )

    def scaling(self, kind: str) -> Scaling:
        """Return the scaling of a kind that `resolve_kind` has returned: `Scaling.of`, up to rounding."""
        D_I = len(self.mean)
        if kind == "none":
            return Scaling.identity(D_I)
        if kind == "pixels":
            return Scaling.of_pixels(D_I)
        if kind == GREY_LEVELS:
            return Scaling.of_pixels(D_I, self.largest.max(initial=0))
        if kind == "maximum":
            return Scaling(kind, inverse(self.largest))
        deviation = self.spread / np.sqrt(self.weight)
        deviation[deviation <= 1e-12 * np.abs(self.mean)] = 0.0  # rounding of a constant, no deviation
        return Scaling(kind, inverse(np.where(deviation > 0, deviation, self.largest)), self.mean)

    def to_json(self) -> list[Any]:
        """Return what `from_json` reads."""
        return [self.weight, self.largest.tolist(), self.mean.tolist(), self.spread.tolist()]

    @classmethod
    def from_json(cls, values: Any) -> Moments:
        """Return the moments that `to_json` has written."""
        weight, *arrays = values
        return cls(float(weight), *(np.array(array, np.float64) for array in arrays))


def inverse(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / scale, and 1 where the scale is zero or so small that its inverse would overflow."""
    usable = scale > 1e-300
    return np.where(usable, 1.0 / np.where(usable, scale, 1.0), 1.0)


def _largest(X: Any, sparse: bool) -> NDArray[np.float64]:
    if sparse:
        if not X.has_canonical_format:  # or SciPy would sum up duplicates in the matrix of the user
            X = X.copy()
            X.sum_duplicates()
        return np.asarray(abs(X).max(axis=0).todense(), dtype=np.float64).ravel()
    low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
    return np.asarray(np.maximum(np.abs(low), np.abs(high)))


def _mean_and_deviation(
    X: NDArray[Any], unit: NDArray[np.float64], weight: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of X * unit in two passes over tiles, in float64."""
    tiles = [slice(low, low + 4096) for low in range(0, len(X), 4096)]

    def total(function: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
        if weight is None:
            return np.sum([function(X[t] * unit).sum(axis=0) for t in tiles], axis=0) / len(X)
        return np.sum([weight[t] @ function(X[t] * unit) for t in tiles], axis=0) / weight.sum()

    mean = total(lambda x: x)
    return mean, np.sqrt(total(lambda x: (x - mean) ** 2))
