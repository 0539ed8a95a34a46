"""Pictures of trainings and answers: which files there are, of arrays and of sources in parts."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from thetanet import Deform, ThetaNetClassifier, array_source
from thetanet.data.dataset import Dataset
from thetanet.errors import InputError
from thetanet.report.pictures import draw_answers, draw_training

pytest.importorskip("matplotlib")

X, y = load_digits(return_X_y=True)
X = X.astype(np.uint8)


@pytest.fixture(scope="module")
def net():
    return ThetaNetClassifier(hidden=5, epochs=3, random_state=0).fit(X[:1000], y[:1000])


def test_pictures_of_a_training(net, tmp_path):
    dataset = Dataset("digits", array_source(X[:1000], y[:1000], rows=7))
    drawn = draw_training(net.network_, net.history_, dataset, tmp_path / "new" / "folder")
    assert [path.name for path in drawn] == ["learning-curve.png", "hidden-units.png"]
    tested = Dataset("digits", dataset.training, lambda: array_source(X[1000:], y[1000:], rows=100))
    drawn = draw_training(net, net.history_, tested, tmp_path, Deform())
    names = ["learning-curve.png", "hidden-units.png", "deformed.png", "confusion.png"]
    assert [path.name for path in drawn] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_pictures_of_answers_in_parts_are_those_of_all_at_once(net, tmp_path):
    names = ["confusion.png", "reliability.png", "mistakes.png"]
    whole = draw_answers(net, X[1000:], y[1000:], folder=tmp_path / "whole")
    parts = draw_answers(net.network_, array_source(X[1000:], y[1000:], rows=90), folder=tmp_path / "parts")
    assert [path.name for path in whole] == [path.name for path in parts] == names
    for one, other in zip(whole, parts, strict=True):
        assert one.read_bytes() == other.read_bytes()
    right = net.predict(X) == y
    drawn = draw_answers(net, X[right], y[right], folder=tmp_path)
    assert [path.name for path in drawn] == names[:2]


def test_pictures_of_several_labels_a_sample_are_refused(tmp_path):
    several = np.stack([y > 4, y % 2], axis=1)
    net = ThetaNetClassifier(hidden=2, epochs=1).fit(X, several)
    with pytest.raises(InputError, match="one label a sample"):
        draw_answers(net, X, several, folder=tmp_path)
