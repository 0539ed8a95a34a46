"""What the documents show is run: README, CONTRIBUTING, and the examples in docstrings."""

import doctest
import re
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

import thetanet.classifier.estimator
import thetanet.classifier.pretrained
import thetanet.images.deform
import thetanet.theta
import thetanet.training.recipes
from thetanet import ThetaNetClassifier

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
