"""`make bench`: every figure of "How fast", measured side by side, written to benchmarks/results/ and the README."""

import datetime
import importlib.metadata
import json
import os
import platform
import sys
import warnings
from pathlib import Path

import numpy as np

import contenders
from measure import interleaved, median_of, processor
from processes import busy, interrupt, processes

HERE = Path(__file__).parent
RESULTS = HERE / "results"
warnings.filterwarnings("ignore")


def mnist():
    from thetanet import load_mnist

    raw, y, raw_test, y_test = load_mnist()
    return raw, y.astype(np.int64), raw_test, y_test


def steps_table():
    """Adam on MNIST and on dense data, all contenders."""
    raw, y, _, _ = mnist()
    X = raw.astype(np.float32) / 255
    dense = np.random.default_rng(0).standard_normal((20_000, 784), np.float32)
    found = {}
    for D_H, B, steps in ((800, 256, 100), (100, 128, 400)):
        arguments = (D_H, B, steps)
        runs = {"floor": contenders.floor(X, y, *arguments)}
        runs["thetanet"] = contenders.thetanet(X, y, *arguments, raw=raw)
        runs["thetanet, dense data"] = contenders.thetanet(dense, y[:20_000], *arguments)
        for name in ("jax_scan", "pytorch", "scikit_learn"):
            runs[name] = getattr(contenders, name)(X, y, *arguments)
        seconds = interleaved(runs)
        found[D_H] = {name: s / steps * 1e6 for name, s in seconds.items()}
        print(D_H, B, {n: round(s) for n, s in found[D_H].items()}, "microseconds a step", flush=True)
    return found


def time_to_accuracy():
    """Seconds to 98.0% on MNIST's test set at 300 units (fit only), median over seeds."""
    from sklearn.neural_network import MLPClassifier

    from thetanet import ThetaNetClassifier

    raw, y, raw_test, y_test = mnist()
    X, X_test = raw.astype(np.float32) / 255, raw_test.astype(np.float32) / 255

    def ours(seed):
        net = ThetaNetClassifier(hidden=300, random_state=seed)
        seconds = median_of(lambda: net.fit(raw, y), 1)
        return seconds, net.score(raw_test, y_test)

    def theirs(seed, epochs, **options):
        mlp = MLPClassifier((300,), activation="logistic", alpha=0, random_state=seed, **options)
        total = 0.0
        for _ in range(epochs):
            total += median_of(lambda: mlp.partial_fit(X, y, classes=np.arange(10)), 1)
            score = mlp.score(X_test, y_test)
            if score >= 0.98:
                break
        return total, score

    ours(0)
    tuned, defaults = "scikit-learn, tuned (rate 0.003, batch 64)", "scikit-learn, defaults"
    found = {"thetanet": [ours(1)], tuned: [], defaults: []}
    for seed in range(2):  # in turns
        found[tuned].append(theirs(seed, 20, learning_rate_init=0.003, batch_size=64))
        found["thetanet"] += [ours(2 + 3 * seed), ours(3 + 3 * seed)]
        found[defaults].append(theirs(seed, 40))
        found["thetanet"].append(ours(4 + 3 * seed))
    for name, values in found.items():
        print(name, [(round(s, 1), a) for s, a in values], flush=True)
    return {name: (float(np.median([s for s, _ in v])), [a for _, a in v]) for name, v in found.items()}


