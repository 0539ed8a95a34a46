"""What single whole-pass methods promise: worked examples, rounding, optima and passes of SciPy."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import Counted, Network, Quadratic
from scipy.optimize import minimize

from thetanet import (
    LBFGS,
    ConjugateGradients,
    GradientDescent,
    Newton,
    Rprop,
    ScaledConjugateGradients,
)
from thetanet.descent import METHODS
from thetanet.descent.lbfgs import _direction
from thetanet.descent.line_search import strong_wolfe
from thetanet.errors import InputError

WHOLE = [name for name, method in METHODS.items() if method.whole_passes]
FALLING = [name for name in WHOLE if name != "rprop"]


class Rounded(Counted):
    """Least squares in float32, its error rounded to float32: noise of 1e-7 that hides the last falls."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.A = (rng.normal(size=(80, 20)) * np.geomspace(1, 0.1, 20)).astype(np.float32)
        self.b = rng.normal(size=80).astype(np.float32)
        self.start = np.zeros(20, np.float32)

    def value(self, x):
        rest = self.A @ x - self.b
        return float(rest @ rest), 2 * (rest @ self.A)

    def curved(self, x, v):
        return 2 * (self.A @ v) @ self.A


@pytest.mark.parametrize("name", WHOLE)
def test_descent_ends_where_rounding_hides_further_falls(name):
    objective = Rounded()
    steps = list(islice(METHODS[name]().descend(objective, objective.start), 3000))
    assert len(steps) < 3000
    assert objective.calls < 6000
    if name in FALLING:
        assert all(a.error >= b.error for a, b in pairwise(steps))
    exact = np.linalg.lstsq(objective.A.astype(float), objective.b.astype(float), rcond=None)[1][0]
    assert steps[-1].error == pytest.approx(exact, rel=1e-5)
    assert steps[-1].theta.dtype == np.float32
    assert all(v.dtype == np.float32 for v in steps[-1].state.values() if isinstance(v, np.ndarray))


class Fenced(Counted):
    """-sum ln(1 - (10 x)^2): not a number outside of |x| < 1/10."""

    start = np.array([0.09, -0.05, 0.02])
    outside = 0

    def value(self, x):
        if (np.abs(x) >= 0.1).any():
            self.outside += 1
            return np.nan, np.full_like(x, np.nan)
        return float(-np.log1p(-100 * x * x).sum()), 200 * x / (1 - 100 * x * x)

    def curved(self, x, v):
        return 200 * (1 + 100 * x * x) / (1 - 100 * x * x) ** 2 * v


@pytest.mark.parametrize(
    ("method", "meets"),
    [
        (GradientDescent(), True),
        (ConjugateGradients(), True),
        (ScaledConjugateGradients(sigma=0.5), True),
        (Rprop(first=1.0), True),
        (LBFGS(), True),
        (Newton(), False),
    ],
)
def test_a_trial_that_is_not_finite_was_too_long(method, meets):
    objective = Fenced()
    *_, last = islice(method.descend(objective, objective.start), 2000)
    assert last.error < 1e-9
    assert (objective.outside > 0) == meets


@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 6),
    rate=st.sampled_from([1e-4, 0.03, 1.0, 50.0, 1e5]),
    curvature=st.sampled_from([0.01, 0.1, 0.9]),
)
@settings(deadline=None)
def test_a_search_ends_with_both_strong_wolfe_conditions(seed, n, rate, curvature):
    rng = np.random.default_rng(seed)
    A, c = rng.normal(size=(n, n)), rng.normal(size=n)

    def objective(x):  # bounded below, with many local minima
        r = A @ (x - c)
        return float(r @ r + np.cos(3 * x).sum()), 2 * (r @ A) - 3 * np.sin(3 * x)

    x = c + 3 * rng.normal(size=n)
    E, gradient = objective(x)
    d = -gradient / np.linalg.norm(gradient) + 0.3 * rng.normal(size=n) / n
    if gradient @ d >= 0:
        assert strong_wolfe(objective, x, E, gradient, d, rate, 1e-4, curvature)[::2] == (None, 0)
        return
    point, slope, _ = strong_wolfe(objective, x, E, gradient, d, rate, 1e-4, curvature)
    np.testing.assert_array_equal(point.theta, x + point.rate * d)
    value, there = objective(point.theta)
    assert slope == pytest.approx(gradient @ d)
    assert point.error == value <= E + 1e-4 * point.rate * slope
    assert abs(there @ d) <= -curvature * slope * (1 + 1e-9)


