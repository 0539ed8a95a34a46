"""Quality of a classifier's answers: confusion matrix, reliability, rejection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.plots.axes import INK, RUST, Axes, prepare_axes


def plot_confusion(matrix: npt.ArrayLike, labels: Sequence[Any], ax: Axes = None) -> Axes:
    """Draw a confusion matrix: row = true class, column = answer, number = how many samples.

    The colour shows the fraction within the row, on a square-root scale so that rare mistakes stay visible.
    The matrix is that of scikit-learn's `confusion_matrix`. Its ConfusionMatrixDisplay shows the same
    numbers, by the colour of the counts (mistakes of a good network are then as white as none), and through
    pyplot.

    Parameters
    ----------
    matrix : array of shape (D_O, D_O)
        Numbers of samples.
    labels : sequence of D_O names
        The classes, in the matrix's order.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the matrix is not square, holds negative numbers, or has other than one label a class.
    MissingExtraError
        If matplotlib is not installed.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise InputError(f"matrix has shape {counts.shape}: a confusion matrix is square")
    if counts.dtype.kind not in "biuf" or not np.isfinite(counts).all() or counts.min() < 0:
        raise InputError("matrix holds something else than numbers of samples (0, 1, 2, ...)")
    if len(labels) != counts.shape[0]:
        raise InputError(f"labels has {len(labels)} names for a matrix of {counts.shape[0]} classes")
    side = min(12.0, 2.2 + 0.45 * counts.shape[0])
    total = float(counts.sum())
    wrong = total - float(np.trace(counts))
    title = f"{wrong:,.0f} of {total:,.0f} wrong ({wrong / total:.2%})" if total else "no samples"
    ax = prepare_axes(ax, (side, side), title, "answer of the network", "true class")
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    places = np.arange(counts.shape[0])
    names = [str(label) for label in labels]
    ax.imshow(np.sqrt(fractions), cmap="Blues", vmin=0, vmax=1)
    if places.size <= 30:  # beyond that the numbers would be too small to read
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = "white" if np.sqrt(fractions[i, j]) > 0.55 else INK
            weight = "bold" if i == j else "normal"
            text = f"{counts[i, j]:g}" if counts[i, j] < 1e5 else f"{counts[i, j]:.1e}"
            ax.text(j, i, text, ha="center", va="center", color=color, fontsize=8.5, weight=weight)
    turn = 90 if max(map(len, names)) > 3 else 0
    ax.set_xticks(places, names, rotation=turn, parse_math=False)  # "$10-$20" is a name, no mathematics
    ax.set_yticks(places, names, parse_math=False)
    ax.set_xticks(places[1:] - 0.5, minor=True)
    ax.set_yticks(places[1:] - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    return ax


def plot_reliability(
    confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = 10, ax: Axes = None
) -> Axes:
    """Draw how often answers are right, against how sure the network is of them.

    Answers go into bins by confidence; bars are as wide as their bin, and the number of answers is written on
    each. On the diagonal a network would be as often right as it says.

    Parameters
    ----------
    confidence : array of shape (M,)
        Probability of the answer of each sample, `predict_proba(X).max(axis=1)`.
    right : array of shape (M,)
        Whether the answer is right.
    bins : int
        Number of bins of equal width between 0 and 1.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If both are not of the same length, at least one, or a confidence is not in [0, 1].
    MissingExtraError
        If matplotlib is not installed.
    """
    sure, good = _check_answers(confidence, right)
    title = f"{int(good.sum()):,} of {good.size:,} right"
    ax = prepare_axes(
        ax, (4.6, 4.4), title, "probability of the answer", "share of right answers", grid="both"
    )
    place = np.minimum((sure * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    accuracy = np.bincount(place, weights=good, minlength=bins) / np.maximum(counts, 1)
    ax.bar((np.arange(bins) + 0.5) / bins, accuracy, width=0.94 / bins, color=RUST, alpha=0.8)
    ax.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
    for b in np.flatnonzero(counts):
        ax.text((b + 0.5) / bins, accuracy[b] + 0.015, f"{counts[b]:,}", ha="center", fontsize=7.5, color=INK)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.06)
    return ax


def plot_rejection(confidence: npt.ArrayLike, right: npt.ArrayLike, ax: Axes = None) -> Axes:
    """Draw how many of the answers are wrong, if only the surest are given.

    Parameters
    ----------
    confidence : array of shape (M,)
        How sure the network is of each answer, `net.confidence(X)`.
    right : array of shape (M,)
        Whether the answer is right.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes
        The curve has one point for each different confidence; some thresholds are marked on it. The axis
        begins shortly before the first mistake.

    Raises
    ------
    InputError
        If both are not of the same length, at least one, or a confidence is not in [0, 1].
    MissingExtraError
        If matplotlib is not installed.
    """
    sure, good = _check_answers(confidence, right)
    ax = prepare_axes(
        ax, (4.6, 4.0), "If it answers only when sure", "share of the samples that are answered",
        "share of wrong answers among them", grid="both",
    )  # fmt: skip
    from matplotlib.ticker import PercentFormatter

    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum(1 - good[order])
    answered = np.arange(1, sure.size + 1)
    last = np.append(np.diff(sure[order]) != 0, True)  # equally sure answers are given together
    ax.plot(answered[last] / sure.size, wrong[last] / answered[last], color=RUST, linewidth=1.8)
    visible = [answered[wrong > 0].min(initial=sure.size) / sure.size]
    for threshold in (0.5, 0.9, 0.99):
        count = int((sure >= threshold).sum())
        if count:
            visible.append(count / sure.size)
            place = count / sure.size, wrong[count - 1] / count
            ax.plot(*place, "o", color=INK, markersize=4)
            ax.annotate(
                f"{threshold:g}", place, (-5, 5), textcoords="offset points", ha="right", fontsize=8.5
            )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylim(bottom=0)
    room = 0.1 * max(1 - min(visible), 0.01)
    ax.set_xlim(max(0, min(visible) - 2 * room), 1 + 0.5 * room)
    return ax


def _check_answers(confidence: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Any, Any]:
    """Return both as arrays of floats, after a check of shapes and range."""
    sure, good = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != good.shape or sure.size == 0:
        raise InputError(f"confidence and right have shapes {sure.shape} and {good.shape}: both must be (M,)")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise InputError("confidence must lie in [0, 1]: give probabilities")
    return sure, good
