"""The server of the page: what it refuses, its limits, its trainings, how it ends."""

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
from thetanet.classifier.trainable import TrainableNetwork

from serving import Server, server
from thetanet import ThetaNetClassifier
from thetanet.cli import main
from thetanet.data.dataset import Dataset
from thetanet.errors import InputError

testclient = pytest.importorskip("fastapi.testclient")
BIN = str(Path(sys.executable).parent)
SHORT = {"hidden": 5, "epochs": 2, "samples": 600}
LONG = {"hidden": 300, "epochs": 1000}


@pytest.fixture(scope="module")
def net(data):
    return TrainableNetwork(hidden=20, epochs=2, random_state=0).fit(data.X, data.y)


def wait(client, number, states=("done", "stopped", "failed"), seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = client.get(f"/api/trainings/{number}").json()
        if found["state"] in states:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def events(text):
    """(event, id, data) of each event of a stream."""
    for part in text.split("\n\n"):
        fields = dict(re.findall(r"^(id|event|data): (.*)$", part, re.MULTILINE))
        if "event" in fields:
            yield fields["event"], fields.get("id"), fields["data"]


# --- what it says
def test_theta_comes_as_it_is(client, net):
    info = client.get("/api/model").json()
    answer = client.get("/api/model/theta")
    assert (info["D_I"], info["D_H"], info["D_O"]) == net.theta_.shape
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<f4"), net.theta_.flat.astype("<f4"))
    assert answer.headers["etag"] == f'"{info["version"]}"'


def test_figures_and_images_of_mistakes(client, net, data):
    found = client.get("/api/mistakes").json()
    wrong = np.flatnonzero(net.predict(data.X_test) != data.y_test)
    assert found["mistakes"] == len(wrong)
    assert np.sum(found["confusion"]) == len(data.y_test)
    assert {mistake["row"] for mistake in found["worst"]} <= set(wrong.tolist())
    rows = wrong[:7].tolist()
    images = client.get("/api/test-images", params={"rows": ",".join(map(str, rows))}).content
    np.testing.assert_array_equal(np.frombuffer(images, np.uint8).reshape(-1, 784), data.X_test[rows])
    labels = client.get("/api/test-labels", params={"rows": ",".join(map(str, rows))}).json()
    assert labels == [str(label) for label in data.y_test[rows]]
    assert client.get("/api/test-images?rows=1000").status_code == 404
    assert client.get("/api/test-images?rows=x").status_code == 422


def test_the_page_and_its_files_are_served(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
        assert client.get(f"/{name}").status_code == 200, name
    assert client.get("/nothing.js").status_code == 404
    assert client.get("/../app.py").status_code == 404
    assert client.get("/%2e%2e/app.py").status_code == 404


def test_the_page_names_no_other_host(client):
    import thetanet.web

    for path in (Path(thetanet.web.__file__).parent / "page").rglob("*.*"):
        if path.parent.name != "vendor":
            found = re.findall(r"https?://[^\s\"'<>]+", path.read_text())
            assert set(found) <= {"http://www.w3.org/2000/svg"}, path


# --- trainings
def test_a_training_is_the_one_that_python_makes(client, data):
    number = client.post("/api/trainings", json=SHORT).json()["id"]
    found = wait(client, number)
    assert found["state"] == "done"
    net = ThetaNetClassifier(hidden=5, epochs=2, random_state=0, validation_fraction=1 / 6)
    chosen = np.random.default_rng(0).permutation(6000)[:600]
    net.fit(data.X[chosen], data.y[chosen])
    assert [r["error"] for r in found["records"]] == net.history_["error"]
    assert [r["val_accuracy"] for r in found["records"]] == net.history_["val_accuracy"]
    assert found["test_accuracy"] == pytest.approx(net.score(data.X_test, data.y_test), abs=1e-12)
    units = np.frombuffer(client.get(f"/api/trainings/{number}/units").content, np.int8).reshape(5, 784)
    W = net.theta_.W1.T
    np.testing.assert_allclose(units / 127, W / np.abs(W).max(axis=1, keepdims=True), atol=0.005)
    kept = client.post(f"/api/trainings/{number}/keep").json()
    assert kept["D_H"] == 5
    theta = np.frombuffer(client.get("/api/model/theta").content, "<f4")
    np.testing.assert_array_equal(theta, net.theta_.flat.astype("<f4"))
    assert client.post("/api/model/first").json()["D_H"] == 20


def test_one_training_at_a_time(client):
    number = client.post("/api/trainings", json=LONG).json()["id"]
    second = client.post("/api/trainings", json=SHORT)
    assert second.status_code == 409
    assert f"training {number}" in second.json()["detail"]
    assert client.post(f"/api/trainings/{number}/resume").status_code == 409
    wait(client, number, ["running"])
    assert client.post(f"/api/trainings/{number}/pause").json()["state"] == "paused"
    time.sleep(0.5)  # what was under way ends
    before = client.get(f"/api/trainings/{number}").json()["records"]
    time.sleep(0.3)
    assert client.get(f"/api/trainings/{number}").json()["records"] == before
    assert client.post(f"/api/trainings/{number}/resume").json()["state"] == "running"
    assert client.post(f"/api/trainings/{number}/stop").json()["state"] in ("stopping", "stopped")
    assert wait(client, number)["state"] == "stopped"
    assert client.post("/api/trainings", json=SHORT).status_code == 201


def test_a_stream_goes_on_where_it_was_left(client):
    number = client.post("/api/trainings", json={**SHORT, "epochs": 6}).json()["id"]
    wait(client, number)
    whole = list(events(client.get(f"/api/trainings/{number}/events").text))
    assert [i for name, i, _ in whole if name == "epoch"] == ["1", "2", "3", "4", "5", "6"]
    rest = client.get(f"/api/trainings/{number}/events", headers={"last-event-id": "4"}).text
    assert list(events(rest)) == [e for e in whole if e[0] != "epoch" or int(e[1]) > 4]


def test_only_so_many_trainings_are_remembered_and_each_has_its_time(net, data):
    from thetanet.web.app import create_app

    app = create_app(net, "small", data, training_seconds=0.05)
    with testclient.TestClient(app, base_url="http://localhost") as client:
        for _ in range(25):
            number = client.post("/api/trainings", json={**LONG, "samples": 600}).json()["id"]
            found = wait(client, number)
        assert found["state"] == "stopped"
        assert len(found["records"]) < 1000
        assert "minutes" in found["problem"]
        assert len(client.get("/api/trainings").json()) == 20
        assert client.get("/api/trainings/1").status_code == 404


def test_a_training_that_fails_says_why(client):
    number = client.post(
        "/api/trainings", json={**SHORT, "learning_rate": 90.0, "descent": "sgd", "epochs": 60}
    ).json()["id"]
    found = wait(client, number)
    assert found["state"] == "failed"
    assert "learning_rate" in found["problem"]
    assert client.post("/api/trainings", json=SHORT).status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": 0},
        {"hidden": "5"},
        {"epochs": 1.5},
        {"descent": "magic"},
        {"learning_rate": -1},
        {"size": 3},
    ],
)
def test_settings_are_checked(client, wrong):
    answer = client.post("/api/trainings", json=wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["detail"]


# --- limits
@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:80", "192.168.1.5:8000"])
def test_hosts_that_are_numbers_are_known(client, host):
    assert client.get("/api/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1"]
)
def test_foreign_names_are_refused(client, host):
    """DNS rebinding: a foreign name that resolves to this machine."""
    assert client.get("/api/health", headers={"host": host}).status_code == 421


