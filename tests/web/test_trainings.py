"""Trainings that a browser starts: they are those of Python, one at a time, watched, paused, stopped."""

import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from serving import LONG, SHORT, wait
from thetanet import ThetaNetClassifier, array_source
from thetanet.data.dataset import Dataset

testclient = pytest.importorskip("fastapi.testclient")
BIN = str(Path(sys.executable).parent)
PICTURE = {"content-type": "image/png"}


def events(text):
    """(event, id, data) of each event of a stream."""
    for part in text.split("\n\n"):
        fields = dict(re.findall(r"^(id|event|data): (.*)$", part, re.MULTILINE))
        if "event" in fields:
            yield fields["event"], fields.get("id"), fields["data"]


def test_a_training_is_the_one_that_python_makes(client, data, train, test):
    number = client.post("/api/trainings", json=SHORT).json()["id"]
    found = wait(client, number)
    assert found["state"] == "done"
    net = ThetaNetClassifier(hidden=5, epochs=2, random_state=0, validation_fraction=1 / 6)
    chosen = np.random.default_rng(0).permutation(6000)[:600]
    net.fit(train.X[chosen], train.y[chosen])
    assert [r["error"] for r in found["records"]] == net.history_["error"]
    assert [r["val_accuracy"] for r in found["records"]] == net.history_["val_accuracy"]
    assert found["test_accuracy"] == pytest.approx(net.score(test.X, test.y), abs=1e-12)
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


def test_settings_that_a_method_does_not_have_are_refused_at_once(client):
    for setting in ({"learning_rate": 0.1}, {"deform": True}):
        answer = client.post("/api/trainings", json={**SHORT, "descent": "lbfgs", **setting})
        assert answer.status_code == 422
        assert next(iter(setting)) in answer.json()["detail"]
    assert client.get("/api/trainings").json() == []


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_that_are_read_in_parts_are_learnt_from(net, train, test, in_memory, monkeypatch):
    from thetanet.data import survey
    from thetanet.web.app import create_app

    monkeypatch.setattr(survey, "IN_MEMORY_BYTES", 10**9 if in_memory else 0)
    tests = array_source(test.X, test.y, rows=300)
    parts = Dataset("parts", array_source(train.X, train.y, rows=700), lambda: tests)
    app = create_app(net, "small", parts)
    with testclient.TestClient(app, base_url="http://localhost") as client:
        training = wait(client, client.post("/api/trainings", json={**SHORT, "samples": 3000}).json()["id"])
        assert training["state"] == "done", training["problem"]
        assert training["records"][-1]["samples"] == pytest.approx(
            2 * 3000 * 5 / 6, rel=0 if in_memory else 0.1
        )
        assert 0.2 < training["test_accuracy"] < 1
        assert client.get("/api/mistakes").json()["samples"] == 1000
        images = client.get("/api/test-images?rows=999,0").content
        np.testing.assert_array_equal(np.frombuffer(images, np.uint8).reshape(2, 784), test.X[[999, 0]])


def test_a_pause_does_not_outlast_the_time(net, data):
    from thetanet.web.app import create_app

    app = create_app(net, "small", data, training_seconds=1.5)
    with testclient.TestClient(app, base_url="http://localhost") as client:
        number = client.post("/api/trainings", json=LONG).json()["id"]
        wait(client, number, ["running"])
        assert client.post(f"/api/trainings/{number}/pause").status_code == 200
        assert wait(client, number, seconds=10)["state"] == "stopped"


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


def test_data_without_test_images_or_in_the_order_of_classes(net, data, train):
    from thetanet.web.app import create_app

    order = np.argsort(train.y, kind="stable")
    app = create_app(net, "small", Dataset("sorted", array_source(train.X[order], train.y[order])))
    with testclient.TestClient(app, base_url="http://localhost") as client:
        assert client.get("/api/mistakes").status_code == 404
        assert client.get("/api/test-images?rows=0").status_code == 404
        found = wait(client, client.post("/api/trainings", json={**SHORT, "epochs": 20}).json()["id"])
        assert (found["state"], found["test_accuracy"]) == ("done", None)
        assert found["records"][-1]["val_accuracy"] > 0.5
