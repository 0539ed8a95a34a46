"""Descent methods know neither network nor data, so they are proved on functions with known answers."""

import math

import numpy as np
import pytest

from thetanet import SGD, Adagrad, Adam, AdamW, Averaged, Clipped, GradientDescent, RMSprop
from thetanet.descent import METHODS, SCHEDULES, resolve
from thetanet.descent.schedules import WARMUP
from thetanet.errors import InputError


def rosenbrock(x):
    E = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    return E, np.array([2 * (x[0] - 1) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)])


def quadratic(x):
    curvature = np.array([1.0, 10.0, 100.0])
    return 0.5 * float(curvature @ (x * x)), curvature * x


def test_steepest_descent_falls_in_every_iteration_and_satisfies_armijo():
    method = GradientDescent()
    theta = np.array([-1.2, 1.0])
    E, gradient = rosenbrock(theta)
    for count, step in enumerate(method.descend(rosenbrock, theta)):
        assert step.error <= E - method.armijo * step.learning_rate * (gradient @ gradient)
        np.testing.assert_allclose(step.theta, theta - step.learning_rate * gradient)
        theta, E = step.theta, step.error
        assert rosenbrock(theta)[0] == E
        gradient = rosenbrock(theta)[1]
        if count == 2000:
            break
    assert E < 0.01  # from 24.2; steepest descent is slow in the curved valley


def test_steepest_descent_ends_at_the_minimum():
    *_, last = GradientDescent().descend(quadratic, np.array([1.0, -2.0, 3.0]))
    assert last.error < 1e-20
    assert list(GradientDescent().descend(quadratic, np.zeros(3))) == []


def test_steepest_descent_counts_its_evaluations():
    calls = 0

    def counted(x):
        nonlocal calls
        calls += 1
        return quadratic(x)

    passes = 0
    for number, step in enumerate(GradientDescent(learning_rate=64.0).descend(counted, np.ones(3))):
        passes += step.passes
        assert calls == passes + 1
        if number == 10:
            break


def test_sgd_by_hand():
    c = SGD(momentum=0.5, nesterov=False).coefficients(0, 0.1)
    theta, state = SGD.update(1.0, 2.0, (4.0,), c)
    assert state == (4.0,)  # 0.5 * 4 + 2
    assert theta == pytest.approx(1 - 0.1 * 4)
    c = SGD(momentum=0.5, nesterov=True).coefficients(0, 0.1)
    theta, state = SGD.update(1.0, 2.0, (4.0,), c)
    assert theta == pytest.approx(1 - 0.1 * (2 + 0.5 * 4))


def test_adam_by_hand():
    rule = Adam(beta1=0.9, beta2=0.99, epsilon=1e-8)
    theta, (m, v) = rule.update(1.0, 3.0, (0.0, 0.0), rule.coefficients(0, 0.1))
    assert (m, v) == (pytest.approx(0.3), pytest.approx(0.09))
    assert theta == pytest.approx(1 - 0.1)  # the first step has the length of the rate, whatever the gradient
    theta, (m, v) = rule.update(theta, -1.0, (m, v), rule.coefficients(1, 0.1))
    assert m == pytest.approx(0.9 * 0.3 - 0.1)
    assert v == pytest.approx(0.99 * 0.09 + 0.01)
    step = 0.1 * (m / (1 - 0.81)) / math.sqrt(v / (1 - 0.99**2))
    assert theta == pytest.approx(0.9 - step, rel=1e-6)


def test_adagrad_by_hand():
    theta, (s,) = Adagrad.update(1.0, 3.0, (16.0,), (0.1, 1e-8))
    assert s == 25.0
    assert theta == pytest.approx(1 - 0.1 * 3 / 5)


def test_rmsprop_by_hand():
    theta, (s, v) = RMSprop.update(1.0, 3.0, (4.0, 0.0), RMSprop(rho=0.5).coefficients(0, 0.1))
    assert (s, v) == (6.5, pytest.approx(3 / math.sqrt(6.5)))
    assert theta == pytest.approx(1 - 0.1 * 3 / math.sqrt(6.5))
    c = RMSprop(rho=0.5, momentum=0.5).coefficients(1, 0.1)
    theta, (s, v) = RMSprop.update(1.0, -1.0, (6.5, 2.0), c)
    assert (s, v) == (3.75, pytest.approx(1 - 1 / math.sqrt(3.75)))
    assert theta == pytest.approx(1 - 0.1 * v)


def test_adamw_by_hand():
    rule = AdamW(weight_decay=0.05)
    c = rule.coefficients(0, 0.1)
    assert c[rule.decay_index] == pytest.approx(0.1 * 0.05)  # what the engine takes off the weights first
    assert rule.update(1.0, 3.0, (0.0, 0.0), c)[0] == pytest.approx(1 - 0.1)
    assert c[:7] == Adam().coefficients(0, 0.1)


