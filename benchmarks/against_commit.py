"""This tree against another checkout of thetanet: the same figures of both, interleaved in one run.

`python benchmarks/against_commit.py OTHER [--rounds N] [FIGURE...]`, with OTHER the folder of the other checkout
(`git worktree add OTHER COMMIT`). Each tree is imported by a process of its own, which stays alive; figure by
figure, the two take turns. Prints the medians of both and their ratio; then two ratios that company on the same
cores disturbs less, of the least times and of the medians of processor time (of all threads). A ratio below 1
means that this tree takes less time. About a minute on two quiet cores, more where the loops have to be compiled.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from measure import processor

TREE = Path(__file__).resolve().parents[1]
Measurement = Callable[[], np.ndarray]  # returns (time, processor time of all threads)
NAMES_BEFORE = {"batch_size": "batch", "learning_rate": "rate"}
BIG_SAMPLES = 262_144  # 205 MB of pixels: more than is kept in memory


def call(function: Callable[..., Any], **options: Any) -> Any:
    """Call a function of either tree: options are renamed where it has the names of before."""
    known = inspect.signature(function).parameters
    return function(
        **{name if name in known else NAMES_BEFORE[name]: value for name, value in options.items()}
    )


# --- in the process of a tree: each figure returns a function, which measures once ---------------------------


@cache
def mnist() -> tuple[Any, Any]:
    from thetanet import load_mnist

    X, y = load_mnist()[:2]
    return X, y.astype(np.int64)


def time_steps(D_H: int, B: int, steps: int) -> Measurement:
    """Return a measurement of microseconds a step of Adam on MNIST."""
    from thetanet import Adam, CPUEngine, Theta

    try:
        from thetanet.data.samples import Samples
    except ModuleNotFoundError:
        from thetanet.data.arrays import Samples
    from thetanet.data.scaling import Scaling

    X, y = mnist()
    samples = Samples(X, y, 10, Scaling.of(X, "pixels"))
    rule = call(Adam, learning_rate=0.01, beta2=0.99)
    stepper = CPUEngine().stepper(Theta.random(784, D_H, 10, dtype=np.float32), rule, B)
    order = np.resize(np.random.default_rng(0).permutation(len(X)), steps * B)
    coefficients = np.array([rule.coefficients(t, 0.01) for t in range(steps)])
    return lambda: seconds_of(lambda: stepper.run(samples, order, coefficients)) / steps * 1e6


def time_fit_of_iris() -> Measurement:
    """Return a measurement of milliseconds of `fit` on iris, the whole call."""
    from sklearn.datasets import load_iris

    from thetanet import ThetaNetClassifier

    X, y = load_iris(return_X_y=True)
    return lambda: seconds_of(lambda: ThetaNetClassifier(random_state=0).fit(X, y)) * 1e3


def time_one_sample(method: str) -> Measurement:
    """Return a measurement of microseconds to predict one sample, 784-100-10."""
    from thetanet import Predictor, ThetaNetClassifier

    X, y = mnist()
    X = X[:2000].astype(np.float32) / 255
    net = call(ThetaNetClassifier, hidden=100, epochs=1, random_state=0).fit(X, y[:2000])
    predictor, x = Predictor(net.theta_), X[:1].copy()
    predict = getattr(net, method, None)
    ask = (lambda: predictor(x[0])) if predict is None else (lambda: predict(x))
    return lambda: seconds_of(lambda: [ask() for _ in range(500)]) / 500 * 1e6


def time_import() -> Measurement:
    """Return a measurement of milliseconds of `import thetanet` in a fresh process, NumPy included."""
    program = (
        "from time import perf_counter, process_time; began = perf_counter(), process_time(); import thetanet; "
        "print(perf_counter() - began[0], process_time() - began[1])"
    )

    def measure() -> np.ndarray:
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        return np.array(done.stdout.split(), np.float64) * 1e3

    return measure


def time_epoch(of_source: bool) -> Measurement:
    """Return a measurement of milliseconds of an epoch over .npy files larger than what is kept in memory.

    For comparison, the same from arrays in memory; 100 units.
    """
    from thetanet import Adam, ThetaNetClassifier, open_source

    folder = Path(os.environ["BENCHMARK_DATA"])

    def measure() -> np.ndarray:
        files = folder / "X.npy", folder / "y.npy"
        data = [open_source(folder)] if of_source else [np.load(file) for file in files]
        net = call(ThetaNetClassifier, hidden=100, epochs=1, random_state=0, descent=Adam(), batch_size=128)
        processor_seconds = seconds_of(lambda: net.fit(*data))[1]
        return np.array([net.history_["seconds"][-1], processor_seconds]) * 1e3

    return measure


def fingerprint_fit() -> Callable[[], str]:
    """Return a function that gives a fingerprint of the bits of a seeded `fit` of MNIST."""
    from thetanet import ThetaNetClassifier

    net = call(ThetaNetClassifier, hidden=100, epochs=1, random_state=0, batch_size=128)
    return lambda: hashlib.sha256(net.fit(*mnist()).theta_.flat.tobytes()).hexdigest()[:16]


def seconds_of(function: Callable[[], Any]) -> np.ndarray:
    """Return the seconds of a call, and those of processor time of all threads."""
    began = time.perf_counter(), time.process_time()
    function()
    return np.array([time.perf_counter() - began[0], time.process_time() - began[1]])


# Name of a figure: how a process prepares to measure it, and in how many of the rounds.
FIGURES: dict[str, tuple[Callable[[], Measurement], float]] = {
    "step, 100 units, batch 128, microseconds": (lambda: time_steps(100, 128, 400), 1),
    "step, 300 units, batch 128, microseconds": (lambda: time_steps(300, 128, 200), 1),
    "step, 800 units, batch 256, microseconds": (lambda: time_steps(800, 256, 60), 1),
    "fit on iris, milliseconds": (time_fit_of_iris, 2),
    "predict one sample, microseconds": (lambda: time_one_sample("predict"), 3),
    "predict_proba of one sample, microseconds": (lambda: time_one_sample("predict_proba"), 3),
    "Predictor, one sample, microseconds": (lambda: time_one_sample("Predictor"), 3),
    "import thetanet, milliseconds": (time_import, 1),
    "epoch from arrays, milliseconds": (lambda: time_epoch(False), 0.4),
    "epoch from .npy files, milliseconds": (lambda: time_epoch(True), 0.4),
}
BITS = "bits of a seeded fit of MNIST"


def serve() -> None:
    """Measure what is asked for, a line a figure, until there are no more lines."""
    import thetanet

    answers = os.dup(1)
    os.dup2(2, 1)  # whatever is printed goes to standard error
    with os.fdopen(answers, "w") as out:
        print(json.dumps(thetanet.__file__), file=out, flush=True)
        ready: dict[str, Callable[[], Any]] = {}
        for line in sys.stdin:
            name = json.loads(line)
            if name not in ready:
                ready[name] = (fingerprint_fit if name == BITS else FIGURES[name][0])()
                if name != BITS:
                    ready[name]()  # compiles, and surveys a source
            answer = ready[name]()
            print(json.dumps(answer if name == BITS else answer.tolist()), file=out, flush=True)


# --- in the process that compares -----------------------------------------------------------------------------


class Tree:
    """A checkout of thetanet, in a process of its own."""

    def __init__(self, folder: Path, scratch: Path, data: Path) -> None:
        scratch.mkdir()
        environment = {
            "PYTHONPATH": str(folder / "src"),
            "THETANET_CACHE": str(scratch),
            "BENCHMARK_DATA": str(data),
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment,
        )  # fmt: skip
        imported = Path(self._read())
        if not imported.is_relative_to(folder / "src"):
            raise SystemExit(f"{folder}: is no checkout of thetanet, whose package is in src/thetanet")

    def measure(self, name: str) -> Any:
        """Return one measurement of a figure."""
        assert self.process.stdin is not None
        print(json.dumps(name), file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of a tree ended with {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(trees: list[Tree], names: list[str], rounds: int) -> dict[str, Any]:
    """Return for each figure and tree the pairs of time and processor time; who begins alternates."""
    figures = {}
    print("| figure | this tree | other | ratio | of the least | of processor time |", flush=True)
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for name in names:
        values: list[list[list[float]]] = [[], []]
        for turn in range(max(3, round(rounds * FIGURES[name][1]))):
            for which in (0, 1) if turn % 2 else (1, 0):
                values[which].append(trees[which].measure(name))
                time.sleep(0.05)  # threads that wait for work stop spinning
        this, other = (np.median(each, axis=0) for each in values)
        least = np.min(values[0], axis=0)[0] / np.min(values[1], axis=0)[0]
        ratios = f"{this[0] / other[0]:.3f} | {least:.3f} | {this[1] / other[1]:.3f}"
        print(f"| {name} | {this[0]:,.4g} | {other[0]:,.4g} | {ratios} |", flush=True)
        figures[name] = values
    return figures


def write_big_files(folder: Path) -> None:
    """Write MNIST's training images, repeated, as .npy files."""
    X, y = mnist()
    folder.mkdir()
    rows = np.resize(np.arange(len(X)), BIG_SAMPLES)
    out = np.lib.format.open_memmap(folder / "X.npy", "w+", np.uint8, (BIG_SAMPLES, 784))
    for low in range(0, BIG_SAMPLES, 16_384):
        out[low : low + 16_384] = X[rows[low : low + 16_384]]
    out.flush()
    np.save(folder / "y.npy", y[rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("figures", nargs="*", help="parts of the names of figures [all]")
    parser.add_argument("--rounds", type=int, default=11, help="measurements of most figures [11]")
    parser.add_argument("--json", type=Path, help="write all measurements to this file")
    options = parser.parse_intermixed_args()
    wanted = options.figures or [""]
    names = [name for name in FIGURES if any(part in name for part in wanted)]
    print(f"{processor()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if any("epoch" in figure for figure in names):
            write_big_files(folder / "data")
        trees = [
            Tree(path.resolve(), folder / str(number), folder / "data")
            for number, path in enumerate((TREE, options.other))
        ]
        try:
            figures = compare(trees, names, options.rounds)
            if not options.figures:
                bits = [tree.measure(BITS) for tree in trees]
                print(f"\n{BITS}: {'the same' if bits[0] == bits[1] else 'different'} ({', '.join(bits)})")
            if "epoch from .npy files, milliseconds" in figures:
                memory, files = (
                    [
                        float(np.median(each, axis=0)[0])
                        for each in figures[f"epoch from {kind}, milliseconds"]
                    ]
                    for kind in ("arrays", ".npy files")
                )
                shares = [f"{a / b:.2f}" for a, b in zip(memory, files, strict=True)]
                print(f"samples a second from .npy files / from arrays: {shares[0]}, other {shares[1]}")
        finally:
            for tree in trees:
                tree.close()
    if options.json:
        options.json.write_text(json.dumps(figures) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main()
