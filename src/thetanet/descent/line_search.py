"""The line search of conjugate gradients and L-BFGS: a step that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from thetanet.checks import check_number
from thetanet.descent.objective import Objective, Vector
from thetanet.descent.vectors import dot, evaluate, smallest_visible_decrease, step_along
from thetanet.errors import InputError

_MOST = 30  # evaluations in a search


class Point(NamedTuple):
    """A point theta + rate d of the line, with E, its gradient, and the slope dE/d(rate) there."""

    rate: float
    theta: Vector
    error: float
    gradient: Vector
    slope: float


def check_wolfe(decrease: Any, curvature: Any, most: float) -> None:
    """Check the constants of a search for the strong Wolfe conditions."""
    below = np.nextafter(most, 0)
    check_number("decrease", decrease, least=0, most=below, above=True)
    check_number("curvature", curvature, least=0, most=below, above=True)
    if not decrease < curvature:
        raise InputError(f"decrease={decrease!r}: must be below curvature={curvature!r}")


def first_rate(gradient: Vector) -> float:
    """Return the first trial along -g when nothing is known yet: a step of length 1 at most."""
    return 1 / max(1.0, math.sqrt(dot(gradient, gradient)))


def strong_wolfe(
    objective: Objective,
    theta: Vector,
    error: float,
    gradient: Vector,
    direction: Vector,
    rate: float,
    decrease: float,
    curvature: float,
) -> tuple[Point | None, float, int]:
    """Search along a direction for a step that satisfies the strong Wolfe conditions.

    E(theta + rate d) <= E + decrease rate g.d    and    |slope there| <= curvature |g.d|

    Nocedal & Wright 2006, algorithms 3.5 and 3.6 in one loop: `low` is the best point with enough decrease
    yet, the minimum lies between it and `high`, or further on while there is no `high`. New trials minimise
    the cubic through two points (equation 3.59), kept away from both ends, and bisect where that is slow. A
    trial that is not finite is too long a step.

    Parameters
    ----------
    objective, theta, error, gradient
        The function, and where the line begins.
    direction : array
        d. If E does not fall along it, nothing is evaluated.
    rate : float
        The first trial.
    decrease, curvature : float
        0 < decrease < curvature < 1.

    Returns
    -------
    Point or None
        A point at which E is lower. Where rounding hides the conditions it is the best point found; None if
        there is none.
    float
        g.d, the slope where the line begins.
    int
        Evaluations of the objective.
    """
    slope, passes = dot(gradient, direction), 0
    low = start = Point(0.0, theta, error, gradient, slope)
    high: Point | None = None
    least = smallest_visible_decrease(error, theta.dtype)
    widths = (math.inf, math.inf)  # of the interval in the last two trials
    while slope < 0 and passes < _MOST:
        at = step_along(theta, rate, direction)
        if np.array_equal(at, low.theta):
            break
        value, there = evaluate(objective, at)
        passes += 1
        before = low
        if there is None:
            high = Point(rate, at, math.inf, gradient, math.inf)
        else:
            point = Point(rate, at, value, there, dot(there, direction))
            if value > error + decrease * rate * slope or value >= low.error:
                high = point
            else:
                if abs(point.slope) <= -curvature * slope:
                    low = point
                    break
                if (point.slope >= 0) == (high is None or high.rate > low.rate):
                    high = low
                low = point
        if high is None:
            rate = min(max(2 * low.rate, _cubic(before, low)), 10 * low.rate)
            continue
        width = abs(high.rate - low.rate)
        if abs(low.slope) * width <= least:
            break
        rate = _between(low, high, bisect=width > 0.66 * widths[0])
        widths = (widths[1], width)
    return (low if low.error < start.error else None), slope, passes


def _between(low: Point, high: Point, bisect: bool) -> float:
    """Return the next trial in an interval: a tenth of its width away from the ends at least."""
    width = high.rate - low.rate
    if math.isinf(high.error):
        return low.rate + 0.1 * width
    share = 0.5 if bisect else (_cubic(low, high) - low.rate) / width
    return low.rate + width * (min(max(share, 0.1), 0.9) if math.isfinite(share) else 0.5)


def _cubic(a: Point, b: Point) -> float:
    """Return where the cubic with the values and slopes of two points has its minimum; NaN if nowhere."""
    width = b.rate - a.rate
    d1 = a.slope + b.slope - 3 * (b.error - a.error) / width
    square = d1 * d1 - a.slope * b.slope
    d2 = math.copysign(math.sqrt(square), width) if square >= 0 else math.nan
    below = b.slope - a.slope + 2 * d2
    return b.rate - width * (b.slope + d2 - d1) / below if below != 0 else math.nan
