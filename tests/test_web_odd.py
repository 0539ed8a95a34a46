"""The server of the page on bad days: huge pictures, odd names, other threads, data that do not fit."""

import io
import socket
import time

import numpy as np
import pytest

from serving import Server, small_data
from thetanet.data.files import load_data
from thetanet.trainable import TrainableNetwork

testclient = pytest.importorskip("fastapi.testclient")
Image = pytest.importorskip("PIL.Image")
PICTURE = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    return small_data(tmp_path_factory.mktemp("data") / "small.npz")


@pytest.fixture(scope="module")
def data(data_file):
    return load_data(data_file)


@pytest.fixture(scope="module")
def net(data):
    return TrainableNetwork(hidden=5, epochs=1, random_state=0).fit(data.X, data.y)


@pytest.fixture
def client(net, data):
    from thetanet.web.app import create_app

    with testclient.TestClient(create_app(net, "small", data), base_url="http://localhost") as started:
        yield started


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