@pytest.mark.parametrize("name", ["cg", "scg"])
def test_conjugate_gradients_end_on_a_quadratic_in_as_many_steps_as_parameters(name):
    method = {
        "cg": ConjugateGradients(decrease=1e-9, curvature=1e-8),
        "scg": ScaledConjugateGradients(scale=1e-12),
    }
    objective = Quadratic(8, 50)
    *_, last = islice(method[name].descend(objective, objective.start), 8)
    assert last.error < 1e-12 * objective.value(objective.start)[0]


def test_scaled_conjugate_gradients_by_hand():
    # E = (x^2 + 4 y^2) / 2 at (2, 1): g = (2, 4), g.g = 20, g.Hg = 4 + 64, the rate is 20 / (68 + 20 scale).
    H = np.array([1.0, 4.0])
    descent = ScaledConjugateGradients(scale=0.1).descend(
        lambda x: (float(H @ (x * x)) / 2, H * x), np.array([2.0, 1.0])
    )
    first = next(descent)
    assert first.learning_rate == pytest.approx(20 / 70, rel=1e-9)
    np.testing.assert_allclose(first.theta, [2 - 4 / 7, 1 - 8 / 7], rtol=1e-8)
    assert first.passes == 2  # one for the curvature, one for the trial
    # E falls by 20 rate - 68 rate^2 / 2 = 2.93878, the model with 70 foretells 20^2 / (2 * 70) = 2.85714.
    assert first.state["scale"] == pytest.approx(0.1 / 4)
    # g = (10/7, -4/7): |g|^2 = 116/49, g.(2, 4) = 4/7; beta = (116/49 - 28/49) / 20.
    np.testing.assert_allclose(
        first.state["direction"], 88 / 49 / 20 * np.array([-2, -4]) - np.array([10, -4]) / 7, rtol=1e-6
    )


def test_scaled_conjugate_gradients_go_down_from_negative_curvature():
    objective = lambda x: (float(np.cos(x).sum()), -np.sin(x))  # noqa: E731
    steps = list(ScaledConjugateGradients().descend(objective, np.array([0.1])))
    assert steps[-1].error == pytest.approx(-1)
    assert all(a.error > b.error for a, b in pairwise(steps))


def test_rprop_by_hand():
    descent = Rprop(first=0.4).descend(lambda x: (float(x @ x) / 2, x.copy()), np.array([1.0, 0.3]))
    np.testing.assert_allclose(next(descent).theta, [0.6, -0.1])  # a step against each sign
    np.testing.assert_allclose(
        next(descent).theta, [0.12, -0.1]
    )  # 1.2 * 0.4; the second has changed: it waits
    np.testing.assert_allclose(next(descent).theta, [-0.456, 0.1])  # 1.2^2 * 0.4; and moves by 0.5 * 0.4


def test_the_signs_of_tiny_derivatives_count():
    tiny = 1e-30  # whose square is zero in float32
    theta = np.array([1.0], np.float32)
    steps = list(islice(Rprop().descend(lambda x: (float(x[0]), np.full_like(x, tiny)), theta), 2))
    assert theta[0] - steps[1].theta[0] == pytest.approx(2.2 * 0.0125, rel=1e-5)


@pytest.mark.parametrize("name", ["cg", "lbfgs"])
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_is_the_one_that_scipy_reaches(name, seed):
    objective, theirs = Network(alpha=1.0, seed=seed), Network(alpha=1.0, seed=seed)
    options = {"gtol": 1e-9, "maxiter": 10_000}
    scipy = minimize(theirs, theirs.start, jac=True, method="CG" if name == "cg" else "BFGS", options=options)
    *_, last = METHODS[name]().descend(objective, objective.start)
    assert last.error == pytest.approx(scipy.fun, rel=1e-10)
    np.testing.assert_allclose(last.theta, scipy.x, atol=1e-3)


