"""The path of a descent on the error surface."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.network import error as error_of
from thetanet.plots.axes import INK, RUST, Axes, prepare_axes
from thetanet.theta import Theta


@dataclass(frozen=True)
class PathPlane:
    """The plane through the end of a path, along its two principal directions.

    Attributes
    ----------
    end : array of shape (P,)
        Where the path ends: the point (0, 0) of the plane.
    directions : array of shape (2, P)
        Orthonormal; the start of the path has coordinates that are not negative.
    points : array of shape (n, 2)
        The points of the path, projected on the plane.
    explained : array of shape (2,)
        Fraction of the path's variance along each direction.
    """

    end: npt.NDArray[np.float64]
    directions: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]
    explained: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, path: Sequence[Any]) -> PathPlane:
        """Return the plane, by singular value decomposition of the centred path (Li et al. 2018, section 7).

        Raises
        ------
        InputError
            If the path has fewer than two points, numbers that are not finite, or never moves.
        """
        try:
            points = np.array(
                [point.flat if isinstance(point, Theta) else point for point in path], dtype=np.float64
            )
        except (TypeError, ValueError):
            points = np.empty(0)
        if points.ndim != 2 or len(points) < 2 or points.shape[1] < 2:
            raise InputError(
                "path must be a list of at least two Thetas of one shape (or their flat vectors), such as "
                "theta.flat.copy() after each epoch"
            )
        if not np.isfinite(points).all():
            raise InputError("path holds numbers that are not finite: leave out what diverged")
        centred = points - points.mean(axis=0)
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        if not sizes[0] > 0:
            raise InputError("path stays at one point: give Thetas copied while they changed (flat.copy())")
        if sizes[1] <= 1e-12 * sizes[0]:  # a straight line: any direction across it will do
            across = np.random.default_rng(0).standard_normal(points.shape[1])
            across -= (across @ directions[0]) * directions[0]
            directions = np.stack([directions[0], across / np.linalg.norm(across)])
        directions = (
            directions[:2] * np.where(directions[:2] @ (points[0] - points[-1]) < 0, -1.0, 1.0)[:, None]
        )
        explained = np.square(sizes[:2]) / np.square(sizes).sum()
        return cls(points[-1], directions, (points - points[-1]) @ directions.T, explained)

    def point(self, s: float, t: float) -> npt.NDArray[np.float64]:
        """Return the point of the plane with the coordinates (s, t)."""
        return np.asarray(self.end + s * self.directions[0] + t * self.directions[1])


def plot_descent_path(
    path: Sequence[Any],
    X: Any = None,
    L: Any = None,
    error: Callable[[Any], float] | None = None,
    grid: int = 25,
    margin: float = 0.3,
    ax: Axes = None,
) -> Axes:
    """Draw a path of descent on the error surface: contours of E on the plane that holds most of the path.

    The plane goes through the end of the path, along the two principal directions of its points (Li et al.
    2018, "Visualizing the loss landscape of neural nets"). The contours are of E on that plane; points of the
    path are projected on it, so all but the last may have another E than the surface below them. The title
    says how much of the path's variance the two directions hold: how far to trust the picture.

    Parameters
    ----------
    path : sequence of Theta, or of their flat vectors
        Where descent went, at least two points, in order.
    X, L : arrays of shapes (D_I, M) and (D_O, M)
        Samples (columns) and targets: the contours are E / M, evaluated in parallel. A few thousand samples
        are enough for a picture.
    error : callable, instead of X and L
        The error of one point: gets a Theta if the path holds them, else a flat vector. Called in order.
    grid : int
        Evaluations of E along each side.
    margin : float
        How much of the plane to show around the path, as a share of its extent.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the path has fewer than two points or never moves, X and L do not fit it, or neither they nor
        `error` are given.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from thetanet import ThetaNetClassifier
    >>> from thetanet.plots import plot_descent_path
    >>> X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> net, path = ThetaNetClassifier(4, descent="lbfgs", epochs=30, scaling="none", random_state=0), []
    >>> for record in net.iter_fit(X, y):
    ...     path.append(net.theta_.flat.copy())
    >>> ax = plot_descent_path(path, X.T, y[None], grid=9)
    """
    plane = PathPlane.fit(path)
    if grid < 3 or margin < 0:
        raise InputError(f"grid={grid}, margin={margin}: must be at least 3 and 0")
    like = path[0] if isinstance(path[0], Theta) else None
    evaluate = _make_error_per_sample(plane, like, X, L) if error is None else _make_evaluator(error, like)
    s, t = (_grid_coordinates(column, grid, margin) for column in plane.points.T)
    points = [plane.point(a, b) for b in t for a in s]
    E = np.asarray([*evaluate(points), *evaluate([plane.end])], dtype=np.float64)
    surface, last = np.ma.masked_invalid(E[:-1].reshape(grid, grid)), E[-1]
    if not surface.count():
        raise InputError("the error is not finite anywhere on the plane: check X, L or error")

    name = "E per sample" if error is None else "error"
    ax = prepare_axes(
        ax, (6.4, 5.0), f"{name}; two directions hold {plane.explained.sum():.1%} of the path",
        f"first direction ({plane.explained[0]:.1%})", f"second direction ({plane.explained[1]:.1%})",
    )  # fmt: skip
    low, high = float(surface.min()), float(surface.max())
    steep = low > 0 and high > 10 * low
    levels = np.geomspace(low, high, 22) if steep else np.linspace(low, high, 22)
    if high > low:
        ax.contourf(s, t, surface, levels=levels, cmap="Blues", norm="log" if steep else None, alpha=0.75)
        lines = ax.contour(s, t, surface, levels=levels[1:-1:2], colors=INK, linewidths=0.5, alpha=0.6)
        ax.clabel(lines, fmt="%.3g", fontsize=7)
    ax.plot(*plane.points.T, color=RUST, linewidth=1.5, marker="o", markersize=2.5, label="path")
    ax.plot(*plane.points[0], "o", color="white", markeredgecolor=INK, markersize=8, label="start")
    ax.plot(0, 0, "*", color=RUST, markeredgecolor="white", markersize=15, label=f"end, {last:.4g}")
    ax.legend(fontsize=9, framealpha=0.9)
    return ax


def _grid_coordinates(along: npt.NDArray[np.float64], grid: int, margin: float) -> npt.NDArray[np.float64]:
    """Return the coordinates of the grid in one direction, 0 among them: the end of the path."""
    low, high = along.min(), along.max()
    extent = high - low if high > low else 1.0
    low, high = low - margin * extent, high + margin * extent
    step = (high - low) / (grid - 2)  # room for the shift
    return np.asarray(step * (np.floor(low / step) + np.arange(grid)))


def _make_error_per_sample(
    plane: PathPlane, like: Theta | None, X: Any, L: Any
) -> Callable[[list[Any]], list[float]]:
    """Return a function that evaluates E / M at many points at once."""
    if X is None or L is None:
        raise InputError("give X and L, or error=function: the contours are drawn of it")
    X, L = np.asarray(X), np.asarray(L)
    if X.ndim != 2 or L.ndim != 2:
        raise InputError(f"X and L have shapes {X.shape} and {L.shape}: must be (D_I, M) and (D_O, M)")
    dtype = np.float64 if like is None else like.dtype
    if like is None:
        D_H, rest = divmod(len(plane.end) - len(L), len(X) + 1 + len(L))
        if rest or D_H < 1:
            raise InputError(
                f"the path's points have {len(plane.end)} numbers, but no Theta with D_I={len(X)} and "
                f"D_O={len(L)} has: X and L need samples as columns"
            )
        shape = len(X), D_H, len(L)
    else:
        shape = like.shape
    X, L = X.astype(dtype, copy=False), L.astype(dtype, copy=False)

    def one(point: Any) -> float:
        return float(error_of(Theta.from_flat(point.astype(dtype), *shape), X, L)) / float(X.shape[1])

    def evaluate(points: list[Any]) -> list[float]:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, points))

    return evaluate


def _make_evaluator(error: Callable[[Any], float], like: Theta | None) -> Callable[[list[Any]], list[float]]:
    """Return a function that calls `error` for each point in order."""

    def evaluate(points: list[Any]) -> list[float]:
        return [
            float(error(point if like is None else like.like(point.astype(like.dtype)))) for point in points
        ]

    return evaluate