def sparse_text():
    """An epoch of text-like data: 100,000 x 50,000, 0.2% non-zeros, 100 units, B = 128."""
    from scipy import sparse
    from sklearn.neural_network import MLPClassifier

    from thetanet import SGD, Adam, CPUEngine, Theta
    from thetanet.data.samples import Samples
    from thetanet.data.scaling import Scaling

    rng = np.random.default_rng(0)
    M, D_I, words = 100_000, 50_000, 100
    columns = np.sort((rng.random((M, words)) ** 3 * D_I).astype(np.int32), axis=1)  # frequent words first
    X = sparse.csr_matrix(
        (np.ones(M * words, np.float32), columns.ravel(), np.arange(M + 1) * words), (M, D_I)
    )
    X.sum_duplicates()
    y = rng.integers(2, size=M)
    samples = Samples(X, y[:, None], 1, Scaling.identity(D_I))
    steps = -(-M // 128)
    found = {}
    for name, rule, solver in (
        ("Adam", Adam(learning_rate=0.001), "adam"),
        ("SGD", SGD(learning_rate=0.1, momentum=0.0), "sgd"),
    ):
        stepper = CPUEngine().stepper(Theta.random(D_I, 100, 1, dtype=np.float32), rule, 128)
        c = np.array([rule.coefficients(t, rule.learning_rate) for t in range(steps)])
        order = rng.permutation(M)
        stepper.run(samples, order[:1280], c[:10])
        ours = median_of(lambda s=stepper, o=order, c=c: s.run(samples, o, c), 3)
        mlp = MLPClassifier(
            (100,), activation="logistic", alpha=0, batch_size=128, solver=solver, momentum=0.0
        )
        mlp.partial_fit(X[:128], y[:128], classes=[0, 1])
        theirs = median_of(lambda m=mlp: m.partial_fit(X[: M // 20], y[: M // 20]), 3) * 20
        found[name] = (ours, theirs)
        print("sparse text", name, round(ours, 2), round(theirs, 2), flush=True)
    return found


def one_sample():
    """Microseconds to predict one sample, 784-100-10."""
    from sklearn.neural_network import MLPClassifier

    from thetanet import Predictor, ThetaNetClassifier

    raw, y, _, _ = mnist()
    X = raw[:2000].astype(np.float32) / 255
    net = ThetaNetClassifier(hidden=100, epochs=1, random_state=0).fit(X, y[:2000])
    mlp = MLPClassifier((100,), activation="logistic", max_iter=1).fit(X, y[:2000])
    predictor, x = Predictor(net.theta_), X[:1].copy()
    calls = {
        "scikit-learn": lambda: mlp.predict_proba(x),
        "estimator": lambda: net.predict_proba(x),
        "Predictor": lambda: predictor(x[0]),
    }
    return {n: s * 1e6 for n, s in interleaved({n: lambda c=c: [c() for _ in range(500)] for n, c in calls.items()}).items()
            for s in (s / 500,)}  # fmt: skip


def algoperf():
    """The `mnist` shape of AlgoPerf, 784-128-10, by our defaults: validation and test accuracy."""
    from thetanet import ThetaNetClassifier

    raw, y, raw_test, y_test = mnist()
    runs = []
    for seed in range(7):
        net = ThetaNetClassifier(hidden=128, random_state=seed)
        net.fit(raw[:50_000], y[:50_000], X_val=raw[50_000:], y_val=y[50_000:])
        history = net.history_
        runs.append((history["seconds"][-1], history["val_accuracy"][-1], net.score(raw_test, y_test)))
    print("algoperf (seconds, validation, test)", np.round(runs, 4).tolist(), flush=True)
    return runs


def sweeps():
    """How the cost of a sample grows: units, batch, threads, density, inputs, number of samples."""
    raw, y, _, _ = mnist()
    rng = np.random.default_rng(0)
    found = {
        "hidden units": [],
        "samples in a mini-batch": [],
        "share of non-zeros": [],
        "samples": [],
        "inputs": [],
    }

    def cost(X, y, D_H, B, **options):
        steps = max(2, min(100, int(2e9 / (4 * X.shape[1] * D_H * B)) + 1))
        run = contenders.thetanet(X, y, D_H, B, steps, raw=X, **options)
        run()
        return median_of(run, 7) / steps / B * 1e6

    for D_H in (32, 100, 300, 800, 2000):
        found["hidden units"].append((D_H, *(cost(raw, y, D_H, 128, threads=t) for t in (1, 2))))
    for B in (32, 64, 128, 256, 512, 1024, 2048):
        found["samples in a mini-batch"].append((B, *(cost(raw, y, 300, B, threads=t) for t in (1, 2))))
    for share in (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0):
        X = (rng.random((6000, 784)) * (rng.random((6000, 784)) < share)).astype(np.float32)
        found["share of non-zeros"].append(
            (share, *(cost(X, y[:6000], 300, 128, sparse=s) for s in (True, False)))
        )
    for M in (1_000, 10_000, 100_000, 1_000_000):
        rows = np.resize(np.arange(60_000), M)
        found["samples"].append((M, cost(raw[rows], y[rows], 100, 128)))
    for D_I in (64, 512, 4096, 50_000):
        from scipy import sparse

        X = sparse.random_array((4000, D_I), density=32 / D_I, rng=rng, format="csr", dtype=np.float32)
        found["inputs"].append((D_I, cost(X, y[:4000], 100, 128)))
    print(json.dumps(found), flush=True)
    return found


def main():
    from report import write

    RESULTS.mkdir(exist_ok=True)
    versions = {
        n: importlib.metadata.version(n) for n in ("numpy", "scipy", "numba", "scikit-learn", "torch", "jax")
    }
    found = {
        "machine": {
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            **versions,
            "date": datetime.date.today().isoformat(),
        },
    }
    parts = (
        processes,
        interrupt,
        one_sample,
        busy,
        algoperf,
        time_to_accuracy,
        sparse_text,
        sweeps,
        steps_table,
    )
    chosen = sys.argv[1:] or [part.__name__ for part in parts]  # the others keep their last figures
    file = RESULTS / "results.json"
    if len(chosen) < len(parts) and file.exists():
        found = json.loads(file.read_text()) | found
    for part in parts:
        if part.__name__ in chosen:
            print(f"-- {part.__doc__}", flush=True)
            found[part.__name__] = part()
            found = json.loads(json.dumps(found))  # keys become texts, as in the file
            file.write_text(json.dumps(found, indent=1))
    write(found, RESULTS, HERE.parent / "README.md")


if __name__ == "__main__":
    main()
