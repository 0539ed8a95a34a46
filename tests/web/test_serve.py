"""The process of the server: how it starts, in which threads it runs, and that it ends at once."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from serving import LONG, Server, png_of, server
from thetanet.cli import main
from thetanet.errors import InputError

testclient = pytest.importorskip("fastapi.testclient")
BIN = str(Path(sys.executable).parent)
PICTURE = {"content-type": "image/png"}


def test_sigterm_ends_cleanly_within_two_seconds(data_file):
    """While a training runs and a client watches it."""
    import httpx

    running = Server(data_file)
    number = httpx.post(running.address + "api/trainings", json=LONG).json()["id"]
    seen = []

    def watch():
        with httpx.stream("GET", f"{running.address}api/trainings/{number}/events", timeout=30) as answer:
            seen.extend(answer.iter_lines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    while "event: epoch" not in seen:
        time.sleep(0.05)
    began = time.monotonic()
    assert running.end() == 0
    assert time.monotonic() - began < 2
    watcher.join(5)
    running.close()
    assert running.errors == []


def test_the_server_ends_at_once_while_it_reads_pictures(data_file):
    texture = np.random.default_rng(0).integers(0, 2, (100, 100), dtype=np.uint8) * 255
    picture = png_of(np.kron(texture, np.ones((49, 49), np.uint8)))
    running = Server(data_file)
    head = "POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    head += f"Content-Length: {len(picture)}\r\n\r\n"
    clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(6)]
    for client in clients:  # two at a time are read, the others wait
        client.sendall(head.encode() + picture)
    time.sleep(2)
    began = time.monotonic()
    assert running.end(60) == 0
    assert time.monotonic() - began < 2
    for client in clients:
        client.close()
    running.close()
    assert running.errors == []


def test_a_port_that_is_taken(data_file, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--data", str(data_file), "--port", port]) == 2
    assert f"port {port}" in capsys.readouterr().err


def test_a_missing_extra_is_named(data_file, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--data", str(data_file), "--port", "0"]) == 2
    assert "pip install 'thetanet[web]'" in capsys.readouterr().err


def test_the_address_that_is_printed_is_answered(data_file):
    """Also where the server listens on a name."""
    import httpx

    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        pytest.skip("this machine does not know its own name")
    with server(data_file, "--host", name) as running:
        assert name in running.address
        assert httpx.get(running.address + "api/health").status_code == 200


def test_a_browser_that_is_opened_is_answered_before_it_ends(data_file, tmp_path, monkeypatch):
    """As text browsers, which run in the foreground."""
    script, found = tmp_path / "browser.py", tmp_path / "found"
    script.write_text(
        "import sys, urllib.request\n"
        f"with urllib.request.urlopen(sys.argv[1], timeout=20) as page, open({str(found)!r}, 'w') as file:\n"
        "    file.write(str(page.status))\n"
    )
    monkeypatch.setenv("BROWSER", f"{sys.executable} {script} %s")
    with server(data_file, "--open"):
        until = time.monotonic() + 30
        while not (found.exists() and found.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
    assert found.read_text() == "200"


def test_serve_runs_in_a_thread(data_file):
    script = f"""
import threading, urllib.request
from thetanet import ThetaNetClassifier
from thetanet.data.dataset import open_dataset
from thetanet.web import serve
data, ready, addresses = open_dataset({str(data_file)!r}), threading.Event(), []
rows = data.training.read_head(500)
net = ThetaNetClassifier(hidden=2, epochs=1).fit(rows.X, rows.y)
options = dict(port=0, ready=lambda address: (addresses.append(address), ready.set()))
threading.Thread(target=serve, args=(net, "small", data), kwargs=options, daemon=True).start()
assert ready.wait(60)
print(urllib.request.urlopen(addresses[0] + "api/health").status)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_serve_refuses_what_it_cannot_do(net, data):
    from thetanet.web import serve

    async def in_a_loop():
        serve(net, "small", data, port=0)

    with pytest.raises(InputError, match="in a thread"):
        asyncio.run(in_a_loop())
    for wrong in (
        {"port": 70_000},
        {"port": -1},
        {"training_seconds": 0},
        {"training_seconds": float("nan")},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            serve(net, "small", data, **wrong)


@pytest.mark.soak
def test_two_hundred_clients_leave_nothing_behind(data_file):
    """Some leave in the middle, some read nothing at all."""
    import httpx

    with server(data_file) as running:
        port = int(running.address.rstrip("/").rsplit(":", 1)[1])
        number = httpx.post(running.address + "api/trainings", json=LONG).json()["id"]
        folder = Path(f"/proc/{running.process.pid}")

        def state():
            status = (folder / "status").read_text()
            memory = int(re.search(r"VmRSS:\s+(\d+)", status)[1])
            return len(os.listdir(folder / "fd")), len(os.listdir(folder / "task")), memory

        def connect(path):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return sock

        paths = [f"/api/trainings/{number}/events", "/api/model/theta"]
        while len(httpx.get(f"{running.address}api/trainings/{number}").json()["records"]) < 3:
            time.sleep(0.2)
        for _ in range(20):  # warm
            connect(paths[1]).close()
        time.sleep(1)
        files, threads, memory = state()
        for n in range(200):
            sock = connect(paths[n % 2])
            if n % 4 < 2:
                sock.recv(100)
            sock.close()
        deadline = time.monotonic() + 30
        while state()[0] > files and time.monotonic() < deadline:
            time.sleep(0.5)
        now = state()
        assert now[0] <= files
        assert now[1] <= threads + 40  # the pool of threads that requests are answered by
        assert now[2] < memory + 60_000  # kB
        assert httpx.get(running.address + "api/health").status_code == 200
