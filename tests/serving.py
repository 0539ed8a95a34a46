"""A server of the page in a process of its own, a browser, and visits to the page, for tests."""

import contextlib
import functools
import io
import os
import signal
import subprocess
import sys
import threading
import time
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
SEVEN = [[(80, 70), (200, 70), (150, 140), (115, 220)]]
ONE = [[(140, 60), (140, 220)]]
ZERO = [[(140 + 55 * np.cos(t), 140 + 80 * np.sin(t)) for t in np.linspace(-1.5, 4.9, 25)]]

SHORT = {"hidden": 5, "epochs": 2, "samples": 600}  # trainings
LONG = {"hidden": 300, "epochs": 1000}


def wait(client, number, states=("done", "stopped", "failed"), seconds=60):
    """Wait until a training is in one of these states, and return it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        training = client.get(f"/api/trainings/{number}").json()
        if training["state"] in states:
            return training
        time.sleep(0.02)
    raise AssertionError(training)


def png_of(grey):
    """Return a picture as the bytes of a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


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


@functools.cache
def driver_problem() -> str:
    """Return why Playwright's driver does not start on this machine, or an empty text."""
    driver = subprocess.run([sys.executable, "-m", "playwright", "--version"], capture_output=True, text=True)
    return "" if driver.returncode == 0 else (driver.stderr or driver.stdout).strip()


@contextlib.contextmanager
def browser():
    """Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    if driver_problem():
        pytest.skip(f"Playwright's driver does not start: {driver_problem()}; apt-get install libatomic1")
    with playwright.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            yield chromium
        finally:
            chromium.close()


class Visit:
    """A page that was opened, and everything that went wrong in it."""

    def __init__(self, chromium, address, **context):
        self.context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page, self.problems = self.context.new_page(), []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.problems.append(m.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("requestfailed", self.failed)
        self.page.on("response", lambda r: r.status >= 400 and self.problems.append(f"{r.status} {r.url}"))
        self.page.on("request", lambda r: self.foreign(r.url, address))
        self.page.goto(address)
        self.page.wait_for_selector("#model:has-text('hidden units')")

    def failed(self, request):
        if "/events" not in request.url:  # a stream that the page closes has not failed
            self.problems.append(f"{request.url}: {request.failure}")

    def foreign(self, url, address):
        if not url.startswith((address, "blob:" + address, "data:")):
            self.problems.append(f"asks {url}")

    def draw(self, strokes):
        self.page.click("#clear")
        box = self.page.locator("#canvas").bounding_box()
        size = box["width"] / 280
        for stroke in strokes:
            places = [(box["x"] + x * size, box["y"] + y * size) for x, y in stroke]
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=5)
            self.page.mouse.up()
        self.page.wait_for_timeout(100)

    def answer(self):
        return self.page.inner_text("#answer .digit")

    def choose(self, view):
        self.page.click(f"#tab-{view}")
        self.page.wait_for_timeout(450)

    def numbers(self):
        return {
            k: np.array(v) if isinstance(v, list) else v
            for k, v in self.page.evaluate("() => thetanet.numbers()").items()
        }
