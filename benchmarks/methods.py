"""Every descent method on the same problems: error against passes and seconds, and XOR from 100 random starts.

Writes docs/methods.md and its pictures. `python benchmarks/methods.py`.
"""

import datetime
import warnings
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from thetanet import CPUEngine, Theta, error_and_gradient, forward, hessian_product, load_mnist
from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.descent import METHODS, resolve
from thetanet.training.initial import random_theta
from thetanet.training.loop import descend
from thetanet.training.session import Session

DOCS = Path(__file__).parents[1] / "docs"
PASSES = 100


def digits():
    X, y = load_digits(return_X_y=True)
    return Samples(X, y, 10, Scaling.of(X)), 32, 3


def mnist():
    X, y, _, _ = load_mnist()
    return Samples(X[:10_000], y[:10_000].astype(np.int64), 10, Scaling.of(X)), 100, 1


def curve(samples, D_H, name, passes, seed=0):
    """Return (passes, seconds, E per sample) after each iteration or epoch."""
    engine, rng = CPUEngine("float64" if samples.M < 5000 else "float32"), np.random.default_rng(seed)
    theta, method = random_theta(samples, D_H, rng, engine.dtype), resolve(name)
    engine.warm_up(theta, samples, method, 128)
    session = Session(theta, samples, engine, method, epochs=passes, batch_size=128, rng=rng)
    points = []
    for record in descend(session):
        points.append((record.samples / samples.M, record.seconds, record.error))
        if points[-1][0] >= passes:
            break
    return np.array(points)


def at(curve, passes):
    """E per sample after so many passes."""
    before = curve[curve[:, 0] <= passes]
    return before[-1, 2] if len(before) else np.nan


def theirs(samples, D_H, iterations, seed):
    """E per sample of scikit-learn's L-BFGS after so many iterations, on the same network and error."""
    mlp = MLPClassifier(
        (D_H,), activation="logistic", solver="lbfgs", alpha=0, max_iter=iterations, tol=0, random_state=seed,
        max_fun=10**6,
    )  # fmt: skip
    L = np.eye(10)[samples.L]  # several labels: sigmoid outputs, as ours
    X = samples.scaling.apply(samples.X)
    mlp.fit(X, L)
    Y = np.clip(mlp.predict_proba(X), 1e-16, 1 - 1e-16)
    return float(-np.sum(L * np.log(Y) + (1 - L) * np.log1p(-Y)) / samples.M)


def draw(curves, name):
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
    for method, values in curves.items():
        style = "-" if resolve(method).whole_passes else "--"
        for ax, column in zip(axes, (0, 1), strict=True):
            ax.plot(values[:, column], values[:, 2], style, label=method)
    for ax, label in zip(axes, ("passes over the data", "seconds"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel=label)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("E per sample")
    axes[1].legend(fontsize=8, ncols=2)
    figure.savefig(DOCS / f"methods-{name}.png", dpi=120)
    plt.close(figure)


AGAINST_SCIKIT_LEARN = [
    "L-BFGS ends lower than scikit-learn's at every mark. Conjugate gradients and scaled conjugate gradients do not: they",
    "remember one direction, L-BFGS ten pairs of steps and changes of the gradient. Newton does not: every iteration solves",
    "for its step by Hessian-vector products, each of which counts as a pass here, and far from a minimum many of them buy",
    "little. (Iterations of scikit-learn's are at least a pass each.)",
]

XOR = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]), np.array([[0.0, 1, 1, 0]])


class Objective:
    """E / M of XOR."""

    def __init__(self, theta):
        self.like = theta.like

    def __call__(self, flat):
        E, gradient = error_and_gradient(self.like(flat), *XOR)
        return E / 4, gradient.flat / 4

    def hessian_product(self, flat, v):
        return hessian_product(self.like(flat), self.like(v), *XOR).flat / 4


def solves(name, D_H, seed):
    """Whether a method gets all four answers of XOR right from a random start."""
    rng = np.random.default_rng(seed)
    theta = Theta.zeros(2, D_H, 1)
    theta.flat[...] = 2 * rng.standard_normal(theta.flat.size)
    method = resolve(name)
    if method.whole_passes:
        for number, step in enumerate(method.descend(Objective(theta), theta.flat.copy())):
            theta.flat[...] = step.theta
            if step.error < 1e-3 or number == 500:
                break
    else:
        samples = Samples(XOR[0].T.copy(), XOR[1].T.copy(), 1, Scaling.identity(2))
        stepper = CPUEngine("float64", threads=1).stepper(theta, method, 4)
        c = np.array([method.coefficients(t, 5 * method.learning_rate) for t in range(3000)])
        stepper.run(samples, np.tile(np.arange(4), 3000), c)
        theta = stepper.theta()
    return bool(((forward(theta, XOR[0]).Y > 0.5) == XOR[1]).all())


