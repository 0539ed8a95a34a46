"""What the documents show is run: README, CONTRIBUTING, docs/, and the examples in docstrings."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

import thetanet.classifier.estimator
import thetanet.classifier.pretrained
import thetanet.images.deform
import thetanet.theta
import thetanet.training.recipes
from thetanet import ThetaNetClassifier, load_mnist

ROOT = Path(__file__).parent.parent


def python_blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def test_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in python_blocks("README.md"):
        exec(block, names)
    assert 0.975 < float(capsys.readouterr().out.split()[0]) < 0.99
    assert names["gradient"].shape == (2, 3, 1)
    assert names["record"].val_accuracy > 0.97


def test_data(tmp_path, monkeypatch):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    table = pa.table({f"x{j}": X[:, j] for j in range(4)} | {"clicked": y})
    (tmp_path / "clicks").mkdir()
    for path in ("clicks/april.parquet", "clicks-may.parquet"):
        parquet.write_table(table, path)
    names = {}
    for block in python_blocks("docs/data.md"):
        exec(block, names)
    assert names["net"].history_["val_accuracy"][-1] > 0.9


def test_page():
    names = {}
    for block in python_blocks("docs/page.md"):
        exec(block, names)
    assert names["Y"].argmax() == 7


def test_reading(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    paper = np.full((60, 100), 255, np.uint8)
    paper[16:44, 36:64] -= load_mnist()[2][0].reshape(28, 28)
    image.fromarray(paper).save("page.jpg")
    names = {}
    for block in python_blocks("docs/reading.md"):
        exec(block, names)
    assert names["reading"].text == "7"


def test_a_method_of_ones_own():
    (block,) = python_blocks("CONTRIBUTING.md")
    names = {}
    exec(block, names)
    X, y = load_iris(return_X_y=True)
    net = ThetaNetClassifier(hidden=20, descent=names["Lion"](learning_rate=0.01), random_state=0).fit(X, y)
    assert net.score(X, y) > 0.9
    assert block.count("\n") < 40


@pytest.mark.parametrize(
    "module",
    [
        thetanet.theta,
        thetanet.classifier.estimator,
        thetanet.images.deform,
        thetanet.training.recipes,
        thetanet.classifier.pretrained,
    ],
)
def test_examples_in_docstrings(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
