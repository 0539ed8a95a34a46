"""Functions with known minima, on which every descent method is tried; `PROBLEMS` is their table."""

import numpy as np

from thetanet import Theta, error_and_gradient, hessian_product


class Counted:
    """An objective that counts what is asked of it."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return self.value(x)

    def hessian_product(self, x, v):
        self.calls += 1
        return self.curved(x, v)


class Rosenbrock(Counted):
    start = np.array([-1.2, 1.0])

    def value(self, x):
        E = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        return float(E), np.array(
            [2 * (x[0] - 1) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)]
        )

    def curved(self, x, v):
        H = np.array([[2 - 400 * (x[1] - 3 * x[0] ** 2), -400 * x[0]], [-400 * x[0], 200]])
        return H @ v


class Quadratic(Counted):
    def __init__(self, n=20, condition=1e4):
        super().__init__()
        Q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(n, n)))
        self.H = Q @ np.diag(np.geomspace(1, condition, n)) @ Q.T
        self.start, self.minimum = np.random.default_rng(0).normal(size=(2, n))

    def value(self, x):
        slope = self.H @ (x - self.minimum)
        return float((x - self.minimum) @ slope) / 2, slope

    def curved(self, x, v):
        return self.H @ v


class Network(Counted):
    """Mean error and penalty of a 3-4-2 network on 40 samples."""

    def __init__(self, dtype="float64", alpha=0.4, seed=0):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.X = rng.normal(size=(3, 40))
        self.L = np.stack([self.X[0] * self.X[1] > 0, self.X[2] > 0]).astype(float)
        self.theta = Theta.random(3, 4, 2, seed=seed, dtype=dtype)
        self.start, self.alpha = self.theta.flat, alpha

    def mask(self, flat):
        penalty = self.theta.like(self.alpha * flat)
        penalty.b1[...] = penalty.b2[...] = 0
        return penalty.flat

    def value(self, flat):
        E, gradient = error_and_gradient(self.theta.like(flat), self.X, self.L)
        penalty = self.mask(flat)
        return (E + float(flat @ penalty) / 2) / 40, (gradient.flat + penalty) / 40

    def curved(self, flat, v):
        product = hessian_product(self.theta.like(flat), self.theta.like(v), self.X, self.L)
        return (product.flat + self.mask(v)) / 40


class Float32(Network):
    def __init__(self):
        super().__init__("float32")


PROBLEMS = {"rosenbrock": Rosenbrock, "quadratic": Quadratic, "network": Network}
