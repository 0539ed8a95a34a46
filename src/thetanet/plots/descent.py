"""Drawings of descent: methods side by side, and the path of one of them on the error surface."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.network import error as error_of
from thetanet.plots.axes import FAINT, INK, TITLE, Axes, axes_of
from thetanet.theta import Theta

# Told apart by colour-blind people, and by line style where there are more.
_COLOURS = ("#1f5a92", "#c4511d", "#2f855a", "#8a5fb0", "#b8860b", "#3b9ab2", "#b03060", "#6b6b6b")
_STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)))
_X = {"passes": "passes over the data", "seconds": "seconds", "samples": "samples seen", "epoch": "epoch"}
_Y = {
    "error": "E per sample, training",
    "val_error": "E per sample, validation",
    "accuracy": "share of errors, training",
    "val_accuracy": "share of errors, validation",
}


def plot_methods(
    histories: Mapping[str, Mapping[str, Sequence[Any]]],
    x: str = "passes",
    y: str = "error",
    M: int | None = None,
    ax: Axes = None,
) -> Axes:
    """Draw the error of several trainings side by side, on a logarithmic scale.

    Passes are the fair scale where one iteration of a method looks at the data several times, as a line
    search does. The legend has the order in which the curves end.

    Parameters
    ----------
    histories : dict of name to `history_`
        As a fitted classifier keeps it: lists "samples" (seen so far), "seconds", "epoch", "error", ...
    x : "passes", "seconds", "samples" or "epoch"
        Against what.
    y : "error", "val_error", "accuracy" or "val_accuracy"
        What; an accuracy is drawn as the share of errors. Epochs without a measurement are bridged.
    M : int, optional
        Number of training samples, which make a pass. If left out, the largest number that divides all
        numbers of samples seen: right if any iteration of any method took just one pass. It is written on
        the axis.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If there is no history, one lacks the lists, or x or y is another word.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> from thetanet import ThetaNetClassifier
    >>> from thetanet.plots import plot_methods
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> fit = lambda method: ThetaNetClassifier(2, descent=method, epochs=9, random_state=0).fit(X, y)
    >>> ax = plot_methods({method: fit(method).history_ for method in ("gd", "lbfgs")})
    >>> ax.get_xlabel()
    'passes over the data (M = 4)'
    """
    for name, word, known in (("x", x, _X), ("y", y, _Y)):
        if word not in known:
            raise InputError(f"{name}={word!r}: must be one of {', '.join(known)}")
    if not isinstance(histories, Mapping) or not histories:
        raise InputError('histories must be a dict of at least one history: {"adam": net.history_, ...}')
    column = "samples" if x == "passes" else x
    curves = {
        name: (_numbers(name, history, column), _numbers(name, history, y))
        for name, history in histories.items()
    }
    label = _X[x]
    if x == "passes":
        M = _samples_of_a_pass(curves) if M is None else M
        if M < 1:
            raise InputError(f"M={M}: the number of training samples is at least 1")
        label += f" (M = {M:,})"
    ax = axes_of(ax, (7.2, 4.4))
    from matplotlib.ticker import LogFormatter

    ends = []
    for place, (name, (seen, values)) in enumerate(curves.items()):
        if seen.size != values.size:
            raise InputError(f"history of {name!r}: {seen.size} values of {column!r}, {values.size} of {y!r}")
        values = 1 - values if y.endswith("accuracy") else values
        measured = np.isfinite(values)
        seen, values = seen[measured], np.where(values > 0, values, np.nan)[measured]  # no logarithm of zero
        (line,) = ax.plot(
            seen / (M if x == "passes" and M is not None else 1),
            values,
            color=_COLOURS[place % len(_COLOURS)],
            linestyle=_STYLES[place // len(_COLOURS) % len(_STYLES)],
            linewidth=1.7,
            marker="o" if values.size <= 20 else None,
            markersize=3,
            label=str(name),
        )
        ends.append((-values[-1] if values.size and np.isfinite(values[-1]) else np.inf, place, line))
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(LogFormatter())
    ax.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.2, 0.5)))
    ax.set_xlim(left=0)
    ax.set_xlabel(label)
    ax.set_ylabel(_Y[y])
    ax.set_title("Error of the methods", **TITLE)
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    handles = [line for *_, line in sorted(ends, key=lambda end: end[:2])]
    for text in ax.legend(handles=handles, fontsize=9, framealpha=0.9).get_texts():
        text.set_parse_math(False)  # a name, no mathematics
    return ax


def _numbers(name: Any, history: Any, column: str) -> npt.NDArray[np.float64]:
    values = history.get(column) if isinstance(history, Mapping) else None
    if values is None or not any(value is not None for value in values):
        raise InputError(f"history of {name!r} has no {column!r}: give net.history_ of a training that has")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _samples_of_a_pass(curves: Mapping[str, Any]) -> int:
    counts = np.concatenate([seen for seen, _ in curves.values()])
    if not (np.isfinite(counts).all() and (counts >= 1).all() and (counts == np.rint(counts)).all()):
        raise InputError('"samples" must hold whole numbers, at least 1: give histories as net.history_ is')
    return gcd(*(int(count) for count in counts))


@dataclass(frozen=True)
class PathPlane:
    """The plane through the end of a path, along its two principal directions.

    Attributes
    ----------
    end : array of shape (P,)
        Where the path ends: the point (0, 0) of the plane.
    directions : array of shape (2, P)
        Orthonormal; the start of the path has coordinates that are not negative.
    along : array of shape (n, 2)
        The points of the path, projected on the plane.
    share : array of shape (2,)
        How much of the path's variance lies in either direction.
    """

    end: npt.NDArray[np.float64]
    directions: npt.NDArray[np.float64]
    along: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]

    @classmethod
    def of(cls, path: Sequence[Any]) -> PathPlane:
        """Find the plane by singular value decomposition of the centred path (Li et al. 2018, section 7)."""
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
        share = np.square(sizes[:2]) / np.square(sizes).sum()
        return cls(points[-1], directions, (points - points[-1]) @ directions.T, share)

    def at(self, s: float, t: float) -> npt.NDArray[np.float64]:
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
    plane = PathPlane.of(path)
    if grid < 3 or margin < 0:
        raise InputError(f"grid={grid}, margin={margin}: must be at least 3 and 0")
    like = path[0] if isinstance(path[0], Theta) else None
    evaluate = _error_per_sample(plane, like, X, L) if error is None else _in_order(error, like)
    s, t = (_through_zero(column, grid, margin) for column in plane.along.T)
    points = [plane.at(a, b) for b in t for a in s]
    E = np.asarray([*evaluate(points), *evaluate([plane.end])], dtype=np.float64)
    surface, last = np.ma.masked_invalid(E[:-1].reshape(grid, grid)), E[-1]
    if not surface.count():
        raise InputError("the error is not finite anywhere on the plane: check X, L or error")

    ax = axes_of(ax, (6.4, 5.0))
    low, high = float(surface.min()), float(surface.max())
    steep = low > 0 and high > 10 * low
    levels = np.geomspace(low, high, 22) if steep else np.linspace(low, high, 22)
    if high > low:
        ax.contourf(s, t, surface, levels=levels, cmap="Blues", norm="log" if steep else None, alpha=0.75)
        lines = ax.contour(s, t, surface, levels=levels[1:-1:2], colors=INK, linewidths=0.5, alpha=0.6)
        ax.clabel(lines, fmt="%.3g", fontsize=7)
    ax.plot(*plane.along.T, color="#c4511d", linewidth=1.5, marker="o", markersize=2.5, label="path")
    ax.plot(*plane.along[0], "o", color="white", markeredgecolor=INK, markersize=8, label="start")
    ax.plot(0, 0, "*", color="#c4511d", markeredgecolor="white", markersize=15, label=f"end, {last:.4g}")
    ax.set_xlabel(f"first direction ({plane.share[0]:.1%})")
    ax.set_ylabel(f"second direction ({plane.share[1]:.1%})")
    what = "E per sample" if error is None else "error"
    ax.set_title(f"{what}; two directions hold {plane.share.sum():.1%} of the path", **TITLE)
    ax.legend(fontsize=9, framealpha=0.9)
    return ax


def _through_zero(along: npt.NDArray[np.float64], grid: int, margin: float) -> npt.NDArray[np.float64]:
    """Return the coordinates of the grid in one direction; 0, the end of the path, is one of them."""
    low, high = along.min(), along.max()
    extent = high - low if high > low else 1.0
    low, high = low - margin * extent, high + margin * extent
    step = (high - low) / (grid - 2)  # room for the shift
    return np.asarray(step * (np.floor(low / step) + np.arange(grid)))


def _error_per_sample(
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


def _in_order(error: Callable[[Any], float], like: Theta | None) -> Callable[[list[Any]], list[float]]:
    def evaluate(points: list[Any]) -> list[float]:
        return [
            float(error(point if like is None else like.like(point.astype(like.dtype)))) for point in points
        ]

    return evaluate
