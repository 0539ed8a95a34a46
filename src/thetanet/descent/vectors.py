"""Floating point in whole-pass methods: vectors have Theta's type, scalars are float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thetanet.descent.objective import Objective, State, Vector


def dot(a: Vector, b: Vector) -> float:
    """Return the scalar product, multiplied and summed (pairwise) in float64, whatever BLAS is there."""
    return float(np.multiply(a, b, dtype=np.float64).sum())


def norm(a: Vector) -> float:
    """Return the Euclidean length."""
    return math.sqrt(dot(a, a))


def smallest_visible_decrease(error: float, dtype: Any) -> float:
    """Return the fall of E below which it cannot be told from the rounding of Theta's type."""
    return float(np.finfo(dtype).eps) * abs(error)


def evaluate(objective: Objective, theta: Vector) -> tuple[float, Vector | None]:
    """Return error and gradient, or (infinity, None) where one of them, or theta itself, is not finite."""
    if not np.isfinite(theta).all():
        return math.inf, None
    error, gradient = objective(theta)
    if not (math.isfinite(error) and np.isfinite(gradient).all()):
        return math.inf, None
    return error, gradient


def step_along(theta: Vector, rate: float, direction: Vector) -> Vector:
    """Return theta + rate * direction; a step beyond the largest number gives infinity, without a warning."""
    with np.errstate(over="ignore"):
        moved: Vector = theta + rate * direction
    return moved


def resumable(state: State | None, names: set[str], theta: Vector) -> bool:
    """Tell whether a state holds exactly what a method remembers, for a theta of this size and type."""
    if state is None or set(state) != names:
        return False
    arrays = [value for value in state.values() if isinstance(value, np.ndarray)]
    return all(a.shape == theta.shape and a.dtype == theta.dtype for a in arrays)
