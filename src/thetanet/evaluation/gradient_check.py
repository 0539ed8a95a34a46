"""The gradient checked: numeric against analytic derivatives, element by element, over random problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.engine.cpu.engine import CPUEngine
from thetanet.network import error, error_and_gradient
from thetanet.theta import Theta

PARTS = ("Theta1 bias row", "Theta1 weights", "Theta2 bias row", "Theta2 weights")
TOLERANCE = 1e-7

Gradient = Callable[[Theta, Any, Any, Any], tuple[float, Theta]]


@dataclass(frozen=True)
class Problem:
    """One random problem: a network, its samples with soft labels, and sample weights (or None)."""

    theta: Theta
    X: NDArray[np.float64]
    L: NDArray[np.float64]
    sample_weight: NDArray[np.float64] | None


def generate_problems(count: int, seed: int = 0) -> Iterator[Problem]:
    """Yield problems of random shapes; labels are hard or soft, samples weighted or not, in turn."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        D_I, D_H, D_O, M = (int(n) for n in rng.integers(1, [9, 9, 6, 12], endpoint=True))
        theta = Theta.random(D_I, D_H, D_O, seed=int(rng.integers(2**31)))
        theta.flat += 0.5 * rng.standard_normal(theta.flat.size)
        L = rng.random((D_O, M))
        yield Problem(
            theta,
            rng.standard_normal((D_I, M)),
            L if number % 2 else np.round(L),
            rng.exponential(size=M) if number % 4 >= 2 else None,
        )


def numeric_gradient(problem: Problem, step: float = 1e-3) -> Theta:
    """Differentiate E by central differences of fourth order (five points; Fornberg 1988).

    The error of the formula is of order step^4, about 1e-12; rounding adds about as much.
    """
    theta, gradient = problem.theta.copy(), Theta.zeros(*problem.theta.shape)

    def E(index: int, offset: float) -> float:
        theta.flat[index] = problem.theta.flat[index] + offset
        value = error(theta, problem.X, problem.L, problem.sample_weight)
        theta.flat[index] = problem.theta.flat[index]
        return value

    for i in range(theta.flat.size):
        near, far = E(i, step) - E(i, -step), E(i, 2 * step) - E(i, -2 * step)
        gradient.flat[i] = (8 * near - far) / (12 * step)
    return gradient


def engine_gradient(theta: Theta, X: Any, L: Any, sample_weight: Any) -> tuple[float, Theta]:
    """Return E and its gradient by the processor engine, with the signature of `error_and_gradient`."""
    chunk = Samples(
        np.ascontiguousarray(X.T),
        np.ascontiguousarray(L.T),
        theta.D_O,
        Scaling.identity(theta.D_I),
        sample_weight,
    )
    measure, gradient = CPUEngine("float64", tile=5).error_and_gradient(theta, chunk)
    return measure.error, gradient


def largest_differences(
    count: int = 20, seed: int = 0, gradient: Gradient = error_and_gradient
) -> dict[str, float]:
    """Return, for each part of Theta, the largest relative difference over `count` random problems.

    The difference of a derivative is taken relative to its size, or to a thousandth of the largest
    derivative in its part where it is smaller than that.
    """
    worst = dict.fromkeys(PARTS, 0.0)
    for problem in generate_problems(count, seed):
        numeric = numeric_gradient(problem)
        _, analytic = gradient(problem.theta, problem.X, problem.L, problem.sample_weight)
        for part, n, a in zip(PARTS, _split_parts(numeric), _split_parts(analytic), strict=True):
            size = np.maximum(np.abs(n), np.abs(a))
            relative = np.abs(n - a) / np.maximum(size, max(1e-3 * size.max(), 1e-300))
            worst[part] = max(worst[part], float(relative.max()))
    return worst


def _split_parts(theta: Theta) -> tuple[Any, Any, Any, Any]:
    return theta.b1, theta.W1, theta.b2, theta.W2
