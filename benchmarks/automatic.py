"""What descent="auto" should choose: held-out accuracy and seconds of methods by number of samples, and for wide text.

Writes docs/automatic.md. `python benchmarks/automatic.py`.
"""

import datetime
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import train_test_split

from thetanet import ThetaNetClassifier, load_mnist

METHODS = "adam", "sgd", "adagrad", "rprop", "lbfgs", "scg", "newton"
DATA = {
    "iris": (lambda: load_iris(return_X_y=True), (12, 30, 60, 120)),
    "wine": (lambda: load_wine(return_X_y=True), (12, 30, 60, 120)),
    "breast cancer": (lambda: load_breast_cancer(return_X_y=True), (12, 30, 60, 120, 400)),
    "digits": (lambda: load_digits(return_X_y=True), (20, 60, 200, 600, 1400)),
    "MNIST": (lambda: load_mnist()[:2], (20, 100, 500, 2000, 10_000)),
}


def text(M, D_I, rng):
    """Return text-like data: four topics, 60 different words in a text, frequent words first."""
    topics = rng.integers(4, size=M)
    own = np.argsort(
        rng.random((4, D_I)), axis=1
    )  # each topic has its own order of words, mixed with a common one
    ranks = (rng.random((M, 60)) ** 3 * D_I).astype(np.int64)
    words = np.where(rng.random((M, 60)) < 0.15, own[topics[:, None], ranks], ranks)
    X = sparse.csr_array((np.ones(words.size), words.ravel(), np.arange(M + 1) * 60), (M, D_I))
    X.sum_duplicates()
    return X, topics


def compare(X, y, M, methods, seeds, **options):
    """Return (mean accuracy, median seconds) of each method, in turns."""
    found = {name: ([], []) for name in methods}
    for seed in range(seeds):
        fit, test = train_test_split(np.arange(X.shape[0]), train_size=M, random_state=seed, stratify=y)
        test = test[:10_000]
        for name, (accuracies, seconds) in found.items():
            net = ThetaNetClassifier(descent=name, random_state=seed, **options)
            began = time.perf_counter()
            net.fit(X[fit], y[fit])
            seconds.append(time.perf_counter() - began)
            accuracies.append(net.score(X[test], y[test]))
    return {name: (np.mean(a), np.median(s)) for name, (a, s) in found.items()}


def row(name, M, found):
    cells = " | ".join(f"{100 * a:.1f} ({s:.2f})" for a, s in found.values())
    line = f"| {name} | {M:,} | {cells} |"
    print(line, flush=True)
    return line


def heading(methods):
    return [f"| data | M | {' | '.join(methods)} |", "|---" * (len(methods) + 2) + "|"]


def main():
    warnings.simplefilter("ignore")
    ThetaNetClassifier(epochs=1).fit(*load_iris(return_X_y=True))  # compiles, if this is the first time
    lines = [
        '# What `descent="auto"` chooses, and why',
        "",
        "Accuracy on held-out samples in per cent, and seconds to fit in brackets, with our defaults (300 hidden units);",
        f"means of 10 random splits (MNIST 4, text 2), {datetime.date.today()}. Made by `benchmarks/automatic.py`.",
        "",
        *heading(METHODS),
    ]
    for name, (load, sizes) in DATA.items():
        X, y = load()
        lines += [row(name, M, compare(X, y, M, METHODS, 4 if name == "MNIST" else 10)) for M in sizes]
    few = "adam", "sgd", "adagrad"
    lines += ["", "Texts, 60 words each, of a vocabulary of D_I words, 100 hidden units:", "", *heading(few)]
    for D_I in (1_000, 5_000, 20_000, 50_000):
        X, y = text(30_000, D_I, np.random.default_rng(0))
        lines.append(row(f"D_I = {D_I:,}", 20_000, compare(X, y, 20_000, few, 2, hidden=100)))
    Path(__file__).parents[1].joinpath("docs", "automatic.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
