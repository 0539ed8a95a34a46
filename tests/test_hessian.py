"""Hessian-vector products: exact by three tests, and the engine's are those of hessian.py."""

import json
import tracemalloc
from pathlib import Path

import array_api_strict as strict
import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from rounding import hessian_bounds
from thetanet import CPUEngine, Theta, error_and_gradient, hessian_product
from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.errors import InputError

sizes = st.integers(1, 7)


def problem(D_I, D_H, D_O, M, seed=0):
    rng = np.random.default_rng(seed)
    theta = Theta.random(D_I, D_H, D_O, seed=seed)
    theta.flat += 0.3 * rng.normal(size=theta.flat.size)
    V = theta.like(rng.normal(size=theta.flat.size))
    return theta, V, rng.normal(size=(D_I, M)), rng.random((D_O, M)), rng.exponential(size=M)


def test_worked_example():
    # x = 1, Z = 1/2, Y = 1/2, L = 1, all weights 0 but W2 = 2. Direction: b1 alone.
    theta = Theta([[0.0], [0.0]], [[-1.0], [2.0]])
    product = hessian_product(theta, Theta([[1.0], [0.0]], [[0.0], [0.0]]), [1.0], [1.0])
    # R{Z} = 1/4, R{A2} = 1/2, R{delta3} = 1/8; delta3 = -1/2.
    np.testing.assert_allclose(product.two.ravel(), [1 / 8, 1 / 8 * 1 / 2 - 1 / 2 * 1 / 4])
    # R{delta2} = 2 * 1/8 * 1/4, as sigma'' = 0 at 0.
    np.testing.assert_allclose(product.one.ravel(), [1 / 16, 1 / 16])


@given(sizes, sizes, sizes, sizes, st.integers(0, 99))
@settings(deadline=None)
def test_it_is_the_derivative_of_the_gradient(D_I, D_H, D_O, M, seed):
    theta, V, X, L, w = problem(D_I, D_H, D_O, M, seed)
    h = 1e-5
    plus, minus = (error_and_gradient(theta.like(theta.flat + s * h * V.flat), X, L, w)[1] for s in (1, -1))
    product = hessian_product(theta, V, X, L, w).flat
    np.testing.assert_allclose(product, (plus.flat - minus.flat) / (2 * h), rtol=1e-6, atol=1e-6)