@pytest.mark.parametrize("rule", [SGD(momentum=0.0), SGD(), Adagrad(), RMSprop(), Adam()])
def test_a_lazy_rule_may_be_left_out_where_the_gradient_is_zero(rule):
    c = rule.coefficients(5, 0.1)
    theta, state = rule.update(1.5, 2.0, (0.3,) * rule.slots, c)
    asked, asked_state = rule.update(theta, 0.0, state, c)
    same = (
        asked == theta and rule.update(asked, 1.0, asked_state, c)[0] == rule.update(theta, 1.0, state, c)[0]
    )
    assert rule.lazy == same


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if not m.whole_passes])
def test_rules_minimise_and_are_element_wise(name):
    rule = METHODS[name](learning_rate=0.3 if name == "adagrad" else 0.01)
    theta, state = np.array([1.0, -2.0, 3.0]), (np.zeros(3),) * rule.slots
    for step in range(3000):
        c = rule.coefficients(step, rule.learning_rate * (1 - step / 3000))
        gradient = quadratic(theta)[1]
        new, after = rule.update(theta, gradient, state, c)
        for i in range(3):  # each element alone gives the same numbers
            one, one_state = rule.update(theta[i], gradient[i], tuple(s[i] for s in state), c)
            assert one == new[i]
            assert one_state == tuple(s[i] for s in after)
        theta, state = new, after
    assert quadratic(theta)[0] < 1e-6


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_nothing_and_the_full_rate(name):
    factors = [SCHEDULES[name](t) for t in np.linspace(0, 1, 101)[:-1]]
    assert max(factors) == pytest.approx(1)
    assert min(factors) >= 0


def test_schedules_have_their_shapes():
    assert SCHEDULES["warmup-linear"](WARMUP / 2) == pytest.approx(0.5)
    assert SCHEDULES["warmup-linear"](WARMUP) == pytest.approx(1)
    assert SCHEDULES["warmup-linear"](0.55) == pytest.approx(0.5)
    assert SCHEDULES["cosine"](0.5) == pytest.approx(0.5)
    assert SCHEDULES["constant"](0.99) == 1


def test_names_and_objects():
    assert resolve("adam", learning_rate=0.5) == Adam(learning_rate=0.5)
    method = SGD()
    assert resolve(method) is method
    assert not resolve("auto").whole_passes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: resolve("adamm"),
            "descent='adamm': must be one of auto, gd, cg, scg, rprop, lbfgs, newton, sgd",
        ),
        (lambda: resolve("gd", momentum=1), "descent='gd' has no option momentum"),
        (lambda: resolve(Adam), "must be a name or a method such as"),
        (lambda: resolve(3), "descent=3"),
        (lambda: Adam(learning_rate=0), "learning_rate=0: must be a number above 0"),
        (lambda: Adam(learning_rate=float("nan")), "rate=nan"),
        (lambda: Adam(beta2=1.0), "beta2=1.0: must be a number at least 0"),
        (lambda: SGD(momentum=-0.1), "momentum=-0.1"),
        (lambda: RMSprop(rho=1.0), r"rho=1\.0: must be a number at least 0"),
        (lambda: RMSprop(momentum=1), "momentum=1"),
        (lambda: AdamW(weight_decay=-1), "weight_decay=-1: must be a number at least 0"),
        (lambda: AdamW(beta1=1.0), r"beta1=1\.0"),
        (lambda: SGD(schedule="exponential"), "schedule='exponential': must be one of constant"),
        (lambda: GradientDescent(shrink=1.0), "shrink=1.0"),
    ],
)
def test_errors_name_argument_value_and_remedy(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("inner", [SGD(), Adam(), Adagrad(), AdamW(weight_decay=0.1)])
def test_an_average_is_that_of_the_thetas_of_the_rule_alone(inner):
    wrapped = Averaged(inner, decay=0.9)
    theta = alone = np.array([1.0, -2.0, 3.0])
    state, alone_state = (np.zeros(3),) * wrapped.slots, (np.zeros(3),) * inner.slots
    average = 0.0
    for step in range(50):
        theta, state = wrapped.update(theta, quadratic(theta)[1], state, wrapped.coefficients(step, 0.01))
        alone, alone_state = inner.update(
            alone, quadratic(alone)[1], alone_state, inner.coefficients(step, 0.01)
        )
        d = min(0.9, step / (10 + step))
        average = d * average + (1 - d) * alone
        np.testing.assert_array_equal(theta, alone)
        np.testing.assert_allclose(state[-1], average, rtol=1e-14)


def test_wrappers_go_around_rules():
    with pytest.raises(InputError, match="Averaged goes around a mini-batch rule"):
        Averaged(GradientDescent())
    with pytest.raises(InputError, match="remembers 3 vectors; there is room for 2"):
        Averaged(Averaged(Adam()))
    with pytest.raises(InputError, match="norm=0"):
        Clipped(Adam(), norm=0)
