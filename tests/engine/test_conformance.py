"""Every engine computes the numbers of network.py: the checks of `conformance.py` on each of them."""

from functools import cache

import conformance
import numpy as np
import pytest
from conformance import PROBLEMS, RULES, ReferenceEngine, make, problems
from hypothesis import given, settings
from hypothesis import strategies as st

from thetanet import CPUEngine, Newton
from thetanet.descent import METHODS

# name: a function that makes the engine, with the numbers of threads that are asked for whatever the problem
ENGINES = {
    "reference": ReferenceEngine,
    "cpu, float64": lambda: CPUEngine("float64"),
    "cpu, float64, dense": lambda: CPUEngine("float64", sparse=False),
    "cpu, float64, sparse, 3 threads": lambda: threaded(CPUEngine("float64", sparse=True), 3),
    "cpu, float32": CPUEngine,
    "cpu, float32, tiles of 5, 2 threads": lambda: threaded(CPUEngine(tile=5), 2),
    "dask": lambda: dask_engine(),
}


def threaded(engine, threads):
    """Let an engine use so many threads for problems that are too small to be worth them."""
    engine.threads = threads
    engine.threads_for = lambda theta, *sizes: min(threads, theta.D_H)
    return engine


@cache
def dask_client():
    distributed = pytest.importorskip("distributed")
    return distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0")


def dask_engine():
    pytest.importorskip("distributed")
    from thetanet import DaskEngine

    return DaskEngine(dask_client(), groups=3, dtype="float64")


@pytest.fixture(scope="module", autouse=True)
def closing():
    yield
    if dask_client.cache_info().currsize:
        dask_client().close()


@pytest.fixture(params=ENGINES, scope="module")
def engine(request):
    return ENGINES[request.param]()


@pytest.mark.parametrize("name", PROBLEMS)
def test_sums_products_and_outputs(engine, name):
    problem = make(*PROBLEMS[name])
    conformance.check_sums(engine, problem)
    conformance.check_hessian_product(engine, problem)
    conformance.check_propagation(engine, problem)


@pytest.mark.parametrize("rule", RULES)
def test_steps_of_every_rule(engine, rule):
    """On all kinds of inputs and targets in turn, with batches that do not divide M."""
    for number, name in enumerate(PROBLEMS):
        if number % 5 == list(RULES).index(rule) % 5:
            decay = 0.01 if number % 2 else 0.0
            conformance.check_steps(engine, make(*PROBLEMS[name]), RULES[rule], decay=decay)


@pytest.mark.parametrize("rule", RULES)
def test_steps_continue_to_the_same_bits(engine, rule):
    for inputs in ("csr", "float64"):
        conformance.check_resumption(engine, make(inputs, "class indices", True, "auto"), RULES[rule])


def test_optional_methods(engine):
    problem = make("uint8", "class indices", False, "auto")
    for method in (RULES["adam"], Newton()):
        conformance.check_optional_methods(engine, problem, method)


def test_every_rule_of_the_table_is_checked():
    rules = {name for name, method in METHODS.items() if not method.whole_passes}
    assert rules <= {type(rule).__name__.lower() for rule in RULES.values()}


# Problems of any size, drawn at random: for engines on this machine, whose calls are quick.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(problem=problems(), tile=st.integers(1, 50))
@settings(deadline=None)
def test_sums_of_any_problem(dtype, problem, tile):
    conformance.check_sums(CPUEngine(dtype, tile=tile), problem)


@given(problem=problems(), tile=st.integers(1, 50))
@settings(deadline=None)
def test_outputs_of_any_problem(problem, tile):
    conformance.check_propagation(CPUEngine(tile=tile), problem)


@pytest.mark.parametrize("rule", RULES)
@given(problem=problems(), batch_size=st.integers(1, 50), decay=st.sampled_from([0.0, 0.01]))
@settings(deadline=None, max_examples=30)
def test_steps_of_any_problem(rule, problem, batch_size, decay):
    conformance.check_steps(CPUEngine("float64"), problem, RULES[rule], batch_size, decay, epochs=1, rate=0.1)


def test_a_network_that_answers_one_class_is_counted_as_a_person_would(engine):
    from thetanet import Theta
    from thetanet.data.samples import Samples
    from thetanet.data.scaling import Scaling

    theta = Theta(np.zeros((2, 1)), np.array([[1.0, 2.0, 0.5], [0, 0, 0]]))  # always says class 1
    X, theta = np.zeros((4, 1)), theta.astype(engine.dtype)
    classes = Samples(X, np.array([1, 1, 0, 2]), 3, Scaling.identity(1))
    assert engine.measure(theta, classes).correct == 2
    labels = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]])
    assert engine.measure(theta, Samples(X, labels, 3, Scaling.identity(1))).correct == 2
