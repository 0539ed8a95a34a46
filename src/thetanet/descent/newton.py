"""Newton's method within a region of trust, on exact Hessian-vector products."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from thetanet.checks import check_number
from thetanet.descent.objective import Objective, Pass, State, Vector, WholePassMethod
from thetanet.descent.vectors import dot, evaluate, norm, resumable, smallest_visible_decrease
from thetanet.errors import InputError

Product = Callable[[Vector, Vector], Vector]  # (theta, v) -> H v


@dataclass(frozen=True)
class Newton(WholePassMethod):
    """Truncated Newton in a region of trust (Steihaug 1983; Nocedal & Wright 2006, algorithms 4.1 and 7.2).

    Theta <- Theta + p, where p lowers the model g.p + p.H p / 2 within |p| <= radius: conjugate gradients on
    H p = -g, stopped at the border, at negative curvature, or when the rest is below min(1/2, |g|^power) |g|.
    The radius shrinks to |p| / 4 where E falls by less than a quarter of what the model foretells, and
    doubles where it falls by more than three quarters and p ends at the border. The rate of a `Pass` is the
    radius; a Hessian-vector product counts as a pass.

    Parameters
    ----------
    radius : float
        The first radius.
    accept : float in [0, 1/4)
        The share of the foretold fall that a step must bring.
    power : float in (0, 1]
        Near a minimum the error of Theta is raised to the power 1 + `power` with each step: 1 is quadratic.
    products : int
        The most Hessian-vector products in a step.
    """

    radius: float = 1.0
    accept: float = 0.1
    power: float = 1.0
    products: int = 200

    needs_hessian = True

    def __post_init__(self) -> None:
        check_number("radius", self.radius, least=0, above=True)
        check_number("accept", self.accept, least=0, most=np.nextafter(0.25, 0))
        check_number("power", self.power, least=0, most=1, above=True)
        check_number("products", self.products, least=1, whole=True)

    def descend(self, objective: Objective, theta: Vector, state: State | None = None) -> Iterator[Pass]:
        """Yield one `Pass` for each step that lowers E; ends where the model foretells no visible fall."""
        hessian_product = getattr(objective, "hessian_product", None)
        if hessian_product is None:
            raise InputError("descent=Newton: needs an objective with hessian_product(theta, v)")
        gradient: Vector | None
        if state is not None and resumable(state, {"error", "gradient", "radius"}, theta):
            error, gradient, radius = state["error"], state["gradient"], state["radius"]
        else:
            error, gradient = evaluate(objective, theta)
            radius = self.radius
        passes = 0
        while gradient is not None:
            p, fall, border, products = self._step(hessian_product, theta, gradient, radius)
            passes += products
            least = smallest_visible_decrease(error, theta.dtype)
            trial = theta + p
            if not fall > least or np.array_equal(trial, theta):
                return
            value, there = evaluate(objective, trial)
            passes += 1
            agreement = (error - value) / fall
            accepted = there is not None and agreement > self.accept and error - value > least
            if agreement < 0.25 or not accepted:
                radius = norm(p) / 4
            elif agreement > 0.75 and border:
                radius *= 2
            if accepted:
                theta, error, gradient = trial, value, there
                state = {"error": error, "gradient": gradient, "radius": radius}
                yield Pass(theta, error, radius, passes, state)
                passes = 0

    def _step(
        self, product: Product, theta: Vector, gradient: Vector, radius: float
    ) -> tuple[Vector, float, bool, int]:
        """Return the step p, the fall it promises, whether it ends at the border, and the products taken."""
        p, Hp = np.zeros_like(gradient), np.zeros_like(gradient)
        rest, d = gradient, -gradient
        square = dot(rest, rest)
        enough = min(0.5, square ** (self.power / 2)) * math.sqrt(square)
        products, border = 0, False
        while products < self.products and math.sqrt(square) > enough:
            Hd = product(theta, d)
            products += 1
            curvature, dd, pd, pp = dot(d, Hd), dot(d, d), dot(p, d), dot(p, p)
            # To the border, along d from p: |p + rate d| = radius.
            furthest = (math.sqrt(pd * pd + dd * max(radius * radius - pp, 0.0)) - pd) / dd
            rate = square / curvature if curvature > 0 else math.inf
            border = rate >= furthest
            rate = min(rate, furthest)
            p, Hp, rest = p + rate * d, Hp + rate * Hd, rest + rate * Hd
            if border:
                break
            before, square = square, dot(rest, rest)
            d = (square / before) * d - rest
        return p, -(dot(gradient, p) + 0.5 * dot(p, Hp)), border, products
