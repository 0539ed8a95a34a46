"""What the server of the page answers: the network, its figures, files; which networks and data it takes."""

import mimetypes
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving import server
from thetanet import ThetaNetClassifier, array_source
from thetanet.data.dataset import Dataset
from thetanet.errors import InputError

testclient = pytest.importorskip("fastapi.testclient")
BIN = str(Path(sys.executable).parent)
PICTURE = {"content-type": "image/png"}


def test_theta_comes_as_it_is(client, net):
    info = client.get("/api/model").json()
    answer = client.get("/api/model/theta")
    assert (info["D_I"], info["D_H"], info["D_O"]) == net.theta_.shape
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<f4"), net.theta_.flat.astype("<f4"))
    assert answer.headers["etag"] == f'"{info["version"]}"'


def test_figures_and_images_of_mistakes(client, net, data, test):
    found = client.get("/api/mistakes").json()
    wrong = np.flatnonzero(net.predict(test.X) != test.y)
    assert found["mistakes"] == len(wrong)
    assert np.sum(found["confusion"]) == len(test.y)
    assert {mistake["row"] for mistake in found["worst"]} <= set(wrong.tolist())
    rows = wrong[:7].tolist()
    images = client.get("/api/test-images", params={"rows": ",".join(map(str, rows))}).content
    np.testing.assert_array_equal(np.frombuffer(images, np.uint8).reshape(-1, 784), test.X[rows])
    labels = client.get("/api/test-labels", params={"rows": ",".join(map(str, rows))}).json()
    assert labels == [str(label) for label in test.y[rows]]
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


def test_scripts_are_scripts_whatever_the_machine_calls_them(net, data):
    from thetanet.web.app import create_app

    before = mimetypes.guess_type("app.js")[0]
    mimetypes.add_type("text/plain", ".js")  # as some registries of Windows do
    try:
        with testclient.TestClient(create_app(net, "small", data), base_url="http://localhost") as client:
            assert client.get("/app.js").headers["content-type"].startswith("text/javascript")
    finally:
        mimetypes.add_type(before, ".js")


def test_the_network_on_show_can_be_taken_away(client, net, tmp_path):
    (tmp_path / "model").write_bytes(client.get("/api/model/file").content)
    assert ThetaNetClassifier.load(tmp_path / "model").theta_ == net.theta_


def test_networks_that_the_page_cannot_draw_are_refused(data, train):
    from thetanet.web.app import create_app

    X = np.random.default_rng(0).uniform(size=(40, 9))
    with pytest.raises(InputError, match="takes 9 inputs"):
        create_app(ThetaNetClassifier(hidden=2, epochs=1).fit(X, X[:, 0] > 0.5), "table", data)
    with pytest.raises(InputError, match="one output a class"):
        create_app(ThetaNetClassifier(hidden=2, epochs=1).fit(train.X, train.y > 4), "two", data)
    several = np.stack([train.y > 4, train.y % 2], axis=1).astype(np.uint8)
    with pytest.raises(InputError, match="of which one is right"):
        create_app(ThetaNetClassifier(hidden=2, epochs=1).fit(train.X, several), "several", data)


def test_data_that_the_page_cannot_draw_are_refused(net, data, train):
    from thetanet.web.app import create_app

    for X in (train.X[:, :100], train.X / 255):
        with pytest.raises(InputError, match="uint8"):
            create_app(net, "small", Dataset("some", array_source(X, train.y)))


def test_test_images_that_the_page_cannot_draw_are_refused(net, data, train, test):
    from thetanet.web.app import create_app

    for X, y in (
        (test.X / 255, test.y),
        (np.hstack([test.X, test.X]), test.y),
        (test.X, np.stack([test.y > 4, test.y % 2], axis=1)),
    ):
        with pytest.raises(InputError, match="test part"):
            create_app(net, "small", Dataset("some", data.training, lambda X=X, y=y: array_source(X, y)))


def test_the_api_is_as_it_says(data_file, tmp_path):
    """Schemathesis asks what OpenAPI allows and what it forbids, by all its checks."""
    pytest.importorskip("schemathesis")
    with server(data_file) as running:
        command = [
            f"{BIN}/schemathesis", "run", "--checks", "all", "--max-examples", "15",
            "--url", running.address, running.address + "openapi.json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
