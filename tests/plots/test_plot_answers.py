"""Quality of a classifier's answers: confusion matrix, reliability, rejection."""

import numpy as np
import pytest
from sklearn.metrics import ConfusionMatrixDisplay

from thetanet.errors import InputError
from thetanet.plots import plot_confusion, plot_rejection, plot_reliability, save_figure

pytest.importorskip("matplotlib")


def test_confusion_shows_counts_names_and_the_share_of_errors():
    ax = plot_confusion([[50, 0], [2, 48]], ["cat", "dog"])
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {
        ((0, 0), "50"),
        ((0, 1), "2"),
        ((1, 1), "48"),
    }
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog"]
    assert "2.00%" in ax.get_title(loc="left")


@pytest.mark.parametrize("matrix", [np.zeros((3, 3), int), np.eye(3), [[7]], np.eye(31, dtype=int)])
def test_confusion_of_unusual_matrices(matrix, tmp_path):
    save_figure(plot_confusion(matrix, range(len(matrix))), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("matrix", "labels", "words"),
    [
        (np.ones((2, 3)), range(2), "square"),
        (np.zeros((0, 0)), [], "square"),
        ([[1, -1], [0, 1]], range(2), "numbers of samples"),
        ([[1, np.nan], [0, 1]], range(2), "numbers of samples"),
        (np.eye(2), range(3), "3 names for a matrix of 2"),
    ],
)
def test_confusion_refuses_what_is_no_confusion_matrix(matrix, labels, words):
    with pytest.raises(InputError, match=words):
        plot_confusion(matrix, labels)


def test_the_confusion_matrix_has_the_numbers_of_scikit_learns():
    from matplotlib.figure import Figure

    matrix, labels = np.array([[50, 1, 0], [2, 48, 3], [0, 0, 7]]), ["a", "b", "c"]
    theirs = ConfusionMatrixDisplay(matrix, display_labels=labels).plot(ax=Figure().subplots())
    ours = plot_confusion(matrix, labels)
    shown = {tuple(map(int, text.get_position())): text.get_text() for text in ours.texts}
    for (i, j), text in np.ndenumerate(theirs.text_):
        assert shown.get((j, i), "0") == text.get_text()
    for which in ("get_xticklabels", "get_yticklabels"):
        names = [[label.get_text() for label in getattr(ax, which)()] for ax in (ours, theirs.ax_)]
        assert names[0] == names[1] == labels


def test_reliability_shows_the_share_of_right_answers_in_each_bin():
    confidence = [0.05, 0.15, 0.15, 0.95, 0.95, 0.95, 1.0]
    right = [0, 1, 0, 1, 1, 0, 1]
    ax = plot_reliability(confidence, right)
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx([0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.75])
    assert [text.get_text() for text in ax.texts] == ["1", "2", "4"]
    assert ax.get_title(loc="left") == "4 of 7 right"
    for wrong in ([0.5, 1.2], [[0.5]], []):
        with pytest.raises(InputError, match="confidence"):
            plot_reliability(wrong, np.ones(np.shape(wrong)))
    with pytest.raises(InputError, match="shapes"):
        plot_reliability([0.5, 0.5], [True])


def test_rejection_gives_the_share_of_wrong_answers_among_the_surest():
    sure, right = [0.95, 0.6, 0.6, 0.3], [True, True, False, False]
    ax = plot_rejection(sure, right)
    curve = ax.get_lines()[0].get_xydata()
    np.testing.assert_allclose(
        curve, [[0.25, 0], [0.75, 1 / 3], [1, 0.5]]
    )  # those of 0.6 stand or fall together
    assert {text.get_text(): text.xy for text in ax.texts} == {
        "0.5": pytest.approx((0.75, 1 / 3)),
        "0.9": pytest.approx((0.25, 0)),
    }
    with pytest.raises(InputError, match="shapes"):
        plot_rejection([0.5], [True, False])
    with pytest.raises(InputError, match="probabilities"):
        plot_rejection([1.5], [True])
