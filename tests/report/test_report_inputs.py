"""The report takes samples, labels and histories in any usual form, and says what is wrong with others."""

import numpy as np
import pytest
from scipy import sparse

from thetanet import ThetaNetClassifier
from thetanet.errors import InputError
from thetanet.report.report import html_report

pytest.importorskip("matplotlib")
pandas = pytest.importorskip("pandas")

rng = np.random.default_rng(0)
X, y = rng.integers(0, 9, (60, 4)).astype(float), rng.integers(0, 2, 60)


@pytest.fixture(scope="module")
def net():
    return ThetaNetClassifier(hidden=2, epochs=3, random_state=0).fit(X, y)


@pytest.mark.parametrize("shape", [None, (2, 2)])
@pytest.mark.parametrize(
    "form", [pandas.DataFrame, sparse.coo_matrix, sparse.csc_array, sparse.csr_matrix, np.ndarray.tolist]
)
def test_samples_of_any_form_make_the_same_report(net, form, shape):
    expected = html_report(net, X, y, shape=shape, robust=shape is not None)
    found = html_report(net, form(X), y, shape=shape, robust=shape is not None)
    assert found.evaluation == expected.evaluation
    assert found.html.count("<img") == expected.html.count("<img")


def test_a_frame_with_other_row_names_shows_the_same_pictures():
    frame = pandas.DataFrame(X, columns=list("abcd"), index=range(900, 960))
    net = ThetaNetClassifier(hidden=2, epochs=3, random_state=0).fit(frame, y)
    assert html_report(net, frame, pandas.Series(y, index=frame.index), shape=(2, 2)).html.count("<img") > 2


@pytest.mark.parametrize("form", [list, pandas.Series, lambda y: y[:, None], lambda y: y[:, None].tolist()])
def test_labels_of_any_form_are_understood(net, form):
    assert html_report(net, X, form(y)).evaluation == html_report(net, X, y).evaluation


@pytest.mark.parametrize(
    "form",
    [
        lambda h: {name: np.array(values) for name, values in h.items()},
        lambda h: {name: tuple(values) for name, values in h.items()},
        pandas.DataFrame,
    ],
)
def test_histories_of_any_form_are_drawn(net, form):
    history = {"error": [0.7, 0.6, 0.5], "accuracy": [0.5, 0.5, 0.75], "val_error": [None] * 3}
    expected = html_report(net, X, y, history=history).html
    assert "Learning curve, 3 epochs: E per sample from 0.7 to 0.5" in expected
    assert html_report(net, X, y, history=form(history)).html == expected
    assert "Learning curve" not in html_report(net, X, y, history=form({"error": []})).html


@pytest.mark.parametrize("unknown", [[1, 2], 3, {"error": 5}, {"error": np.zeros((2, 2))}])
def test_what_is_no_history_is_named(net, unknown):
    with pytest.raises(InputError, match="history"):
        html_report(net, X, y, history=unknown)


def test_samples_that_are_no_rows_and_networks_without_theta_are_named(net):
    for wrong in (X[0], X.reshape(60, 2, 2), [[1.0, 2.0], [3.0]]):
        with pytest.raises(InputError, match="X"):
            html_report(net, wrong, y)
    for new in (net.network_.theta, ThetaNetClassifier()):
        with pytest.raises(InputError, match=r"(is no network|is not fitted yet); call fit"):
            html_report(new, X, y)
