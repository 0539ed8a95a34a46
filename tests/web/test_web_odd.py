"""The server of the page on bad days: huge pictures, odd names, other threads, data that do not fit."""

import asyncio
import io
import mimetypes
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from thetanet.classifier.trainable import TrainableNetwork

from serving import Server, server
from thetanet.data.dataset import Dataset
from thetanet.errors import InputError

testclient = pytest.importorskip("fastapi.testclient")
Image = pytest.importorskip("PIL.Image")
PICTURE = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def net(data):
    return TrainableNetwork(hidden=5, epochs=1, random_state=0).fit(data.X, data.y)


def file_of(grey, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(grey).save(file, kind)
    return file.getvalue()


# --- pictures
def test_a_picture_for_which_there_is_no_memory_is_refused(client, monkeypatch):
    from thetanet import reading

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(reading, "read_numbers", full)
    answer = client.post("/api/read", content=file_of(np.zeros((30, 30), np.uint8)), headers=PICTURE)
    assert answer.status_code == 422
    assert "memory" in answer.json()["detail"]


def test_the_server_ends_at_once_while_it_reads_pictures(data_file):
    texture = np.random.default_rng(0).integers(0, 2, (100, 100), dtype=np.uint8) * 255
    picture = file_of(np.kron(texture, np.ones((49, 49), np.uint8)))
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


# --- names
@pytest.mark.parametrize(
    "given", ["my.box", "My.Box:8723", "http://my.box", "https://my.box:80/page", "my.box/"]
)
def test_an_allowed_host_may_be_given_as_a_browser_shows_it(net, data, given):
    from thetanet.web.app import create_app

    with testclient.TestClient(create_app(net, "small", data, allow_hosts=[given])) as client:
        assert client.get("/api/health", headers={"host": "my.box:81"}).status_code == 200
        assert client.get("/api/health", headers={"host": "box:81"}).status_code == 421


@pytest.mark.parametrize("given", ["", "*", "http://", "two words", "[::1", "-", "a" * 70])
def test_what_can_be_no_host_is_refused(net, data, given):
    from thetanet.web.app import create_app

    with pytest.raises(InputError, match="host"):
        create_app(net, "small", data, allow_hosts=[given])


def test_a_name_with_other_letters_is_that_of_the_browser(net, data):
    from thetanet.web.app import create_app

    with testclient.TestClient(create_app(net, "small", data, allow_hosts=["bücher.example"])) as client:
        assert client.get("/api/health", headers={"host": "xn--bcher-kva.example"}).status_code == 200


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


# --- the process
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
from thetanet.data.dataset import load_data
from thetanet.classifier.trainable import TrainableNetwork
from thetanet.web import serve
data, ready, said = load_data({str(data_file)!r}), threading.Event(), []
net = TrainableNetwork(hidden=2, epochs=1).fit(data.X[:500], data.y[:500])
given = dict(port=0, ready=lambda address: (said.append(address), ready.set()))
threading.Thread(target=serve, args=(net, "small", data), kwargs=given, daemon=True).start()
assert ready.wait(60)
print(urllib.request.urlopen(said[0] + "api/health").status)
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


def test_scripts_are_scripts_whatever_the_machine_calls_them(net, data):
    from thetanet.web.app import create_app

    before = mimetypes.guess_type("app.js")[0]
    mimetypes.add_type("text/plain", ".js")  # as some registries of Windows do
    try:
        with testclient.TestClient(create_app(net, "small", data), base_url="http://localhost") as client:
            assert client.get("/app.js").headers["content-type"].startswith("text/javascript")
    finally:
        mimetypes.add_type(before, ".js")


# --- data and time
def test_test_images_that_the_page_cannot_draw_are_refused(net, data):
    from thetanet.web.app import create_app

    for X, y in (
        (data.X_test / 255, data.y_test),
        (np.hstack([data.X_test, data.X_test]), data.y_test),
        (data.X_test, data.y_test[:, None]),
    ):
        with pytest.raises(InputError, match="test part"):
            create_app(net, "small", Dataset("some", data.X, data.y, lambda X=X, y=y: (X, y)))


def test_a_training_without_end_can_be_paused(net, data):
    from thetanet.web.app import create_app

    app = create_app(net, "small", data, training_seconds=float("inf"))
    with testclient.TestClient(app, base_url="http://localhost") as client:
        number = client.post("/api/trainings", json={"hidden": 50, "epochs": 1000}).json()["id"]
        until = time.monotonic() + 60
        while (
            client.get(f"/api/trainings/{number}").json()["state"] != "running" and time.monotonic() < until
        ):
            time.sleep(0.05)
        assert client.post(f"/api/trainings/{number}/pause").status_code == 200
        time.sleep(1)
        assert client.get(f"/api/trainings/{number}").json()["state"] == "paused"
        assert client.post(f"/api/trainings/{number}/stop").status_code == 200
