"""What the server of the page refuses: foreign hosts and pages, large or slow bodies, bad pictures."""

import asyncio
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from serving import SHORT, png_of
from thetanet.errors import InputError

testclient = pytest.importorskip("fastapi.testclient")
BIN = str(Path(sys.executable).parent)
PICTURE = {"content-type": "image/png"}


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


def png(width, height):
    """A PNG of one colour: few bytes, many pixels."""

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


def test_a_picture_for_which_there_is_no_memory_is_refused(client, monkeypatch):
    from thetanet import reading

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(reading, "read_numbers", full)
    answer = client.post("/api/read", content=png_of(np.zeros((30, 30), np.uint8)), headers=PICTURE)
    assert answer.status_code == 422
    assert "memory" in answer.json()["detail"]
