"""The path of a descent on the error surface: its plane, the contours, and what is refused."""

import re

import numpy as np
import pytest

from thetanet import Theta, error
from thetanet.errors import InputError
from thetanet.plots import plot_descent_path, save_figure
from thetanet.plots.descent_path import PathPlane

pytest.importorskip("matplotlib")

XOR = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]), np.array([[0.0, 1, 1, 0]])


def lines_of(ax):
    return {line.get_label(): line for line in ax.get_lines()}


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
    plane = PathPlane.fit(list(path))
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    assert plane.explained.sum() == pytest.approx(1)
    variances = np.linalg.eigvalsh(np.cov(flat.T))[::-1]
    np.testing.assert_allclose(plane.explained, variances / variances.sum())
    for point, (s, t) in zip(path, plane.points, strict=True):
        np.testing.assert_allclose(plane.point(s, t), point, atol=1e-12)
    assert (plane.points[0] >= 0).all()


def test_the_share_is_that_of_the_two_largest_of_all_variances():
    path = np.random.default_rng(1).standard_normal((30, 4)) @ np.diag([4.0, 3, 2, 1])
    plane = PathPlane.fit(list(path))
    variances = np.sort(np.linalg.eigvalsh(np.cov(path.T)))[::-1]
    np.testing.assert_allclose(plane.explained, variances[:2] / variances.sum())
    np.testing.assert_allclose(plane.point(0, 0), path[-1])


def test_contours_are_those_of_the_error_on_the_plane_through_the_end(train_on_xor, xor):
    path, _ = train_on_xor()
    ax = plot_descent_path(path, *xor)
    plane = PathPlane.fit(path)
    lines = lines_of(ax)
    np.testing.assert_allclose(lines["path"].get_xydata(), plane.points)
    np.testing.assert_allclose(lines["start"].get_xydata()[0], plane.points[0])
    (end,) = [line for name, line in lines.items() if name.startswith("end")]
    assert end.get_xydata().tolist() == [[0, 0]]
    assert float(end.get_label().split()[-1]) == pytest.approx(error(path[-1], *xor) / 4, rel=1e-3)
    share = float(re.search(r"hold ([\d.]+)%", ax.get_title(loc="left"))[1])
    assert share == pytest.approx(100 * plane.explained.sum(), abs=0.1)


def test_contours_of_a_quadratic_are_where_the_quadratic_has_that_value():
    H = np.diag([1.0, 4.0, 9.0])
    path = [np.array([3.0, 2.0, 0.0]) * 0.8**k for k in range(3)] + [
        np.array([1.0, -1, 0]),
        np.zeros(3) + 0.1,
    ]
    plane = PathPlane.fit(path)
    ax = plot_descent_path(path, error=lambda p: 1 + 0.5 * p @ H @ p, grid=81)
    seen = surface_of(ax)
    assert len(seen) > 5
    for level, points in seen:
        values = [1 + 0.5 * plane.point(s, t) @ H @ plane.point(s, t) for s, t in points]
        assert np.median(np.abs(np.array(values) / level - 1)) < 0.01


def test_flat_vectors_and_thetas_and_an_error_of_ones_own_draw_the_same(train_on_xor, xor):
    path, _ = train_on_xor(epochs=6)
    one = plot_descent_path(path, *xor, grid=9)
    two = plot_descent_path([theta.flat.copy() for theta in path], *xor, grid=9)
    three = plot_descent_path(path, error=lambda theta: error(theta, *xor) / 4, grid=9)
    for other in (two, three):
        for (level, points), (other_level, other_points) in zip(
            surface_of(one), surface_of(other), strict=True
        ):
            assert level == pytest.approx(other_level, rel=1e-4)
            np.testing.assert_allclose(points, other_points, atol=1e-3)


def test_a_straight_path_and_a_flat_surface_can_be_drawn(tmp_path):
    straight = [np.array([k, 2.0 * k, 0]) for k in range(4)]
    plane = PathPlane.fit(straight)
    assert plane.explained == pytest.approx([1, 0])
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