def test_a_name_can_be_allowed(net, data):
    from thetanet.web.app import create_app

    with testclient.TestClient(create_app(net, "small", data, allow_hosts=["My.Host"])) as client:
        assert client.get("/api/health", headers={"host": "my.host:81"}).status_code == 200
        assert client.get("/api/health", headers={"host": "localhost"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                {"origin": "http://localhost:81"}, {"sec-fetch-site": "same-site"}]
)  # fmt: skip
def test_other_pages_change_nothing(client, headers):
    assert client.post("/api/trainings", json=SHORT, headers=headers).status_code == 403
    assert client.get("/api/trainings").json() == []
    assert client.post("/api/model/first", headers={"origin": "http://localhost"}).status_code == 200


def test_answers_carry_a_policy(client):
    for path in ("/", "/app.js", "/api/model", "/nothing", "/api/read"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_bodies_are_limited(client):
    assert client.post("/api/trainings", content=b"x" * 70_000).status_code == 413
    picture = {"content-type": "image/png"}
    assert client.post("/api/read", content=b"x" * 20_000_001, headers=picture).status_code == 413

    def chunks():  # without a length
        for _ in range(21):
            yield b"x" * 1_000_000

    assert client.post("/api/read", content=chunks(), headers=picture).status_code == 413


def png(width, height):
    """A PNG of one colour: few bytes, many pixels."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("1", (width, height), 1).save(file, "PNG")
    return file.getvalue()


def test_pictures_are_limited(client):
    bomb = png(6000, 6000)
    assert len(bomb) < 100_000
    for picture in (bomb, b"", b"no picture", png(20, 20)[:45]):
        answer = client.post("/api/read", content=picture, headers={"content-type": "image/png"})
        assert answer.status_code == 422, picture[:20]
        assert "file" in answer.json()["detail"]
        assert "site-packages" not in answer.json()["detail"]
    empty = client.post("/api/read", content=png(300, 200), headers={"content-type": "image/png"}).json()
    assert (empty["lines"], empty["digits"], empty["width"], empty["height"]) == ([], [], 300, 200)
    assert client.post("/api/read", content=b"{}", headers={"content-type": "text/html"}).status_code == 415


def test_a_slow_body_is_cut_off():
    from thetanet.web.guard import Guard

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    async def slow():
        await asyncio.sleep(60)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}

    async def ask():
        from starlette.exceptions import HTTPException

        with pytest.raises(HTTPException) as found:
            await Guard(app, body_seconds=0.05)(scope, slow, None)
        assert found.value.status_code == 408

    asyncio.run(ask())


def test_networks_that_the_page_cannot_draw_are_refused(data):
    from thetanet.web.app import create_app

    X = np.random.default_rng(0).uniform(size=(40, 9))
    with pytest.raises(InputError, match="takes 9 inputs"):
        create_app(TrainableNetwork(hidden=2, epochs=1).fit(X, X[:, 0] > 0.5), "table", data)
    with pytest.raises(InputError, match="one output a class"):
        create_app(TrainableNetwork(hidden=2, epochs=1).fit(data.X, data.y > 4), "two", data)
    several = np.stack([data.y > 4, data.y % 2], axis=1).astype(np.uint8)
    with pytest.raises(InputError, match="of which one is right"):
        create_app(TrainableNetwork(hidden=2, epochs=1).fit(data.X, several), "several", data)


def test_data_that_the_page_cannot_draw_are_refused(net, data):
    from thetanet.web.app import create_app

    for X in (data.X[:, :100], data.X / 255):
        with pytest.raises(InputError, match="uint8"):
            create_app(net, "small", Dataset("some", X, data.y))


def test_a_pause_does_not_outlast_the_time(net, data):
    from thetanet.web.app import create_app

    app = create_app(net, "small", data, training_seconds=1.5)
    with testclient.TestClient(app, base_url="http://localhost") as client:
        number = client.post("/api/trainings", json=LONG).json()["id"]
        wait(client, number, ["running"])
        assert client.post(f"/api/trainings/{number}/pause").status_code == 200
        assert wait(client, number, seconds=10)["state"] == "stopped"


def test_data_without_test_images_or_in_the_order_of_classes(net, data):
    from thetanet.web.app import create_app

    order = np.argsort(data.y, kind="stable")
    app = create_app(net, "small", Dataset("sorted", data.X[order], data.y[order]))
    with testclient.TestClient(app, base_url="http://localhost") as client:
        assert client.get("/api/mistakes").status_code == 404
        assert client.get("/api/test-images?rows=0").status_code == 404
        found = wait(client, client.post("/api/trainings", json={**SHORT, "epochs": 20}).json()["id"])
        assert (found["state"], found["test_accuracy"]) == ("done", None)
        assert found["records"][-1]["val_accuracy"] > 0.5


def test_the_network_on_show_can_be_taken_away(client, net, tmp_path):
    (tmp_path / "model").write_bytes(client.get("/api/model/file").content)
    assert ThetaNetClassifier.load(tmp_path / "model").theta_ == net.theta_


def test_a_rate_for_a_method_without_one_is_refused_at_once(client):
    assert (
        client.post("/api/trainings", json={**SHORT, "descent": "lbfgs", "learning_rate": 0.1}).status_code
        == 422
    )
    assert client.get("/api/trainings").json() == []


# --- the process
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


def test_the_api_is_as_it_says(data_file, tmp_path):
    """Schemathesis asks what OpenAPI allows and what it forbids, by all its checks."""
    with server(data_file) as running:
        command = [
            f"{BIN}/schemathesis", "run", "--checks", "all", "--max-examples", "15",
            "--url", running.address, running.address + "openapi.json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
