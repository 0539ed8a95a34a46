"""Constants of the cluster engine on this machine, and whether they foretell the seconds of an iteration.

    python benchmarks/scale.py [--json FILE]

The model is described in docs/scale.md. Times are the least of several: the machine may be shared.
"""

import argparse
import json
import logging
import math
import tempfile
import time
from pathlib import Path

import numpy as np

D_I, D_O, GROUPS, ARITY = 784, 10, 8, 8
SIZES = [(8_000, 50), (8_000, 200), (32_000, 50), (32_000, 200), (8_000, 800)]


def least(call, repeats=5):
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def samples_of(M):
    from thetanet.data.samples import Samples
    from thetanet.data.scaling import Scaling

    rng = np.random.default_rng(0)
    X = rng.normal(size=(M, D_I)).astype(np.float32)
    return Samples(X, rng.integers(D_O, size=M), D_O, Scaling.identity(D_I))


def flops(M, D_H):
    """Return the floating-point operations of E and its gradient: two products with X, three with Z."""
    return M * (4 * D_I * D_H + 6 * D_H * D_O)


def size_of(D_H):
    return 4 * ((D_I + 1) * D_H + (D_H + 1) * D_O)


def fixed_cost():
    """Return the seconds a byte of Theta that a pass costs before it sees a sample: copies, and a sum."""
    from thetanet.engine.cpu.engine import CPUEngine
    from thetanet.theta import Theta

    engine, chunk = CPUEngine(threads=1), samples_of(1)
    theta = Theta.random(D_I, 800, D_O, dtype=np.float32)
    total = np.zeros_like(theta.flat)

    def once():
        total[...] = total + engine.error_and_gradient(theta, chunk)[1].flat

    once()
    return least(once, 15) / size_of(800)


def rate_of_a_core(D_H, fixed):
    from thetanet.engine.cpu.engine import CPUEngine
    from thetanet.theta import Theta

    engine, chunk = CPUEngine(threads=1), samples_of(2_000)
    theta = Theta.random(D_I, D_H, D_O, dtype=np.float32)
    engine.error_and_gradient(theta, chunk)
    seconds = least(lambda: engine.error_and_gradient(theta, chunk), 25)
    return flops(2_000, D_H) / (seconds - fixed * size_of(D_H))


def read_rate():
    from thetanet.data.formats.npy import npy_source

    with tempfile.TemporaryDirectory() as folder:
        X = np.zeros((40_000, D_I), np.uint8)
        np.save(Path(folder) / "X.npy", X)
        np.save(Path(folder) / "y.npy", np.zeros(len(X), np.uint8))
        source = npy_source(Path(folder) / "X.npy", Path(folder) / "y.npy")
        return X.nbytes / least(lambda: [part.read() for part in source.parts])


def of_the_cluster(engine):
    """Return seconds a task, and bytes a second of one hop from process to process."""
    from thetanet.engine.dask import tasks

    calls = engine.calls

    def many(count):
        return lambda: calls.results(lambda: [calls.submit(tasks.identity, n) for n in range(count)])

    many(8)()
    task = (least(many(108)) - least(many(8))) / 100
    # An array goes client -> scheduler -> worker, and back: four hops.
    big = np.zeros(4 << 20, np.float32)
    there = least(lambda: calls.results(lambda: [calls.submit(tasks.identity, big)]))
    empty = least(many(1))
    return task, empty, 4 * big.nbytes / (there - empty)


def predicted(M, D_H, workers, c):
    """Return the seconds of one evaluation of E and its gradient (docs/scale.md)."""
    p = size_of(D_H)
    computing = math.ceil(GROUPS / workers) * (flops(M / GROUPS, D_H) / c["flops"][D_H] + p * c["fixed"])
    sums = math.ceil(GROUPS / ARITY)
    tasks = c["pass"] + (GROUPS + sums) * c["task"]
    hops = 4 + (workers - 1) + GROUPS * (1 - 1 / workers)  # Theta out, sums home; to other workers; gradients
    return computing + tasks + hops * p / c["hop"]


def main():
    from distributed import Client, LocalCluster

    from thetanet.engine.dask import DaskEngine
    from thetanet.theta import Theta
    from thetanet.training.cluster import distribute

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    widths = sorted({D_H for _, D_H in SIZES})
    fixed = fixed_cost()
    rates = {D_H: rate_of_a_core(D_H, fixed) for D_H in widths}
    constants = {"fixed": fixed, "flops": rates, "read": read_rate()}
    rows = []
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=None
            ) as cluster,
            Client(cluster) as client,
        ):
            engine = DaskEngine(client, groups=GROUPS)
            if workers == 1:
                constants["task"], constants["pass"], constants["hop"] = of_the_cluster(engine)
                print({k: v for k, v in constants.items() if k != "flops"}, flush=True)
                print(
                    "GFLOP/s a core:",
                    {k: round(v / 1e9, 1) for k, v in constants["flops"].items()},
                    flush=True,
                )
            for M, D_H in SIZES:
                samples = distribute(engine, samples_of(M))
                theta = Theta.random(D_I, D_H, D_O, dtype=np.float32)
                engine.error_and_gradient(theta, samples)
                seen = least(lambda: engine.error_and_gradient(theta, samples), 25)  # noqa: B023
                rows.append([M, D_H, workers, predicted(M, D_H, workers, constants), seen])
                print(
                    "| {:,} | {} | {} | {:.0f} ms | {:.0f} ms |".format(
                        *rows[-1][:3], *(1e3 * s for s in rows[-1][3:])
                    ),
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps({"constants": constants, "rows": rows}))


if __name__ == "__main__":
    main()
