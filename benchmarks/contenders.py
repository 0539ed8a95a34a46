"""One mini-batch step of Adam on the same network, data, batch and precision, in several libraries.

Each contender is a function (X, y, D_H, B, steps) -> run, where run() takes `steps` steps and returns when they
are done. X is float32, rows are samples; D_O is 10.
"""

import numpy as np

D_O, RATE, BETA1, BETA2, EPSILON = 10, 0.01, 0.9, 0.99, 1e-8


def floor(X, y, D_H, B, steps):
    """The dense matrix products alone, by NumPy's BLAS on all cores: X W1, and X^T delta2."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((X.shape[1], D_H), np.float32)
    A, G = np.empty((B, D_H), np.float32), np.empty_like(W)
    tiles = [np.ascontiguousarray(X[s * B : (s + 1) * B]) for s in range(min(steps, len(X) // B))]

    def run():
        for s in range(steps):
            x = tiles[s % len(tiles)]
            np.dot(x, W, out=A)
            np.dot(x.T, A, out=G)

    return run


def thetanet(X, y, D_H, B, steps, threads=None, raw=None, sparse=None):
    """Ours; `raw` are the same inputs as the user has them (uint8 pixels)."""
    from thetanet import Adam, CPUEngine, Theta
    from thetanet.data.samples import Samples
    from thetanet.data.scaling import Scaling

    X = X if raw is None else raw
    samples = Samples(X, y.astype(np.int64), D_O, Scaling.of(X, "pixels" if X.dtype == np.uint8 else "none"))
    rule = Adam(learning_rate=RATE, beta1=BETA1, beta2=BETA2, epsilon=EPSILON)
    theta = Theta.random(X.shape[1], D_H, D_O, dtype=np.float32)
    stepper = CPUEngine(threads=threads, sparse=sparse).stepper(theta, rule, B)
    order = np.resize(np.random.default_rng(0).permutation(X.shape[0]), steps * B)
    c = np.array([rule.coefficients(t, RATE) for t in range(steps)])
    return lambda: stepper.run(samples, order, c)


def scikit_learn(X, y, D_H, B, steps):
    from sklearn.neural_network import MLPClassifier

    M = min(len(X), steps * B)
    mlp = MLPClassifier(
        (D_H,),
        activation="logistic",
        alpha=0,
        batch_size=B,
        learning_rate_init=RATE,
        beta_1=BETA1,
        beta_2=BETA2,
    )
    L = np.eye(D_O)[y]  # sigmoid outputs, as ours: several labels
    mlp.partial_fit(X[:B], L[:B], classes=np.arange(D_O))

    def run():
        for _ in range(-(-steps * B // M)):
            mlp.partial_fit(X[:M], L[:M])

    return run


def pytorch(X, y, D_H, B, steps):
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(X.shape[1], D_H), torch.nn.Sigmoid(), torch.nn.Linear(D_H, D_O))
    adam = torch.optim.Adam(net.parameters(), lr=RATE, betas=(BETA1, BETA2), eps=EPSILON, fused=True)
    loss = torch.nn.BCEWithLogitsLoss(reduction="sum")
    inputs, targets = torch.from_numpy(X), torch.from_numpy(np.eye(D_O, dtype=np.float32)[y])
    order = torch.from_numpy(np.resize(np.random.default_rng(0).permutation(len(X)), steps * B))

    def run():
        for s in range(steps):
            rows = order[s * B : (s + 1) * B]
            adam.zero_grad(set_to_none=True)
            (loss(net(inputs[rows]), targets[rows]) / B).backward()
            adam.step()

    return run


def jax_scan(X, y, D_H, B, steps):
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    params = {
        "W1": jnp.asarray(rng.standard_normal((X.shape[1], D_H), np.float32) * 0.1),
        "b1": jnp.zeros(D_H),
        "W2": jnp.zeros((D_H, D_O)),
        "b2": jnp.zeros(D_O),
    }
    zeros = jax.tree.map(jnp.zeros_like, params)
    inputs, targets = jnp.asarray(X), jnp.asarray(np.eye(D_O, dtype=np.float32)[y])
    order = jnp.asarray(np.resize(rng.permutation(len(X)), steps * B).reshape(steps, B))

    def E(p, x, L):
        A2 = jax.nn.sigmoid(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return (jnp.maximum(A2, 0) - L * A2 + jnp.log1p(jnp.exp(-jnp.abs(A2)))).sum() / B

    def step(state, rows):
        p, m, v, t = state
        g = jax.grad(E)(p, inputs[rows], targets[rows])
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        a, b = RATE / (1 - BETA1**t), 1 / (1 - BETA2**t)
        p = jax.tree.map(lambda p, m, v: p - a * m / (jnp.sqrt(b * v) + EPSILON), p, m, v)
        return (p, m, v, t + 1), None

    epoch = jax.jit(lambda state, order: jax.lax.scan(step, state, order)[0])
    state = [(params, zeros, zeros, jnp.float32(1))]

    def run():
        state[0] = jax.block_until_ready(epoch(state[0], order))

    return run
