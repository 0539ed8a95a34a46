"""Steepest descent on whole passes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thetanet.checks import check_number
from thetanet.descent.objective import Objective, Pass, State, Vector, WholePassMethod
from thetanet.descent.vectors import dot, evaluate, resumable, step_along


@dataclass(frozen=True)
class GradientDescent(WholePassMethod):
    """Steepest descent with a backtracking line search (Armijo 1966; Nocedal & Wright 2006, algorithm 3.1).

    Theta <- Theta - rate g, where the rate is halved until E falls by at least
    `armijo` * rate * |g|^2. The first trial of an iteration is twice the rate that the last one accepted.

    Parameters
    ----------
    learning_rate : float
        First trial of the first iteration.
    shrink : float in (0, 1)
        Factor of the rate after a trial that did not fall enough.
    armijo : float in (0, 1)
        The share of the fall predicted by the gradient that a step must bring.
    """

    learning_rate: float = 1.0
    shrink: float = 0.5
    armijo: float = 1e-4

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, least=0, above=True)
        check_number("shrink", self.shrink, least=0, most=np.nextafter(1, 0), above=True)
        check_number("armijo", self.armijo, least=0, most=np.nextafter(1, 0), above=True)

    def descend(self, objective: Objective, theta: Vector, state: State | None = None) -> Iterator[Pass]:
        """Yield one `Pass` for each accepted step; ends where no step along the gradient lowers E."""
        gradient: Vector | None
        if state is not None and resumable(state, {"error", "gradient", "rate"}, theta):
            error, gradient, rate = state["error"], state["gradient"], state["rate"]
        else:
            error, gradient = evaluate(objective, theta)
            rate = self.learning_rate
        while gradient is not None:
            slope = dot(gradient, gradient)
            passes = 0
            while True:
                enough = error - self.armijo * rate * slope
                if enough >= error:
                    return  # a stationary point: no fall along the gradient is large enough to be seen in E
                trial = step_along(theta, -rate, gradient)
                trial_error, trial_gradient = evaluate(objective, trial)
                passes += 1
                if trial_error <= enough and math.isfinite(trial_error):
                    break
                rate *= self.shrink
            theta, error, gradient, accepted = trial, trial_error, trial_gradient, rate
            rate /= self.shrink
            yield Pass(theta, error, accepted, passes, {"error": error, "gradient": gradient, "rate": rate})
