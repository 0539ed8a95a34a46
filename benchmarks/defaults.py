"""Our defaults against scikit-learn's MLP on its own data: 5-fold accuracy and time to fit, no preprocessing by the user.

Writes docs/defaults.md. `python benchmarks/defaults.py`.
"""

import datetime
import importlib.metadata
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thetanet import ThetaNetClassifier

DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
SEEDS = 5


def ours(seed):
    return ThetaNetClassifier(random_state=seed)


def theirs(seed):
    return make_pipeline(StandardScaler(), MLPClassifier(max_iter=500, random_state=seed))


def compare(load):
    """Return mean accuracies and median seconds of both, folds and seeds in turns."""
    X, y = load(return_X_y=True)
    found = {ours: ([], []), theirs: ([], [])}
    for seed in range(SEEDS):
        for fit, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(X, y):
            for make, (accuracies, seconds) in found.items():
                began = time.perf_counter()
                model = make(seed).fit(X[fit], y[fit])
                seconds.append(time.perf_counter() - began)
                accuracies.append(model.score(X[test], y[test]))
    return [(np.mean(a), np.std(a) / np.sqrt(len(a)), np.median(s)) for a, s in found.values()]


def main():
    warnings.simplefilter("ignore")
    ours(0).fit(*load_iris(return_X_y=True))  # compiles, if this is the first time on this machine
    lines = [
        "# Our defaults on small data",
        "",
        f"Mean accuracy of 5 folds and {SEEDS} seeds (and its standard error), median time to fit. "
        "`ThetaNetClassifier()` against",
        "`make_pipeline(StandardScaler(), MLPClassifier(max_iter=500))`, scikit-learn "
        f"{importlib.metadata.version('scikit-learn')}, {datetime.date.today()}. Made by `benchmarks/defaults.py`.",
        "",
        "| data | thetanet | scikit-learn | seconds, thetanet | seconds, scikit-learn | times faster |",
        "|---|---|---|---|---|---|",
    ]
    for name, load in DATA.items():
        (a, da, s), (b, db, t) = compare(load)
        lines.append(
            f"| {name} | {a:.4f} ± {da:.4f} | {b:.4f} ± {db:.4f} | {s:.3f} | {t:.3f} | {t / s:.1f} |"
        )
        print(lines[-1], flush=True)
    Path(__file__).parents[1].joinpath("docs", "defaults.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
