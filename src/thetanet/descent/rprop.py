"""Resilient backpropagation: steps of their own for all parameters, from the signs of the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thetanet.checks import check_number
from thetanet.descent.objective import Objective, Pass, State, Vector, WholePassMethod
from thetanet.descent.vectors import evaluate, resumable, smallest_visible_decrease


@dataclass(frozen=True)
class Rprop(WholePassMethod):
    """iRprop- (Igel & Huesken 2000, "Improving the Rprop learning algorithm").

    Each parameter has a step of its own. It grows by `increase` where the derivative keeps its sign and
    shrinks by `decrease` where the sign changes, and there the derivative counts as zero;
    Theta <- Theta - sign(g) step. One pass an iteration; E may rise at times. But where E is nearly zero,
    steps can have grown so far that one leap undoes all: a step that would lift E above its best by more
    than E at the start is not taken, and all steps are halved.

    Parameters
    ----------
    first, least, most : float
        The first, the smallest and the largest step.
    increase, decrease : float
        Factors of a step: increase > 1, 0 < decrease < 1.
    patience : int
        Descent ends after so many iterations in which E was never visibly below its best so far.
    """

    first: float = 0.0125
    least: float = 0.0
    most: float = 50.0
    increase: float = 1.2
    decrease: float = 0.5
    patience: int = 100

    def __post_init__(self) -> None:
        check_number("first", self.first, least=0, above=True)
        check_number("least", self.least, least=0, most=self.first)
        check_number("most", self.most, least=self.first)
        check_number("increase", self.increase, least=1, above=True)
        check_number("decrease", self.decrease, least=0, most=np.nextafter(1, 0), above=True)
        check_number("patience", self.patience, least=1, whole=True)

    def descend(self, objective: Objective, theta: Vector, state: State | None = None) -> Iterator[Pass]:
        """Yield one `Pass` a step; ends where Theta stands still or E has not fallen for long."""
        gradient: Vector | None
        names = {"error", "gradient", "before", "steps", "best", "waited", "start"}
        if state is not None and resumable(state, names, theta):
            gradient, before, steps = state["gradient"], state["before"], state["steps"]
            best, waited, start = state["best"], state["waited"], state["start"]
        else:
            best, gradient = evaluate(objective, theta)
            before, steps, waited = np.zeros_like(theta), np.full_like(theta, self.first), 0
            start = best
        while gradient is not None and waited < self.patience:
            kept = np.sign(gradient) * np.sign(before)  # signs first: a product of small numbers may vanish
            steps = np.where(kept > 0, np.minimum(steps * self.increase, self.most), steps)
            steps = np.where(kept < 0, np.maximum(steps * self.decrease, self.least), steps)
            before = np.where(kept < 0, 0, gradient).astype(theta.dtype)
            new, there, passes = theta, None, 0
            while there is None:
                new = theta - np.sign(before) * steps
                if np.array_equal(new, theta):
                    break
                error, there = evaluate(objective, new)
                passes += 1
                if error > best + start:
                    there = None
                if there is None:
                    steps = steps * self.decrease
            if there is None:
                if (kept < 0).any():
                    continue  # derivatives that count as zero now move Theta in the next iteration
                return
            theta, gradient = new, there
            waited = 0 if best - error > smallest_visible_decrease(best, theta.dtype) else waited + 1
            best = min(best, error)
            state = {
                "error": error,
                "gradient": gradient,
                "before": before,
                "steps": steps,
                "best": best,
                "waited": waited,
                "start": start,
            }
            yield Pass(theta, error, float(steps.mean(dtype=np.float64)), passes, state)
