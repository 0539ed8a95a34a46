"""Quasi-Newton descent with limited memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thetanet.checks import check_number
from thetanet.descent.line_search import check_wolfe, first_rate, strong_wolfe
from thetanet.descent.objective import Objective, Pass, State, Vector, WholePassMethod
from thetanet.descent.vectors import dot, evaluate, norm, resumable

Pair = tuple[Vector, Vector, float]  # s, the change of Theta; y, the change of the gradient; s.y


@dataclass(frozen=True)
class LBFGS(WholePassMethod):
    """L-BFGS (Nocedal 1980; Nocedal & Wright 2006, algorithm 7.5).

    Theta <- Theta - rate B g, where B approximates the inverse of the Hessian matrix from the last changes of
    Theta and of the gradient, and the rate (first trial: 1) satisfies the strong Wolfe conditions. Where no
    step lowers E, the memory is emptied: steepest descent.

    Parameters
    ----------
    memory : int
        Pairs of changes remembered; each takes two vectors as long as Theta.
    decrease, curvature : float
        0 < decrease < curvature < 1: the conditions on the fall of E and on the slope after a step.
    """

    memory: int = 10
    decrease: float = 1e-4
    curvature: float = 0.9

    def __post_init__(self) -> None:
        check_number("memory", self.memory, least=1, whole=True)
        check_wolfe(self.decrease, self.curvature, 1)

    def descend(self, objective: Objective, theta: Vector, state: State | None = None) -> Iterator[Pass]:
        """Yield one `Pass` for each line search; ends where none lowers E, not even along the gradient."""
        gradient: Vector | None
        pairs = _pairs(state)
        if state is not None and resumable(state, {"error", "gradient", "pairs", *_names(len(pairs))}, theta):
            error, gradient = state["error"], state["gradient"]
        else:
            error, gradient = evaluate(objective, theta)
            pairs = []
        while gradient is not None:
            point, passes = None, 0
            while point is None:
                direction = _direction(gradient, pairs)
                rate = 1.0 if pairs else first_rate(gradient)
                point, _, more = strong_wolfe(
                    objective, theta, error, gradient, direction, rate, self.decrease, self.curvature
                )
                passes += more
                if point is None and not pairs:
                    return
                if point is None:
                    pairs = []
            s, y = point.theta - theta, point.gradient - gradient
            sy = dot(s, y)
            if sy > 1e-10 * norm(s) * norm(y):  # else B would lose its positive curvature
                pairs = [*pairs, (s, y, sy)][-self.memory :]
            theta, error, gradient = point.theta, point.error, point.gradient
            state = {"error": error, "gradient": gradient, "pairs": len(pairs)}
            for i, pair in enumerate(pairs):
                state[f"s{i}"], state[f"y{i}"] = pair[:2]
            yield Pass(theta, error, point.rate, passes, state)


def _names(pairs: int) -> list[str]:
    return [f"{letter}{i}" for i in range(pairs) for letter in "sy"]


def _pairs(state: State | None) -> list[Pair]:
    """Read the pairs, the oldest first."""
    if state is None or not {"pairs", *_names(count := int(state.get("pairs", 0)))} <= set(state):
        return []
    both = [(state[f"s{i}"], state[f"y{i}"]) for i in range(count)]
    return [(s, y, dot(s, y)) for s, y in both if s.shape == y.shape]


def _direction(gradient: Vector, pairs: list[Pair]) -> Vector:
    """Return -B g by the two loops of Nocedal & Wright's algorithm 7.4."""
    q = -gradient
    if not pairs:
        return q
    alphas = []
    for s, y, sy in reversed(pairs):
        alpha = dot(s, q) / sy
        q -= alpha * y
        alphas.append(alpha)
    _, y, sy = pairs[-1]
    q *= sy / dot(y, y)
    for (s, y, sy), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - dot(y, q) / sy) * s
    return q
