"""Every descent method on every problem: both join by a row in their table, METHODS and PROBLEMS."""

import copy
from itertools import islice

import numpy as np
import pytest
from problems import PROBLEMS, Float32, Network, Quadratic
from scipy.optimize import minimize

from thetanet.descent import METHODS
from thetanet.descent.objective import Pass
from thetanet.descent.rule import COEFFICIENTS, MAX_SLOTS

WHOLE = [name for name, method in METHODS.items() if method.whole_passes]
RULES = [name for name in METHODS if name not in WHOLE]
FALLING = [name for name in WHOLE if name != "rprop"]
QUICK = [name for name in WHOLE if name != "gd"]


def least(problem):
    if not isinstance(problem, Network):
        return 0.0
    return minimize(problem.value, problem.start, jac=True, method="BFGS", options={"gtol": 1e-7}).fun


@pytest.mark.parametrize(
    ("name", "problem"),
    # Rprop crawls where long valleys lie across the axes.
    [(name, problem) for name in QUICK for problem in PROBLEMS if (name, problem) != ("rprop", "quadratic")],
)
def test_every_method_finds_the_minimum_and_ends_there(name, problem):
    objective = PROBLEMS[problem]()
    passes = list(islice(METHODS[name]().descend(objective, objective.start), 5_000))
    best = min(p.error for p in passes)
    assert best == pytest.approx(least(PROBLEMS[problem]()), rel=1e-7, abs=1e-7 if name == "rprop" else 1e-10)
    assert np.linalg.norm(objective(passes[-1].theta)[1]) < 1e-3
    if name != "rprop":
        assert len(passes) < 2_000


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_errors_fall_and_are_those_of_theta_and_passes_are_counted(name, problem):
    objective = PROBLEMS[problem]()
    theta = objective.start.copy()
    before, passes = objective.value(theta)[0], 1
    for step in islice(METHODS[name]().descend(objective, theta), 60):
        passes += step.passes
        assert objective.calls == passes
        assert step.error == objective.value(step.theta)[0]
        assert step.learning_rate > 0
        if name in FALLING:
            assert step.error <= before
        before = step.error
    np.testing.assert_array_equal(theta, objective.start)


def same(a, b):
    assert a._replace(theta=0, state=0) == b._replace(theta=0, state=0)
    assert a.theta.tobytes() == b.theta.tobytes()
    assert a.state.keys() == b.state.keys()
    for key, value in a.state.items():
        assert type(value) is type(b.state[key])
        assert np.array_equal(value, b.state[key])


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("make", [*PROBLEMS.values(), Float32])
@pytest.mark.parametrize("k", [1, 7, 23])
def test_a_descent_that_was_stopped_goes_on_bit_for_bit(name, make, k):
    method, objective = METHODS[name](), make()
    whole, kept = [], []
    for step in islice(method.descend(objective, objective.start), k + 30):
        whole.append(step)
        kept.append(copy.deepcopy(step))
    for step, as_it_was in zip(whole, kept, strict=True):
        same(step, as_it_was)  # nothing that was given away has changed since
    k = min(k, len(whole))
    for value in kept[k - 1].state.values():
        assert value is None or isinstance(value, (int, float, np.ndarray))
    fresh = make()
    rest = list(islice(method.descend(fresh, kept[k - 1].theta, kept[k - 1].state), 30))
    assert len(rest) == len(whole) - k
    for step, as_before in zip(rest, whole[k:], strict=True):
        same(step, as_before)
    if len(rest) == 30:
        assert fresh.calls == sum(step.passes for step in rest)  # nothing was evaluated again


@pytest.mark.parametrize("name", WHOLE)
def test_a_state_that_does_not_fit_is_a_fresh_start(name):
    objective = Quadratic(5)
    fresh = next(METHODS[name]().descend(objective, objective.start))
    other = next(METHODS["gd" if name != "gd" else "cg"]().descend(objective, objective.start)).state
    smaller = next(METHODS[name]().descend(Quadratic(4), Quadratic(4).start)).state
    narrow = next(METHODS[name]().descend(objective, objective.start)).state
    narrow = {k: v.astype(np.float32) if isinstance(v, np.ndarray) else v for k, v in narrow.items()}
    for state in (None, {}, other, smaller, narrow, {"error": 0.0}):
        same(next(METHODS[name]().descend(objective, objective.start, state)), fresh)


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_is_done_at_a_stationary_point_or_where_the_error_is_not_finite(name):
    objective = Quadratic(5)
    assert list(METHODS[name]().descend(objective, objective.minimum)) == []
    objective.value = lambda x: (np.nan, x)
    assert list(METHODS[name]().descend(objective, objective.start)) == []


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_rule_lowers_the_error_towards_the_minimum(name, problem):
    """The mean gradient of a mini-batch is here that of all samples; the rate falls to zero."""
    objective, steps = PROBLEMS[problem](), 6_000
    # SGD needs a rate that is small beside the inverse of the largest curvature, about 1e3, 1e4 and 1; the
    # others divide by the size of the gradient, and move by the rate itself.
    rates = {"rosenbrock": 2e-4, "quadratic": 2e-5, "network": 0.5} if name == "sgd" else {}
    rule = METHODS[name](learning_rate=rates.get(problem, 0.3 if name == "adagrad" else 0.02))
    theta, state = objective.start.copy(), (np.zeros_like(objective.start),) * rule.slots
    start = objective.value(theta)[0]
    for step in range(steps):
        c = rule.coefficients(step, rule.learning_rate * (1 - step / steps))
        theta, state = rule.update(theta, objective(theta)[1], state, c)
        assert len(state) == rule.slots
    error, gradient = objective.value(theta)
    if problem == "network":  # which has several minima
        assert error < start
        assert np.linalg.norm(gradient) < 1e-2
    else:
        assert error < 0.01 * start
    assert rule.result(theta, state) is theta


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_its_contract(name):
    method = METHODS[name]()
    assert method.whole_passes == (name in WHOLE)
    if method.whole_passes:
        assert isinstance(next(method.descend(Quadratic(5), Quadratic(5).start)), Pass)
    else:
        coefficients = method.coefficients(0, 0.1)
        assert len(coefficients) < COEFFICIENTS
        assert 0 <= method.slots <= MAX_SLOTS
        assert method.decay_index is None or method.decay_index < len(coefficients)
        assert not method.averaged
        assert method.rule is method.largest_norm is None