@given(sizes, sizes, sizes, sizes, st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_agrees_with_automatic_differentiation(D_I, D_H, D_O, M, seed):
    theta, V, X, L, w = problem(D_I, D_H, D_O, M, seed)
    cut = theta.one.size

    def E(flat):  # as the derivation writes it, with logarithms of Y
        one, two = flat[:cut].reshape(theta.one.shape), flat[cut:].reshape(theta.two.shape)
        Z = 1 / (1 + anp.exp(-(anp.dot(one[1:].T, X) + one[:1].T)))
        Y = 1 / (1 + anp.exp(-(anp.dot(two[1:].T, Z) + two[:1].T)))
        return -anp.sum(w * (L * anp.log(Y) + (1 - L) * anp.log(1 - Y)))

    expected = autograd.hessian_vector_product(E)(theta.flat, V.flat)
    np.testing.assert_allclose(hessian_product(theta, V, X, L, w).flat, expected, rtol=1e-10, atol=1e-10)


def test_agrees_with_the_hessian_matrix_of_r_nnet():
    golden = json.loads(Path(__file__).with_name("golden").joinpath("nnet_hessian.json").read_text())
    X, L, w, flat, H = (np.array(golden[name]) for name in ("X", "L", "w", "theta", "H"))
    one = flat[:16].reshape(4, 4).T  # nnet: for each unit its bias and weights
    two = flat[16:].reshape(2, 5).T
    theta = Theta(one, two)
    assert error_and_gradient(theta, X.T, L.T, w)[0] == pytest.approx(golden["E"], rel=1e-12)

    def in_their_order(flat):
        of = theta.like(flat)
        return np.concatenate([of.one.T.ravel(), of.two.T.ravel()])

    for direction in np.eye(26):
        product = hessian_product(theta, theta.like(direction), X.T, L.T, w)
        expected = H @ in_their_order(direction)
        np.testing.assert_allclose(in_their_order(product.flat), expected, rtol=1e-9, atol=1e-12)


@given(sizes, sizes, sizes, sizes, st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_the_matrix_is_symmetric_and_the_product_linear(D_I, D_H, D_O, M, seed):
    theta, V, X, L, w = problem(D_I, D_H, D_O, M, seed)
    U = theta.like(np.random.default_rng(seed + 1).normal(size=theta.flat.size))
    HU, HV = hessian_product(theta, U, X, L, w).flat, hessian_product(theta, V, X, L, w).flat
    assert U.flat @ HV == pytest.approx(V.flat @ HU, rel=1e-10, abs=1e-10)
    both = hessian_product(theta, theta.like(U.flat - 3 * V.flat), X, L, w).flat
    np.testing.assert_allclose(both, HU - 3 * HV, rtol=1e-10, atol=1e-10)


def test_one_sample_is_a_vector_and_samples_add_up():
    theta, V, X, L, _ = problem(3, 4, 2, 5)
    parts = [hessian_product(theta, V, X[:, m], L[:, m]).flat for m in range(5)]
    np.testing.assert_allclose(sum(parts), hessian_product(theta, V, X, L).flat, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_runs_on_any_array_library_and_keeps_its_type(dtype):
    theta, V, X, L, w = problem(4, 5, 3, 6)
    theta = theta.astype(dtype)
    product = hessian_product(theta, V, X, L, w)
    other, direction = (Theta(strict.asarray(t.one), strict.asarray(t.two)) for t in (theta, V))
    product2 = hessian_product(other, direction, strict.asarray(X), strict.asarray(L), strict.asarray(w))
    assert type(product2.flat).__module__.startswith("array_api_strict")
    assert str(product2.dtype).endswith(dtype)
    assert product.dtype == dtype
    np.testing.assert_allclose(np.asarray(product2.flat), product.flat, rtol=1e-5, atol=1e-5)


@st.composite
def samples(draw):
    D_I, D_H, D_O, M = draw(sizes), draw(sizes), draw(sizes), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    X = rng.normal(size=(M, D_I)) * (rng.random((M, D_I)) < draw(st.sampled_from([0.2, 1.0])))
    kind = draw(st.sampled_from(["float64", "float32", "uint8", "csr"]))
    X = {
        "float64": X,
        "float32": X.astype(np.float32),
        "uint8": (np.abs(X) * 60).astype(np.uint8),
        "csr": sparse.csr_array(X),
    }[kind]
    L = rng.integers(D_O, size=M) if D_O > 1 and draw(st.booleans()) else rng.random((M, D_O))
    weight = rng.exponential(size=M) if draw(st.booleans()) else None
    theta = Theta.random(D_I, D_H, D_O, seed=draw(st.integers(0, 999)))
    V = theta.like(rng.normal(size=theta.flat.size))
    return theta, V, Samples(X, L, D_O, Scaling.of(X, draw(st.sampled_from(["auto", "none"]))), weight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(drawn=samples(), tile=st.integers(1, 50), threads=st.integers(1, 3))
@settings(deadline=None)
def test_the_engine_equals_the_oracle(dtype, drawn, tile, threads):
    theta, V, data = drawn
    X = data.scaling.apply(data.X)
    X = X if isinstance(X, np.ndarray) else X.toarray()
    L = np.eye(data.D_O)[data.L] if data.L.ndim == 1 else data.L
    expected = hessian_product(theta, V, X.T, L.T, data.weight).flat
    engine = CPUEngine(dtype, tile=tile, threads=threads)
    product = engine.hessian_product(theta.astype(dtype), V.astype(dtype), data)
    assert product.dtype == dtype
    value, bound = hessian_bounds(theta, V, X.T, L.T, data.weight, dtype)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
    assert (np.abs(product.flat - expected) <= bound).all()
    assert engine.hessian_product(theta.astype(dtype), V.astype(dtype), data) == product  # the same bits


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_memory_of_the_engine_does_not_grow_with_the_samples(kind):
    theta, peaks = Theta.random(200, 20, 3, dtype=np.float32), []
    for M in (4_000, 40_000):
        X = (np.random.default_rng(0).random((M, 200)) < 0.1).astype(np.uint8)
        X = X if kind == "dense" else sparse.csr_array(X)
        data = Samples(X, np.zeros(M, np.int64), 3, Scaling.of(X))
        tracemalloc.start()
        CPUEngine(threads=1, tile=500).hessian_product(theta, theta, data)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_errors_name_argument_value_and_remedy():
    theta, V, X, L, _ = problem(3, 4, 2, 5)
    other = Theta.random(3, 5, 2)
    data = Samples(X.T, L.T, 2, Scaling.identity(3))
    for call in (
        lambda: hessian_product(theta, other, X, L),
        lambda: CPUEngine().hessian_product(theta, other, data),
    ):
        with pytest.raises(
            InputError, match=r"direction has .* = \(3, 5, 2\): it must be those of theta, \(3, 4, 2\)"
        ):
            call()
    with pytest.raises(InputError, match=r"use X\.T"):
        hessian_product(theta, V, X.T, L)
    with pytest.raises(InputError, match="sample_weight"):
        hessian_product(theta, V, X, L, -np.ones(5))
