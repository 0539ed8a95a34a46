"""What a whole process costs: start, memory, Ctrl-C, and company on the same cores."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import contenders
from measure import median_of

COMMAND = "import sys; from thetanet.cli import main; sys.exit(main(sys.argv[1:]))"

ESTIMATOR = """
from thetanet import ThetaNetClassifier, load_mnist
X, y, _, _ = load_mnist()
ThetaNetClassifier(hidden={hidden}, epochs=1, random_state=0).fit(X[:{M}], y[:{M}])
"""

SCIKIT_LEARN = """
import warnings; warnings.simplefilter("ignore")
from sklearn.neural_network import MLPClassifier
from thetanet import load_mnist
import numpy as np
raw, y, _, _ = load_mnist()
X = np.divide(raw, 255, dtype=np.float32)
del raw
MLPClassifier(({hidden},), activation="logistic", batch_size=256, max_iter=1).fit(X, y)
"""


def child(program, *arguments):
    """Run a program in a fresh Python; return its seconds, interpreter included, and its peak MB."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def processes():
    """Peak memory of a whole training process, and start to end of a second process that takes one step."""
    from thetanet import load_mnist

    X, y, _, _ = load_mnist()
    with tempfile.TemporaryDirectory() as folder:
        small, out = Path(folder, "small.npz"), str(Path(folder, "model"))
        np.savez(small, X=X[:128], y=y[:128])
        first = ["train", "--data", str(small), "--hidden", "100", "--epochs", "1", "--out", out]
        whole = ["train", "--hidden", "800", "--epochs", "1", "--batch-size", "256", "--out", out]
        child(COMMAND, *whole)  # compiles, if this is the first time on this machine
        child(COMMAND, *first)
        found = {
            "memory": (child(COMMAND, *whole)[1], child(SCIKIT_LEARN.format(hidden=800))[1]),
            "estimator_memory": child(ESTIMATOR.format(hidden=800, M=60_000))[1],
            "start": float(np.median([child(COMMAND, *first)[0] for _ in range(7)])),
            "estimator_start": float(
                np.median([child(ESTIMATOR.format(hidden=100, M=128))[0] for _ in range(7)])
            ),
        }
    print(found, flush=True)
    return found


def interrupt():
    """Seconds from Ctrl-C to a usable network, training MNIST at 800 units."""
    import threading

    from thetanet import ThetaNetClassifier, load_mnist

    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background jobs ignore it
    X, y, X_test, _ = load_mnist()
    found = []
    for delay in (0.3, 0.37, 0.44, 0.51, 0.58, 0.65, 0.72):
        net = ThetaNetClassifier(hidden=800, epochs=100, batch_size=256, random_state=0)
        sent = []

        def send(sent=sent):
            sent.append(time.perf_counter())
            signal.raise_signal(signal.SIGINT)

        timer = threading.Timer(delay, send)

        def begin(seen, M, timer=timer):
            if not timer.is_alive() and not timer.finished.is_set():
                timer.start()

        records = net.iter_fit(X, y, progress=begin)
        try:
            for _ in records:
                pass
        except KeyboardInterrupt:
            net.predict(X_test[:1])
            found.append(time.perf_counter() - sent[0])
    print("interrupt", np.round(found, 3).tolist(), flush=True)
    return found


def busy():
    """Throughput beside two busy processes, as a share of the quiet one."""
    from thetanet import load_mnist

    raw, y, _, _ = load_mnist()
    found = {}
    for D_H, B, steps in ((800, 256, 60), (100, 128, 400)):
        run = contenders.thetanet(raw, y, D_H, B, steps, raw=raw)
        run()
        quiet, loud = [], []
        for _ in range(7):
            quiet.append(median_of(run, 3))
            others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
            try:
                loud.append(median_of(run, 3))
            finally:
                for other in others:
                    other.kill()
                    other.wait()
        found[D_H] = float(np.median(quiet) / np.median(loud))
    print("busy", found, flush=True)
    return found
