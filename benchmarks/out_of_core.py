"""Millions of deformed digits from disk: throughput against memory, peak memory, and a control group of 1.5 GB.

`python benchmarks/out_of_core.py [MILLIONS]` makes build/big/X.npy (784 MB a million; 8 if not said), which stays for the
next time (`rm -r build/big`). Each figure is taken in a process of its own, in turn. Writes
benchmarks/results/out_of_core.json.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
BIG, SLOW = ROOT / "build" / "big", ROOT / "build" / "big-tables"
RESULTS = Path(__file__).parent / "results" / "out_of_core.json"
GROUP = Path("/sys/fs/cgroup/memory/thetanet-bench")  # control groups, version 1
LIMIT = 1_500_000_000
SOME = 300_000  # samples of the slow formats


def make(millions):
    """Write the deformed images, once; the labels at last, as a sign that all is there."""
    from thetanet import Deform
    from thetanet.data.mnist import load_mnist_training

    M = int(millions * 1_000_000)
    X, y = load_mnist_training()
    if (BIG / "y.npy").exists() and len(np.load(BIG / "y.npy", mmap_mode="r")) == M:
        return
    BIG.mkdir(parents=True, exist_ok=True)
    (BIG / "y.npy").unlink(missing_ok=True)
    out = np.lib.format.open_memmap(BIG / "X.npy", "w+", np.uint8, (M, 784))
    for seed, low in enumerate(range(0, M, len(X))):
        n = min(len(X), M - low)
        out[low : low + n] = Deform()(X[:n], seed=seed)
        print(f"{low + n:,} of {M:,} images made", end="\r", flush=True)
    out.flush()
    np.save(BIG / "y.npy", np.resize(y, M))
    print()


class Memory(threading.Thread):
    """The most memory of its own that this process has: mapped files, which the kernel can drop, do not count."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.over = 0, False

    def run(self):
        while not self.over:
            status = Path("/proc/self/status").read_text()
            self.peak = max(self.peak, int(status.split("RssAnon:")[1].split()[0]))
            time.sleep(0.02)


def train(how, M):
    """In a child: one epoch at 100 units, from disk or from memory; print what was seen as JSON."""
    from thetanet import Adam, ThetaNetClassifier, load_mnist, open_source

    if how == "warm":  # what a first pass finds, and the compiled loops
        from thetanet.data.survey import survey_source

        began = time.perf_counter()
        survey_source(open_source(BIG))
        print(json.dumps({"first pass, s": time.perf_counter() - began}))
        return
    memory = Memory()
    net = ThetaNetClassifier(hidden=100, epochs=1, random_state=0, descent=Adam())
    if how == "memory":
        X, y = np.load(BIG / "X.npy")[:M], np.load(BIG / "y.npy")[:M]
        memory.start()
        net.fit(X, y)
    else:
        memory.start()
        path = {"disk": BIG, "group": BIG, "parquet": SLOW / "some.parquet", "csv": SLOW / "some.csv"}[how]
        net.fit(open_source(path, "label" if path.is_file() else None))
    memory.over = True
    measure = net.network_.measure(*load_mnist()[2:])
    print(
        json.dumps(
            {
                "samples a second": net.history_["samples"][-1] / net.history_["seconds"][-1],
                "peak MB of its own": memory.peak / 1000,
                "accuracy on MNIST's test images": measure.correct / measure.weight,
            }
        )
    )


def child(how, M, group=False):
    command = [sys.executable, __file__, "--child", how, str(M)]
    if group:
        command = ["sh", "-c", f'echo $$ > {GROUP}/cgroup.procs && exec "$@"', "sh", *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{how}: ended with {done.returncode}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(how, {name: round(value, 4) for name, value in found.items()}, flush=True)
    return found


def slow_formats():
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    X, y = np.load(BIG / "X.npy", mmap_mode="r")[:SOME], np.load(BIG / "y.npy")[:SOME]
    SLOW.mkdir(parents=True, exist_ok=True)
    if not (SLOW / "some.csv").exists():
        table = pa.table({**{f"p{i}": np.ascontiguousarray(X[:, i]) for i in range(784)}, "label": y})
        pyarrow.parquet.write_table(table, SLOW / "some.parquet", row_group_size=16_384)
        pyarrow.csv.write_csv(table, SLOW / "some.csv")


def main(millions):
    make(millions)
    M = int(millions * 1_000_000)
    found = {"M": M, "cores": os.cpu_count(), "first": child("warm", M)}
    runs = {"disk": [], "memory": []}
    for _ in range(2):
        for how, seen in runs.items():
            seen.append(child(how, M))
    found |= {
        how: max(seen, key=lambda run: run["samples a second"]) | {"runs": len(seen)}
        for how, seen in runs.items()
    }
    found["disk / memory"] = found["disk"]["samples a second"] / found["memory"]["samples a second"]
    try:
        GROUP.mkdir(exist_ok=True)
        (GROUP / "memory.limit_in_bytes").write_text(str(LIMIT))
        found["in a control group of 1.5 GB"] = child("group", M, group=True)
    except OSError as problem:
        found["in a control group of 1.5 GB"] = f"not run: {problem}"
    slow_formats()
    for how in ("parquet", "csv"):
        found[f"{how}, {SOME:,} samples"] = child(how, SOME)
    print(f"disk / memory: {found['disk / memory']:.2f}")
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        train(sys.argv[2], int(sys.argv[3]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 8.0)
