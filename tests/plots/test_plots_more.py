"""Drawings of methods side by side, of paths of descent, of mistakes and of rejection."""

import doctest
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import ConfusionMatrixDisplay

import thetanet.plots.answers
import thetanet.plots.descent
from thetanet import Theta, ThetaNetClassifier, error
from thetanet.errors import InputError, MissingExtraError
from thetanet.plots import (
    plot_confusion,
    plot_descent_path,
    plot_methods,
    plot_mistakes,
    plot_rejection,
    save_figure,
)
from thetanet.plots.descent import PathPlane

matplotlib = pytest.importorskip("matplotlib")

XOR = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]), np.array([[0.0, 1, 1, 0]])


def lines_of(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def learnt(descent="lbfgs", epochs=25):
    """The path of a training on XOR, and its history."""
    net = ThetaNetClassifier(4, descent=descent, epochs=epochs, scaling="none", random_state=0)
    path = [net.theta_.copy() for _ in net.iter_fit(XOR[0].T, XOR[1][0].astype(int))]
    return path, net.history_


# --- methods ----------------------------------------------------------------------------------------------


def test_methods_are_drawn_against_passes_over_the_data():
    histories = {name: learnt(name, 8)[1] for name in ("gd", "lbfgs", "adam")}
    ax = plot_methods(histories)
    for name, history in histories.items():
        line = lines_of(ax)[name]
        np.testing.assert_allclose(line.get_xdata(), np.array(history["samples"]) / 4)
        np.testing.assert_allclose(line.get_ydata(), history["error"])
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel().endswith("(M = 4)")
    ends = [histories[text.get_text()]["error"][-1] for text in ax.get_legend().get_texts()]
    assert ends == sorted(ends, reverse=True)  # as the curves lie


def test_methods_against_seconds_and_as_shares_of_errors():
    histories = {
        "a": {"seconds": [1, 2, 3], "val_accuracy": [0.5, None, 0.9], "samples": [8, 16, 24]},
        "b": {"seconds": [2, 4, 6], "val_accuracy": [0.5, 0.75, 1.0], "samples": [16, 40, 48]},
    }
    ax = plot_methods(histories, x="seconds", y="val_accuracy")
    np.testing.assert_allclose(lines_of(ax)["a"].get_xydata(), [[1, 0.5], [3, 0.1]])
    np.testing.assert_allclose(lines_of(ax)["b"].get_xydata(), [[2, 0.5], [4, 0.25], [6, np.nan]])
    ax = plot_methods(histories, y="val_accuracy", M=4)
    np.testing.assert_allclose(lines_of(ax)["b"].get_xdata(), [4, 10, 12])
    assert plot_methods(histories, y="val_accuracy").get_xlabel().endswith("(M = 8)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"histories": {}}, "at least one history"),
        ({"histories": [{"error": [1.0]}]}, "at least one history"),
        ({"histories": {"gd": {"error": [1.0]}}}, "'gd' has no 'samples'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [1, 2]}}}, "2 values of 'samples', 1 of 'error'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [0.5]}}}, "whole numbers"),
        ({"histories": {"gd": {"error": [1.0], "samples": [4]}}, "x": "hours"}, "x='hours'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [4]}}, "y": "loss"}, "y='loss'"),
        ({"histories": {"gd": {"error": [1.0], "samples": [4]}}, "M": 0}, "M=0"),
    ],
)
def test_methods_refuse_what_is_no_history(arguments, words):
    with pytest.raises(InputError, match=words):
        plot_methods(**arguments)


# --- path of descent --------------------------------------------------------------------------------------


def surface_of(ax):
    """The contour lines that are drawn: (level, points)."""
    from matplotlib.contour import QuadContourSet

    (lines,) = [c for c in ax.collections if isinstance(c, QuadContourSet) and not c.filled]
    return [
        (level, path.vertices)
        for level, path in zip(lines.levels, lines.get_paths(), strict=True)
        if len(path.vertices)
    ]


def test_the_principal_directions_of_a_path_in_a_plane_are_found_exactly():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((50, 2)))
    flat = rng.standard_normal((12, 2)) * [5, 1]
    path = flat @ basis.T + rng.standard_normal(50)
    plane = PathPlane.of(list(path))
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    assert plane.share.sum() == pytest.approx(1)
    variances = np.linalg.eigvalsh(np.cov(flat.T))[::-1]
    np.testing.assert_allclose(plane.share, variances / variances.sum())
    for point, (s, t) in zip(path, plane.along, strict=True):
        np.testing.assert_allclose(plane.at(s, t), point, atol=1e-12)
    assert (plane.along[0] >= 0).all()


def test_the_share_is_that_of_the_two_largest_of_all_variances():
    path = np.random.default_rng(1).standard_normal((30, 4)) @ np.diag([4.0, 3, 2, 1])
    plane = PathPlane.of(list(path))
    variances = np.sort(np.linalg.eigvalsh(np.cov(path.T)))[::-1]
    np.testing.assert_allclose(plane.share, variances[:2] / variances.sum())
    np.testing.assert_allclose(plane.at(0, 0), path[-1])


