"""A server of the page in a process of its own, and a browser, for tests."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from thetanet import load_mnist

CHROMIUM = next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if os.path.exists(p)), None)
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def small_data(path: Path) -> Path:
    """A tenth of MNIST's images, as an .npz file."""
    X, y, X_test, y_test = load_mnist()
    np.savez(path, X=X[:6000], y=y[:6000], X_test=X_test[:1000], y_test=y_test[:1000])
    return path


class Server:
    """`thetanet serve` as a process; `address` is known once it listens."""

    def __init__(self, data: Path, *options: str, port: int = 0) -> None:
        command = [
            sys.executable,
            "-m",
            "thetanet",
            "serve",
            "--data",
            str(data),
            "--port",
            str(port),
            *options,
        ]
        self.process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        assert "http://" in line, line + self.process.stderr.read()
        self.address = line.split()[2]
        self.port = int(self.address.rstrip("/").rsplit(":", 1)[1])
        self.errors: list[str] = []
        # Pipes are read, or a full one would hold the server up.
        self._reader = threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        self.process.stdout.close()
        self._reader.join(5)
        self.process.stderr.close()

    def end(self, patience: float = 10.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextlib.contextmanager
def server(data: Path, *options: str, port: int = 0):
    running = Server(data, *options, port=port)
    try:
        yield running
    finally:
        running.end()
        running.close()


@contextlib.contextmanager
def browser():
    """Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            yield chromium
        finally:
            chromium.close()