def draw_surface():
    """E of a 2-2-1 network around a solution, in the plane of the solution, a start and a poor minimum."""
    ends = []
    for seed in range(60):
        theta = Theta.random(2, 2, 1, seed=seed)
        theta.flat[...] = 2 * np.random.default_rng(seed).standard_normal(theta.flat.size)
        begin = theta.flat.copy()
        path = [(begin, Objective(theta)(begin)[0])]
        for step in resolve("lbfgs").descend(Objective(theta), begin):
            path.append((step.theta.copy(), step.error))
            if step.error < 0.01 or len(path) > 200:
                break
        ends.append(path)
    good = next(p for p in ends if p[-1][1] < 0.02)
    poor = next(p for p in ends if p[-1][1] > 0.2)
    origin, u, v = good[-1][0], poor[-1][0] - good[-1][0], good[0][0] - good[-1][0]
    v = v - u * (u @ v) / (u @ u)
    s, t = np.meshgrid(np.linspace(-0.5, 1.5, 121), np.linspace(-1, 1.5, 121))
    E = [
        Objective(Theta.zeros(2, 2, 1))(origin + a * u + b * v)[0]
        for a, b in zip(s.flat, t.flat, strict=True)
    ]
    figure, ax = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
    drawn = ax.contourf(
        s,
        t,
        np.reshape(E, s.shape),
        levels=np.geomspace(0.003, 8, 25),
        norm="log",
        cmap="viridis",
        extend="both",
    )
    figure.colorbar(drawn, label="E per sample", ticks=[0.01, 0.1, 1], format="%g")
    along = np.array([[(p - origin) @ u / (u @ u), (p - origin) @ v / (v @ v)] for p, _ in good])
    ax.plot(*along.T, "w.-", lw=1, markersize=3, label="L-BFGS")
    ax.plot(0, 0, "w*", markersize=12)
    ax.plot(1, 0, "rx", markersize=9, mew=2)
    ax.set(
        xlim=(-0.5, 1.5),
        ylim=(-1, 1.5),
        xlabel="to a poor local minimum (x)",
        ylabel="to the start of a descent",
    )
    ax.set_title("XOR, 2-2-1: the solution (star) and a poor minimum", fontsize=10)
    figure.savefig(DOCS / "xor-surface.png", dpi=120)
    plt.close(figure)


def main():
    warnings.simplefilter("ignore")
    lines = [
        "# The descent methods, side by side",
        "",
        f"Made by `benchmarks/methods.py` on {datetime.date.today()}. E is per sample; a Hessian-vector product counts as a pass.",
        "",
    ]
    for name, problem in (("digits", digits), ("mnist", mnist)):
        samples, D_H, seeds = problem()
        curves = {m: [curve(samples, D_H, m, PASSES, s) for s in range(seeds)] for m in METHODS}
        draw({m: c[0] for m, c in curves.items()}, name)
        title = "scikit-learn's 8x8 digits" if name == "digits" else "10,000 images of MNIST"
        lines += [
            f"## {title}, {samples.D_I}-{D_H}-10",
            "",
            "| method | E after 10 passes | 30 | 100 | seconds for 100 |",
            "|---|---|---|---|---|",
        ]
        for m, runs in curves.items():
            errors = [np.median([at(c, p) for c in runs]) for p in (10, 30, 100)]
            seconds = np.median([c[-1, 1] for c in runs])
            lines.append(f"| {m} | " + " | ".join(f"{e:.3g}" for e in errors) + f" | {seconds:.2f} |")
            print(lines[-1], flush=True)
        if name == "digits":
            other = [np.median([theirs(samples, D_H, n, s) for s in range(seeds)]) for n in (10, 30, 100)]
            lines.append(
                "| scikit-learn's lbfgs, iterations | " + " | ".join(f"{e:.3g}" for e in other) + " | |"
            )
            print(lines[-1], flush=True)
            lines += ["", *AGAINST_SCIKIT_LEARN]
        lines += ["", f"![{title}](methods-{name}.png)", ""]
    lines += [
        "## XOR from 100 random starts",
        "",
        "How many of 100 starts, Theta ~ N(0, 2^2), end with all four answers right. With two hidden units many descents",
        "end in a local minimum, whatever the method; with four there are few of them.",
        "",
        "| method | 2 hidden units | 4 hidden units |",
        "|---|---|---|",
    ]
    for m in METHODS:
        shares = [sum(solves(m, D_H, seed) for seed in range(100)) for D_H in (2, 4)]
        lines.append(f"| {m} | {shares[0]} | {shares[1]} |")
        print(lines[-1], flush=True)
    draw_surface()
    lines += ["", "![The error surface of XOR](xor-surface.png)", ""]
    (DOCS / "methods.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
