"""The mathematics on JAX and PyTorch, differentiated by them: heavy to install, so part of `make soak`."""

import numpy as np
import pytest

from thetanet import Theta, error, error_and_gradient, forward, hessian_product
from thetanet.network import cross_entropy

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]

THETA = Theta.random(6, 5, 4, seed=1)
rng = np.random.default_rng(0)
X, L, W = rng.normal(size=(6, 9)), rng.random((4, 9)), rng.exponential(size=9)
E, GRADIENT = error_and_gradient(THETA, X, L, W)


def summed(flat, like, X, L, w):
    return (w * cross_entropy(forward(like(flat), X).A2, L)).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jax(dtype):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", dtype == "float64")
    close = {"rtol": 1e-10, "atol": 1e-10} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    theta = Theta.from_flat(jnp.asarray(THETA.flat, dtype=dtype), 6, 5, 4)
    x, targets, w = (jnp.asarray(a, dtype=dtype) for a in (X, L, W))
    value, gradient = error_and_gradient(theta, x, targets, w)
    assert str(gradient.dtype) == dtype
    assert value == pytest.approx(E, rel=close["rtol"])
    np.testing.assert_allclose(gradient.flat, GRADIENT.flat, **close)
    automatic = jax.grad(jax.jit(lambda flat: summed(flat, theta.like, x, targets, w)))(theta.flat)
    np.testing.assert_allclose(automatic, GRADIENT.flat, **close)
    gradient_of = jax.grad(lambda flat: summed(flat, theta.like, x, targets, w))
    _, curved = jax.jvp(gradient_of, (theta.flat,), (theta.flat,))
    product = hessian_product(theta, theta, x, targets, w)
    np.testing.assert_allclose(product.flat, curved, **close)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch(dtype):
    import torch

    kind = getattr(torch, dtype)
    close = {"rtol": 1e-10, "atol": 1e-10} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    theta = Theta.from_flat(torch.asarray(THETA.flat, dtype=kind), 6, 5, 4)
    x, targets, w = (torch.asarray(a, dtype=kind) for a in (X, L, W))
    value, gradient = error_and_gradient(theta, x, targets, w)
    assert gradient.dtype == kind
    assert value == pytest.approx(E, rel=close["rtol"])
    assert error(theta, x, targets, w) == pytest.approx(value)
    np.testing.assert_allclose(gradient.flat.numpy(), GRADIENT.flat, **close)
    flat = theta.flat.clone().requires_grad_()
    summed(flat, theta.like, x, targets, w).backward()
    np.testing.assert_allclose(flat.grad.numpy(), GRADIENT.flat, **close)
    product = hessian_product(theta, theta, x, targets, w)
    expected = hessian_product(THETA, THETA, X, L, W).flat
    np.testing.assert_allclose(product.flat.numpy(), expected, **close)
    assert theta == theta.copy()
    assert repr(theta).endswith(f"dtype={dtype})")