def test_contours_are_those_of_the_error_on_the_plane_through_the_end():
    path, _ = learnt()
    ax = plot_descent_path(path, *XOR)
    plane = PathPlane.of(path)
    lines = lines_of(ax)
    np.testing.assert_allclose(lines["path"].get_xydata(), plane.along)
    np.testing.assert_allclose(lines["start"].get_xydata()[0], plane.along[0])
    (end,) = [line for name, line in lines.items() if name.startswith("end")]
    assert end.get_xydata().tolist() == [[0, 0]]
    assert float(end.get_label().split()[-1]) == pytest.approx(error(path[-1], *XOR) / 4, rel=1e-3)
    share = float(re.search(r"hold ([\d.]+)%", ax.get_title(loc="left"))[1])
    assert share == pytest.approx(100 * plane.share.sum(), abs=0.1)


def test_contours_of_a_quadratic_are_where_the_quadratic_has_that_value():
    H = np.diag([1.0, 4.0, 9.0])
    path = [np.array([3.0, 2.0, 0.0]) * 0.8**k for k in range(3)] + [
        np.array([1.0, -1, 0]),
        np.zeros(3) + 0.1,
    ]
    plane = PathPlane.of(path)
    ax = plot_descent_path(path, error=lambda p: 1 + 0.5 * p @ H @ p, grid=81)
    seen = surface_of(ax)
    assert len(seen) > 5
    for level, points in seen:
        values = [1 + 0.5 * plane.at(s, t) @ H @ plane.at(s, t) for s, t in points]
        assert np.median(np.abs(np.array(values) / level - 1)) < 0.01


def test_flat_vectors_and_thetas_and_an_error_of_ones_own_draw_the_same():
    path, _ = learnt(epochs=6)
    one = plot_descent_path(path, *XOR, grid=9)
    two = plot_descent_path([theta.flat.copy() for theta in path], *XOR, grid=9)
    three = plot_descent_path(path, error=lambda theta: error(theta, *XOR) / 4, grid=9)
    for other in (two, three):
        for (level, points), (other_level, other_points) in zip(
            surface_of(one), surface_of(other), strict=True
        ):
            assert level == pytest.approx(other_level, rel=1e-4)
            np.testing.assert_allclose(points, other_points, atol=1e-3)


def test_a_straight_path_and_a_flat_surface_can_be_drawn(tmp_path):
    straight = [np.array([k, 2.0 * k, 0]) for k in range(4)]
    plane = PathPlane.of(straight)
    assert plane.share == pytest.approx([1, 0])
    assert abs(plane.directions[0] @ plane.directions[1]) < 1e-12
    for surface in (lambda p: p @ p, lambda p: 0.0, lambda p: np.inf if p[0] < 0 else p @ p):
        save_figure(plot_descent_path(straight, error=surface, grid=7), tmp_path / "path.png")


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ([], {}, "at least two"),
        ([np.ones(3)], {}, "at least two"),
        ([np.ones(3), np.ones(4)], {}, "at least two"),
        (["a", "b"], {}, "at least two"),
        ([np.ones(3), np.ones(3)], {}, "stays at one point"),
        ([np.ones(3), np.array([1, np.nan, 0])], {}, "not finite"),
        ([np.ones(17), np.zeros(17)], {}, "give X and L, or error"),
        ([np.ones(18), np.zeros(18)], {"X": XOR[0], "L": XOR[1]}, "no Theta with D_I=2 and D_O=1"),
        ([np.ones(17), np.zeros(17)], {"X": XOR[0], "L": XOR[1][0]}, r"must be \(D_I, M\)"),
        ([Theta.zeros(3, 2, 1), Theta.random(3, 2, 1)], {"X": XOR[0], "L": XOR[1]}, "D_I=3"),
        ([np.ones(17), np.zeros(17)], {"X": XOR[0], "L": XOR[1], "grid": 2}, "grid=2"),
        ([np.ones(3), np.zeros(3)], {"error": lambda p: np.nan}, "not finite anywhere"),
    ],
)
def test_descent_path_refuses_what_is_no_path(path, arguments, words):
    with pytest.raises(InputError, match=words):
        plot_descent_path(path, **arguments)


# --- mistakes ---------------------------------------------------------------------------------------------


class Bars:
    """Says which row of a 3 x 5 image has the most ink, and how sure it is: that row's share of the ink."""

    classes_ = np.array(["low", "middle", "top"])

    def predict_proba(self, X):
        rows = np.asarray(X.toarray() if hasattr(X, "toarray") else X, float).reshape(-1, 3, 5).sum(axis=2)
        return rows / rows.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@pytest.fixture
def bars():
    X = np.ones((6, 3, 5))
    X[np.arange(6), np.arange(6) % 3] += np.arange(1, 7)[:, None]
    y = np.array(["low", "top", "top", "middle", "middle", "low"])  # 1, 3 and 5 are wrong: the last is surest
    return X, y