def test_lbfgs_needs_about_as_many_passes_as_that_of_scipy():
    for seed in range(4):
        ours, theirs = Network(seed=seed), Network(seed=seed)
        options = {"ftol": 1e-9, "gtol": 0.0, "maxcor": 10}
        fun = minimize(theirs, theirs.start, jac=True, method="L-BFGS-B", options=options).fun
        for step in LBFGS().descend(ours, ours.start):
            if step.error <= fun * (1 + 1e-6):
                break
        assert ours.calls < 1.5 * theirs.calls


def test_the_quasi_newton_matrix_satisfies_the_secant_equation():
    rng = np.random.default_rng(0)
    H = Quadratic(6).H
    pairs = [(s, H @ s, float(s @ H @ s)) for s in rng.normal(size=(3, 6))]
    s, y, _ = pairs[-1]
    np.testing.assert_allclose(_direction(y, pairs), -s, rtol=1e-9)
    g = rng.normal(size=6)
    assert g @ _direction(g, pairs) < 0  # B is positive definite
    assert g @ _direction(y, pairs) == pytest.approx(y @ _direction(g, pairs))  # and symmetric


def test_newton_converges_quadratically():
    objective = Network(alpha=1.0)
    *_, last = LBFGS().descend(objective, objective.start)
    n, optimum = last.theta.size, last.theta
    for _ in range(3):
        H = np.array([objective.curved(optimum, e) for e in np.eye(n)])
        optimum = optimum - np.linalg.solve(H, objective.value(optimum)[1])
    assert np.linalg.eigvalsh(H).min() > 0
    start = optimum + 0.02 * np.random.default_rng(0).normal(size=n)
    distances = [np.linalg.norm(p.theta - optimum) for p in Newton().descend(objective, start)]
    assert distances[-1] < 1e-9
    for a, b in pairwise([np.linalg.norm(start - optimum), *distances]):
        assert b < 10 * a * a + 1e-13


def test_newton_crosses_negative_curvature():
    # E = (x^2 - 1)^2 / 4 + y^2 / 2, from near its saddle point at the origin.
    class Saddle:
        def __call__(self, x):
            return (x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2 / 2, np.array([x[0] ** 3 - x[0], x[1]])

        def hessian_product(self, x, v):
            return np.array([(3 * x[0] ** 2 - 1) * v[0], v[1]])

    *_, last = Newton().descend(Saddle(), np.array([1e-6, 0.5]))
    np.testing.assert_allclose(last.theta, [1, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ConjugateGradients(curvature=0.5),
            r"curvature=0\.5: must be a number above 0 and at most 0\.5",
        ),
        (lambda: ConjugateGradients(decrease=0.2), r"decrease=0\.2: must be below curvature=0\.1"),
        (lambda: ScaledConjugateGradients(sigma=0), "sigma=0: must be a number above 0"),
        (lambda: ScaledConjugateGradients(scale=-1), "scale=-1"),
        (lambda: Rprop(increase=1.0), r"increase=1\.0: must be a number above 1"),
        (lambda: Rprop(decrease=1.0), r"decrease=1\.0"),
        (lambda: Rprop(first=60.0), r"most=50\.0: must be a number at least 60"),
        (lambda: Rprop(patience=0), "patience=0: must be a whole number at least 1"),
        (lambda: LBFGS(memory=2.5), r"memory=2\.5: must be a whole number"),
        (lambda: LBFGS(curvature=1.0), r"curvature=1\.0"),
        (lambda: Newton(radius=0), "radius=0"),
        (lambda: Newton(accept=0.25), r"accept=0\.25"),
        (lambda: Newton(power=2), "power=2: must be a number above 0 and at most 1"),
        (
            lambda: next(Newton().descend(lambda x: (0.0, x), np.zeros(2))),
            "needs an objective with hessian_product",
        ),
    ],
)
def test_errors_name_argument_value_and_remedy(make, message):
    with pytest.raises(InputError, match=message):
        make()
