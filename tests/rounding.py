"""Bounds for the rounding of a computation, by running error analysis (Higham 2002, section 3.3).

A `Rounded` is an exact value (float64) with a bound for the error of the same computation in another type. A
sum of n products may be off by n + 1 roundings of the sum of their absolute values, in whatever order it is
taken; every operation passes on the errors of its operands.
"""

from dataclasses import dataclass

import numpy as np

FEW_ULP = 8  # of a sigmoid, from one exponential and one division


@dataclass(frozen=True, eq=False)
class Rounded:
    """Values and bounds of their absolute errors, for arithmetic whose unit roundoff is at most `unit`."""

    value: np.ndarray
    bound: np.ndarray
    unit: float

    __array_ufunc__ = None  # so that array @ Rounded is ours

    @classmethod
    def of(cls, value, dtype):
        """Return values that are rounded to a type."""
        unit = float(np.finfo(dtype).eps)
        return cls(np.asarray(value, np.float64), unit * np.abs(value), unit)

    def _rounded(self, value, bound):
        return Rounded(value, bound + self.unit * np.abs(value), self.unit)

    def _lift(self, other):
        return other if isinstance(other, Rounded) else Rounded(np.asarray(other), np.zeros(1), self.unit)

    def __add__(self, other):
        other = self._lift(other)
        return self._rounded(self.value + other.value, self.bound + other.bound)

    def __sub__(self, other):
        other = self._lift(other)
        return self._rounded(self.value - other.value, self.bound + other.bound)

    def __rsub__(self, other):
        return self._lift(other) - self

    def __mul__(self, other):
        other = self._lift(other)
        bound = np.abs(self.value) * other.bound + self.bound * (np.abs(other.value) + other.bound)
        return self._rounded(self.value * other.value, bound)

    __rmul__ = __mul__

    def __matmul__(self, other):
        a, b = np.abs(self.value), np.abs(other.value)
        terms = self.value.shape[-1]
        bound = a @ other.bound + self.bound @ (b + other.bound) + (terms + 1) * self.unit * (a @ b)
        return Rounded(self.value @ other.value, bound, self.unit)

    @property
    def T(self):
        return Rounded(self.value.T, self.bound.T, self.unit)

    def sum(self):
        """Return the sums over columns, as a column."""
        ones = Rounded(np.ones((self.value.shape[1], 1)), np.zeros((self.value.shape[1], 1)), self.unit)
        return self @ ones

    def sigma(self):
        """Return 1 / (1 + exp(-a)): its slope is at most 1/4, that of its slope at most 1/10."""
        a, e = self.value, self.bound
        y = np.exp(-np.logaddexp(0, -a))
        bound = np.minimum(y * (1 - y) * e + e * e / 10, 1.0) + FEW_ULP * self.unit * y
        return Rounded(y, bound, self.unit)


def hessian_bounds(theta, V, X, L, w, dtype):
    """Return H V with bounds: the equations of thetanet/hessian.py, columns are samples."""
    W1, b1, W2, b2, V1, c1, V2, c2, X, L = (
        Rounded.of(a, dtype)
        for a in (
            theta.W1, theta.b1[:, None], theta.W2, theta.b2[:, None],
            V.W1, V.b1[:, None], V.W2, V.b2[:, None], X, L,
        )
    )  # fmt: skip
    w = Rounded.of(np.ones(X.value.shape[1]) if w is None else w, dtype)
    Z = (W1.T @ X + b1).sigma()
    Y = (W2.T @ Z + b2).sigma()
    slope = Z * (1 - Z)
    R_Z = slope * (V1.T @ X + c1)
    delta3 = (Y - L) * w
    R_delta3 = Y * (1 - Y) * (V2.T @ Z + c2 + W2.T @ R_Z) * w
    R_delta2 = (V2 @ delta3 + W2 @ R_delta3) * slope + (W2 @ delta3) * (1 - 2 * Z) * R_Z
    one = R_delta2.sum().T, X @ R_delta2.T
    two = R_delta3.sum().T, R_Z @ delta3.T + Z @ R_delta3.T
    parts = [*one, *two]
    return tuple(np.concatenate([getattr(p, name).ravel() for p in parts]) for name in ("value", "bound"))