@pytest.mark.parametrize("form", ["images", "rows", "sparse", "coo"])
def test_mistakes_stand_in_order_of_their_probability(bars, form):
    from scipy import sparse

    X, y = bars
    rows = X.reshape(6, -1)
    given = {"images": X, "rows": rows, "sparse": sparse.csr_array(rows), "coo": sparse.coo_matrix(rows)}[
        form
    ]
    ax = plot_mistakes(Bars(), given, y, shape=None if form == "images" else (3, 5))
    assert [text.get_text() for text in ax.texts] == [
        "low, not top\n77.8%",
        "middle, not low\n71.4%",
        "top, not middle\n60.0%",
    ]
    assert ax.get_title(loc="left") == "3 of 6 wrong, the surest first"
    np.testing.assert_allclose(ax.images[0].get_array()[:3, :5], X[5] / 7)
    ax = plot_mistakes(Bars(), X, y, n=1)
    assert (len(ax.texts), ax.get_title(loc="left")) == (1, "3 of 6 wrong, the 1 surest")


def test_a_network_without_mistakes_says_so(bars, tmp_path):
    X, _ = bars
    ax = plot_mistakes(Bars(), X, Bars().predict(X))
    assert [text.get_text() for text in ax.texts] == ["All 6 answers are right."]
    save_figure(ax, tmp_path / "none.png")


def test_mistakes_refuse_what_are_no_images_or_no_labels(bars):
    X, y = bars
    for wrong in (X.reshape(6, -1), X[0], X[:0], X.ravel()):
        with pytest.raises(InputError, match="pixels of images"):
            plot_mistakes(Bars(), wrong, y[: len(wrong)])
    with pytest.raises(InputError, match="pixels of images"):
        plot_mistakes(Bars(), X.reshape(6, -1), y, shape=(4, 4))
    with pytest.raises(InputError, match="one label each"):
        plot_mistakes(Bars(), X, np.zeros((6, 3)))
    with pytest.raises(InputError, match="n=0"):
        plot_mistakes(Bars(), X, y, n=0)


# --- rejection --------------------------------------------------------------------------------------------


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


# --- all --------------------------------------------------------------------------------------------------


def test_the_confusion_matrix_has_the_numbers_of_scikit_learns():
    matrix, labels = np.array([[50, 1, 0], [2, 48, 3], [0, 0, 7]]), ["a", "b", "c"]
    theirs = ConfusionMatrixDisplay(matrix, display_labels=labels).plot(ax=figure().subplots())
    ours = plot_confusion(matrix, labels)
    shown = {tuple(map(int, text.get_position())): text.get_text() for text in ours.texts}
    for (i, j), text in np.ndenumerate(theirs.text_):
        assert shown.get((j, i), "0") == text.get_text()
    for which in ("get_xticklabels", "get_yticklabels"):
        names = [[label.get_text() for label in getattr(ax, which)()] for ax in (ours, theirs.ax_)]
        assert names[0] == names[1] == labels


def figure():
    from matplotlib.figure import Figure

    return Figure()


def draw_all(bars, axes):
    path, history = learnt(epochs=5)
    X, y = bars
    one, two, three, four = axes
    return [
        plot_methods({"a": history}, ax=one),
        plot_descent_path(path, *XOR, grid=5, ax=two),
        plot_mistakes(Bars(), X, y, ax=three),
        plot_rejection([0.5, 0.9], [True, False], ax=four),
    ]


def test_all_draw_on_given_axes_alone(bars):
    drawn_on = figure()
    axes = drawn_on.subplots(2, 3).ravel()
    assert draw_all(bars, axes[:4]) == list(axes[:4])
    assert len(drawn_on.axes) == 6  # no colour bars or twins
    assert not any(ax.has_data() for ax in axes[4:])
    drawn_on.canvas.draw()


def test_pyplot_is_never_touched():
    code = (
        "import sys, thetanet.plots as p; assert not any(m.startswith('matplotlib') for m in sys.modules);"
        "assert not {'sklearn', 'numba', 'scipy'} & set(sys.modules);"
        "p.plot_methods({'a': {'error': [1.0], 'samples': [3]}}).figure.canvas.draw();"
        "p.plot_descent_path([[0, 0], [1, 2]], error=lambda p: p @ p, grid=5).figure.canvas.draw();"
        "p.plot_rejection([0.5], [True]).figure.canvas.draw();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, bars):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for draw in (
        lambda: plot_methods({"a": {"error": [1.0], "samples": [3]}}),
        lambda: plot_descent_path([[0, 0], [1, 2]], error=lambda p: p @ p, grid=5),
        lambda: plot_mistakes(Bars(), *bars),
        lambda: plot_rejection([0.5], [True]),
    ):
        with pytest.raises(MissingExtraError, match=r"thetanet\[plot\]"):
            draw()


@pytest.mark.parametrize("module", [thetanet.plots.answers, thetanet.plots.descent])
def test_examples_in_docstrings(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
