"""`evaluate`: the figures of a network on arrays and on sources in parts, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from thetanet import ThetaNetClassifier, array_source
from thetanet.data.source import Part, Rows, Source
from thetanet.errors import DataFileError, InputError
from thetanet.evaluation.figures import evaluate, iter_answers

rng = np.random.default_rng(11)
X = rng.integers(1, 256, size=(400, 12), dtype=np.uint8)
Y = (X[:, :4].astype(int).sum(axis=1) // 350).clip(0, 2)


@pytest.fixture(scope="module")
def net():
    return ThetaNetClassifier(hidden=4, epochs=2, random_state=0).fit(X, Y)


def test_figures_by_hand(net):
    threshold = float(np.median(net.confidence(X)))
    figures = evaluate(net, X, Y, reject_below=threshold)
    predicted, sure = net.predict(X), net.confidence(X) >= threshold
    measure = net.measure(X, Y)
    assert figures.samples == 400
    assert figures.mistakes == (predicted != Y).sum()
    assert figures.accuracy == 1 - figures.mistakes / 400
    assert figures.error == pytest.approx(measure.error / 400, rel=1e-5)
    assert 100 < figures.answered == sure.sum() < 300
    assert figures.accuracy_answered == pytest.approx((predicted == Y)[sure].mean(), rel=1e-12)
    confusion = [[int(((i == Y) & (predicted == j)).sum()) for j in range(3)] for i in range(3)]
    assert figures.confusion == confusion
    probability = net.predict_proba(X)
    wrong = np.flatnonzero(predicted != Y)
    order = wrong[np.argsort(-probability[wrong].max(axis=1), kind="stable")][:10]
    assert figures.worst == [
        {
            "row": row,
            "true": Y[row],
            "predicted": predicted[row],
            "probability": probability[row].max(),
            "probability_of_true": probability[row, Y[row]],
        }
        for row in order
    ]
    assert json.loads(json.dumps(figures.as_dict()))["confusion"] == confusion


@pytest.mark.parametrize("rows", [37, 399, 400])
def test_figures_in_parts_are_those_of_all_samples_at_once(net, rows):
    parts_read = []
    whole = evaluate(net, X, Y, worst=5, reject_below=0.57, keep_inputs=True)
    parts = evaluate(
        net.network_,
        array_source(X, Y, rows=rows),
        worst=5,
        reject_below=0.57,
        keep_inputs=True,
        progress=lambda done, total: parts_read.append((done, total)),
    )
    assert parts.confusion == whole.confusion
    if rows == 400:
        assert parts == whole
    assert [mistake["row"] for mistake in parts.worst] == [mistake["row"] for mistake in whole.worst]
    for name in ("samples", "mistakes", "answered", "labels", "accuracy", "accuracy_answered"):
        assert getattr(parts, name) == getattr(whole, name)
    for name in ("error", "calibration_error"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name))
    for figures in (parts, whole):
        np.testing.assert_array_equal(figures.worst_inputs, X[[m["row"] for m in figures.worst]])
    n = -(-400 // rows)
    assert parts_read == [(k + 1, n) for k in range(n)]
    assert "worst_inputs" not in parts.as_dict()


def test_all_mistakes_can_be_listed_and_none(net):
    figures = evaluate(net, array_source(X, Y, rows=150), worst=None)
    assert len(figures.worst) == figures.mistakes > 10
    assert sorted(m["row"] for m in figures.worst) == np.flatnonzero(net.predict(X) != Y).tolist()
    assert evaluate(net, X, Y, worst=0).worst == []


@pytest.mark.parametrize("kind", [pd.DataFrame, sparse.csr_array, sparse.coo_matrix, np.ndarray.tolist])
def test_any_kind_of_inputs_has_the_same_figures(net, kind):
    figures = evaluate(net, kind(X.astype(float)), Y, keep_inputs=True)
    expected = evaluate(net, X, Y)
    assert figures.error == pytest.approx(expected.error, rel=1e-9)
    assert figures.confusion == expected.confusion
    assert [m["row"] for m in figures.worst] == [m["row"] for m in expected.worst]
    np.testing.assert_array_equal(figures.worst_inputs, X[[m["row"] for m in figures.worst]])


def test_inputs_are_taken_by_name():
    frame = pd.DataFrame(X, columns=[f"p{j}" for j in range(12)])
    net = ThetaNetClassifier(hidden=3, epochs=2, random_state=0).fit(frame, Y)
    expected = evaluate(net, frame, Y)
    assert evaluate(net, frame[frame.columns[::-1]], Y) == expected
    assert evaluate(net, frame.to_numpy(), Y) == expected  # no names: the order counts
    with pytest.raises(DataFileError, match="p11"):
        evaluate(net, frame.rename(columns={"p11": "other"}), Y)


def test_labels_as_texts_and_several_labels_a_sample():
    texts = np.array(["no", "other", "0"])[Y]
    net = ThetaNetClassifier(hidden=3, epochs=2, random_state=0).fit(X, texts)
    figures = evaluate(net, X, texts.tolist())
    assert figures.labels == ["0", "no", "other"]
    assert np.sum(figures.confusion) == 400
    several = np.stack([Y > 0, X[:, 1] > 99], axis=1).astype(int)
    net = ThetaNetClassifier(hidden=3, epochs=2, random_state=0).fit(X, several)
    whole, parts = evaluate(net, X, several), evaluate(net, array_source(X, several, rows=90))
    assert whole.mistakes == parts.mistakes == (net.predict(X) != several).any(axis=1).sum()
    assert (whole.confusion, whole.calibration_error, whole.worst) == (None, None, [])


def test_one_propagation_gives_the_answers_of_each_method(net):
    [answers] = iter_answers(net, X, Y)
    np.testing.assert_array_equal(answers.predicted, net.predict(X))
    np.testing.assert_array_equal(answers.wrong, net.predict(X) != Y)
    np.testing.assert_allclose(answers.probability, net.predict_proba(X))
    np.testing.assert_allclose(answers.confidence, net.confidence(X))
    measure = net.measure(X, Y)
    assert answers.error == pytest.approx(measure.error, rel=1e-5)
    assert np.shares_memory(answers.rows.X, X)  # arrays in memory are not copied


class SkippingPart(Part):
    """Five rows; a sixth could not be read."""

    where = "a.csv"

    def read(self):
        from thetanet.data.skipping import Skipped

        self.skipped = Skipped(1, "line 6", "it holds text")
        return Rows(X[:5], Y[:5])


def test_rows_that_were_left_out_are_warned_of(net):
    with pytest.warns(UserWarning, match=r"a.csv: 1 bad row skipped, the first at line 6: it holds text"):
        assert evaluate(net, Source("a", [SkippingPart()])).samples == 5


def test_what_cannot_be_measured_is_refused(net):
    for arguments, message in (
        ((X[:, :9], Y), "has 9 inputs, but the model takes 12"),
        ((X, Y[:-1]), "one label a sample"),
        ((X, Y + 1), "not among the classes"),
        ((X, None), "y=None: give the labels"),
        ((X[0], Y), "X has shape"),
        (([[1.0, 2.0], [3.0]], [0, 1]), "rows of equal length"),
        ((array_source(X, Y), Y), "a source has its labels"),
        ((X[:0], Y[:0]), "no samples"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(net, *arguments)
    with pytest.raises(InputError, match="is not fitted yet; call fit"):
        evaluate(ThetaNetClassifier(), X, Y)
