"""One L-BFGS run over three hosts, one of which is cut off on the way: are the results the same bits?

The hosts are network namespaces of this machine with addresses of their own, joined by a bridge: the
scheduler and the client run in one, workers in the others. A cut is a link that is down, so no connection is
closed by anybody: packets are lost, as when a cable is pulled. Needs root, and ip of iproute2.

    python benchmarks/network_hosts.py [--seconds 5 45]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

HOSTS = {"tn-a": "10.87.0.1", "tn-b": "10.87.0.2", "tn-c": "10.87.0.3"}
BRIDGE = "tn-bridge"
PORT = 8786
EPOCHS = 60


def ip(*command):
    subprocess.run(["ip", *command], check=True, capture_output=True, text=True)


def allowed():
    """Return why there can be no namespaces; None if there can."""
    if shutil.which("ip") is None:
        return "there is no `ip`: apt-get install iproute2"
    try:
        ip("netns", "add", "tn-try")
        ip("netns", "delete", "tn-try")
        ip("link", "add", "tn-try", "type", "bridge")
        ip("link", "delete", "tn-try")
    except subprocess.CalledProcessError as problem:
        return f"network namespaces are not allowed here: {problem.stderr.strip()}"
    return None


@contextmanager
def hosts():
    """Set up the namespaces and their bridge, and take them down again."""
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        for name, address in HOSTS.items():
            ip("netns", "add", name)
            ip("link", "add", f"{name}-out", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{name}-out", "master", BRIDGE, "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in HOSTS:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True)


def on(host, *command, **options):
    return subprocess.Popen(["ip", "netns", "exec", host, sys.executable, *command], **options)


def train(address, folder, out):
    """Train as the client does: run in the namespace of the scheduler."""
    import numpy as np

    from thetanet import ThetaNetClassifier
    from thetanet.data.formats.npy import npy_source
    from thetanet.engine.dask import connect

    source = npy_source(Path(folder) / "X.npy", Path(folder) / "y.npy", rows=1000)
    slowest = [0.0, time.perf_counter()]

    def on_epoch(record):
        now = time.perf_counter()
        slowest[:] = max(slowest[0], now - slowest[1]), now
        Path(out).with_suffix(".epoch").write_text(str(record.epoch))
        time.sleep(0.1)

    with connect(address, groups=6) as engine:
        engine.client.wait_for_workers(2, timeout=120)
        net = ThetaNetClassifier(60, "lbfgs", epochs=EPOCHS, engine=engine, random_state=0, on_epoch=on_epoch)
        began = time.perf_counter()
        net.fit(source)
        seconds = time.perf_counter() - began
        workers = len(engine.calls.workers(now=True))
    np.save(out, net.theta_.flat)
    print(json.dumps({"seconds": round(seconds, 1), "slowest": round(slowest[0], 1), "workers": workers}))


def run(folder, name, cut=0.0):
    """Return the Theta and the figures of one run; host tn-c is cut off for `cut` seconds on the way."""
    import numpy as np

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    address = f"tcp://{HOSTS['tn-a']}:{PORT}"
    out = Path(folder) / f"{name}.npy"
    started = [
        on(
            "tn-a",
            "-m",
            "distributed.cli.dask_scheduler",
            "--host",
            HOSTS["tn-a"],
            "--port",
            str(PORT),
            "--no-dashboard",
            **quiet,
        )
    ]
    for host in ("tn-b", "tn-c"):
        worker = [
            "-m",
            "distributed.cli.dask_worker",
            address,
            "--host",
            HOSTS[host],
            "--nthreads",
            "1",
            "--no-dashboard",
            "--memory-limit",
            "0",
        ]
        started.append(on(host, *worker, **quiet))
    try:
        client = on(
            "tn-a", __file__, "--client", address, folder, str(out), stdout=subprocess.PIPE, text=True
        )
        started.append(client)
        if cut:
            epoch = out.with_suffix(".epoch")
            while not (epoch.exists() and int(epoch.read_text() or 0) >= 10) and client.poll() is None:
                time.sleep(0.05)
            ip("link", "set", "tn-c-out", "down")
            time.sleep(cut)
            ip("link", "set", "tn-c-out", "up")
        said = client.communicate(timeout=400)[0]
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
    return np.load(out), json.loads(said)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="*", default=[5, 45], help="of cuts to try")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        return train(*options.client)
    reason = allowed()
    if reason is not None:
        print(f"skipped: {reason}")
        return None
    import numpy as np

    from thetanet import load_mnist

    with tempfile.TemporaryDirectory() as folder, hosts():
        X, y = load_mnist()[:2]
        np.save(Path(folder) / "X.npy", X[:12_000])
        np.save(Path(folder) / "y.npy", y[:12_000])
        whole, figures = run(folder, "whole")
        print("undisturbed:", figures, flush=True)
        for seconds in options.seconds:
            cut, figures = run(folder, f"cut-{seconds:g}", seconds)
            print(
                f"cut off for {seconds:g} s:", figures, "same bits:", np.array_equal(cut, whole), flush=True
            )
    return None


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    main()
