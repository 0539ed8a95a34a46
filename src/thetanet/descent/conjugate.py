"""Conjugate gradients on whole passes: with a line search, and with a scaled model of the curvature."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thetanet.checks import check_number
from thetanet.descent.line_search import check_wolfe, first_rate, strong_wolfe
from thetanet.descent.objective import Objective, Pass, State, Vector, WholePassMethod
from thetanet.descent.vectors import dot, evaluate, norm, resumable, smallest_visible_decrease, step_along


@dataclass(frozen=True)
class ConjugateGradients(WholePassMethod):
    """Nonlinear conjugate gradients (Polak & Ribiere 1969; Nocedal & Wright 2006, algorithm 5.4).

    Theta <- Theta + rate d,  d <- -g + beta d,  beta = max(0, g.(g - g_before) / |g_before|^2), where the
    rate satisfies the strong Wolfe conditions. beta = 0 begins anew along steepest descent; so do directions
    in which E does not fall, and every n-th iteration for n parameters.

    Parameters
    ----------
    decrease, curvature : float
        0 < decrease < curvature < 1/2: the conditions on the fall of E and on the slope after a step.
    """

    decrease: float = 1e-4
    curvature: float = 0.1

    def __post_init__(self) -> None:
        check_wolfe(self.decrease, self.curvature, 0.5)

    def descend(self, objective: Objective, theta: Vector, state: State | None = None) -> Iterator[Pass]:
        """Yield one `Pass` for each line search; ends where none lowers E, not even along the gradient."""
        gradient: Vector | None
        names = {"error", "gradient", "direction", "rate", "age"}
        if state is not None and resumable(state, names, theta):
            error, gradient, direction = state["error"], state["gradient"], state["direction"]
            rate, age = state["rate"], state["age"]
        else:
            error, gradient = evaluate(objective, theta)
            if gradient is None:
                return
            direction, rate, age = -gradient, first_rate(gradient), 0
        while True:
            at = (objective, theta, error, gradient)
            point, slope, passes = strong_wolfe(*at, direction, rate, self.decrease, self.curvature)
            if point is None and age > 0:
                direction, age = -gradient, 0
                point, slope, more = strong_wolfe(
                    *at, direction, first_rate(gradient), self.decrease, self.curvature
                )
                passes += more
            if point is None:
                return
            change = point.gradient - gradient
            beta = max(0.0, dot(point.gradient, change) / dot(gradient, gradient))
            theta, error, gradient = point.theta, point.error, point.gradient
            age += 1
            falling = False
            if beta > 0 and age < theta.size:
                direction = beta * direction - gradient
                falling = dot(gradient, direction) < 0
            if not falling:
                direction, age = -gradient, 0
            # The first trial foresees the same first-order change of E as in this step (N & W, section 3.5).
            ahead = dot(gradient, direction)
            rate = min(point.rate * slope / ahead, 10 * point.rate) if ahead < 0 else point.rate
            state = {
                "error": error,
                "gradient": gradient,
                "direction": direction,
                "rate": rate,
                "age": age,
            }
            yield Pass(theta, error, point.rate, passes, state)


@dataclass(frozen=True)
class ScaledConjugateGradients(WholePassMethod):
    """Scaled conjugate gradients (Moller 1993): no line search, a step costs two or three passes.

    The rate along d is -g.d / (d.s + scale |d|^2), where s = (g(Theta + h d) - g(Theta)) / h is nearly H d.
    `scale` rises while the quadratic model foretells the fall of E badly or has no minimum along d, and sinks
    where it is good. Directions are d <- -g + beta d, beta = (|g|^2 - g.g_before) / (-g_before.d), and begin
    anew every n-th iteration for n parameters.

    Parameters
    ----------
    sigma : float
        h = sigma max(1, |Theta|) / |d|. In float32 sigma is at least 3e-4, or s would be lost in rounding
        (the paper has sigma / |d|).
    scale : float
        The first value of the scale (lambda in the paper).
    """

    sigma: float = 1e-4
    scale: float = 1e-6

    def __post_init__(self) -> None:
        check_number("sigma", self.sigma, least=0, above=True)
        check_number("scale", self.scale, least=0, above=True)

    def descend(self, objective: Objective, theta: Vector, state: State | None = None) -> Iterator[Pass]:
        """Yield one `Pass` for each step that lowers E; ends where none does, not even along the gradient."""
        gradient: Vector | None
        names = {"error", "gradient", "direction", "scale", "age"}
        if state is not None and resumable(state, names, theta):
            error, gradient, direction = state["error"], state["gradient"], state["direction"]
            scale, age = state["scale"], state["age"]
        else:
            error, gradient = evaluate(objective, theta)
            if gradient is None:
                return
            direction, scale, age = -gradient, self.scale, 0
        while True:
            step, passes = self._step(objective, theta, error, gradient, direction, scale)
            if step is None and age > 0:
                direction, age = -gradient, 0
                step, more = self._step(objective, theta, error, gradient, direction, self.scale)
                passes += more
            if step is None:
                return
            mu = -dot(gradient, direction)
            square = dot(step[2], step[2])
            beta = (square - dot(step[2], gradient)) / mu
            theta, error, gradient, rate, scale = step
            age += 1
            if age < theta.size:
                direction = beta * direction - gradient
            if age >= theta.size or dot(gradient, direction) >= 0:
                direction, age = -gradient, 0
            state = {"error": error, "gradient": gradient, "direction": direction, "scale": scale, "age": age}
            yield Pass(theta, error, rate, passes, state)

    def _step(
        self, objective: Objective, theta: Vector, error: float, gradient: Vector, d: Vector, scale: float
    ) -> tuple[tuple[Vector, float, Vector, float, float] | None, int]:
        """Return (theta, E, gradient, rate, scale) after a step that lowers E, or None; and the passes."""
        mu, length = -dot(gradient, d), dot(d, d)
        if not mu > 0:
            return None, 0
        curvature, passes = self._curvature(objective, theta, gradient, d)
        delta = curvature + scale * length
        if delta <= 0:  # no minimum along d: Moller's new scale, at which delta is -curvature
            scale = 2 * (scale - delta / length)
            delta = curvature + scale * length
        least = smallest_visible_decrease(error, theta.dtype)
        while delta > 0 and mu * mu / (2 * delta) > least:  # the fall that the model foretells can be seen
            rate = mu / delta
            trial = step_along(theta, rate, d)
            if np.array_equal(trial, theta):
                break
            value, there = evaluate(objective, trial)
            passes += 1
            agreement = 2 * delta * (error - value) / (mu * mu)
            if there is not None and error - value > least:
                if agreement >= 0.75:
                    scale /= 4
                elif agreement < 0.25:
                    scale += delta * (1 - agreement) / length
                return (trial, value, there, rate, scale), passes
            # At least a doubling, so that this ends; a trial that is not finite is much too long a step.
            scale += delta * (max(1.0, 1 - agreement) if there is not None else 15.0) / length
            delta = curvature + scale * length
        return None, passes

    def _curvature(
        self, objective: Objective, theta: Vector, gradient: Vector, d: Vector
    ) -> tuple[float, int]:
        """Return d.s, approximately d.H d, and the passes it took."""
        h = max(self.sigma, math.sqrt(np.finfo(theta.dtype).eps)) * max(1.0, norm(theta)) / norm(d)
        passes = 0
        while h > 0:
            beyond = step_along(theta, h, d)
            _, there = evaluate(objective, beyond)
            passes += 1
            if there is not None:
                return dot(d, there - gradient) / h, passes
            h /= 16
        return 0.0, passes
