"""What several files of tests share: settings, and fixtures of the page and its server."""

import os

import pytest
from hypothesis import settings

# Before SciPy is imported: with it, scikit-learn's checks of array API inputs run instead of being skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# An example takes as long as a busy machine makes it take.
settings.register_profile("thetanet", deadline=None)
settings.load_profile("thetanet")


def pytest_configure(config):
    """Let the workers of pytest-xdist compile each kernel once."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from compiling import compile_once

        compile_once()


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    """A small data set, as an .npz file."""
    from serving import small_data

    return small_data(tmp_path_factory.mktemp("data") / "small.npz")


@pytest.fixture(scope="module")
def served(data_file):
    """A server of the page."""
    from serving import server

    with server(data_file) as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    """A browser."""
    from serving import browser

    with browser() as running:
        yield running


@pytest.fixture
def visit(chromium, served):
    """A visit to the page, without problems in the end."""
    from serving import Visit

    opened = Visit(chromium, served.address)
    yield opened
    opened.context.close()
    assert opened.problems == []


@pytest.fixture(scope="module")
def data(data_file):
    """The small data set."""
    from thetanet.data.dataset import open_dataset

    return open_dataset(data_file)


@pytest.fixture(scope="module")
def train(data):
    """The training samples of the small data set: X, y."""
    return data.training.read_all()


@pytest.fixture(scope="module")
def test(data):
    """The test samples of the small data set: X, y."""
    return data.test.read_all()


@pytest.fixture(scope="module")
def net(train):
    """A small network for the page."""
    from thetanet import ThetaNetClassifier

    return ThetaNetClassifier(hidden=20, epochs=2, random_state=0).fit(train.X, train.y)


@pytest.fixture
def client(net, data):
    """A client of the application itself, which serves `net`."""
    testclient = pytest.importorskip("fastapi.testclient")
    from thetanet.web.app import create_app

    with testclient.TestClient(create_app(net, "small", data), base_url="http://localhost") as started:
        yield started
