"""Drawings of samples and of what a network says about them: images, mistakes, and how far to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.plots.axes import FAINT, INK, TITLE, Axes, axes_of

_RUST = "#c4511d"


def plot_images(
    X: npt.ArrayLike,
    shape: tuple[int, int] = (28, 28),
    labels: Sequence[Any] | None = None,
    columns: int = 10,
    title: str = "",
    ax: Axes = None,
) -> Axes:
    """Draw images in a grid, dark on light, each by its own largest value.

    Parameters
    ----------
    X : array of shape (n, h * w) or (n, h, w)
        The images; 0 is paper.
    shape : (h, w)
        Of one image, if rows are flat.
    labels : sequence of n texts, optional
        What to write under each image; may have several lines.
    columns : int
        Images in a row.
    title : str
        Title of the drawing.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If the rows are no images of this shape, or there is another number of labels.
    MissingExtraError
        If matplotlib is not installed.
    """
    pixels = np.asarray(X, dtype=np.float64)
    h, w = pixels.shape[1:] if pixels.ndim == 3 else shape
    if pixels.size == 0 or pixels.ndim not in (2, 3) or pixels[0].size != h * w:
        raise InputError(f"X has shape {pixels.shape}: give rows of {h} x {w} pixels, at least one")
    n = len(pixels)
    if labels is not None and len(labels) != n:
        raise InputError(f"labels has {len(labels)} texts for {n} images: give one each")
    columns = min(max(1, columns), n)
    lines, gap = ceil(n / columns), max(1, h // 14)
    texts = [] if labels is None else [str(label) for label in labels]
    below = max((1 + text.count("\n") for text in texts), default=0) * max(4, h // 4)
    grid = np.zeros((lines * columns, h + gap + below, w + gap))
    grid[:n, :h, :w] = (
        pixels.reshape(n, h, w) / np.maximum(pixels.reshape(n, -1).max(axis=1), 1e-300)[:, None, None]
    )
    picture = grid.reshape(lines, columns, *grid.shape[1:]).swapaxes(1, 2).reshape(lines * grid.shape[1], -1)
    wide = min(12.0, max(3.0, 0.8 * columns))
    ax = axes_of(ax, (wide, min(40.0, wide * picture.shape[0] / picture.shape[1]) + 0.5))
    ax.imshow(picture, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    for place, text in enumerate(texts):
        line, column = divmod(place, columns)
        x, y = column * (w + gap) + w / 2, line * grid.shape[1] + h + below / 2
        # Names of classes are text: "$10-$20" is no mathematics.
        ax.text(x, y, text, ha="center", va="center", fontsize=7, color=INK, parse_math=False)
    if title:
        ax.set_title(title, **TITLE)
    ax.set_axis_off()
    return ax


def plot_mistakes(
    net: Any,
    X: Any,
    y: npt.ArrayLike,
    n: int = 40,
    shape: tuple[int, int] | None = None,
    columns: int = 10,
    ax: Axes = None,
) -> Axes:
    """Draw the images that a classifier is wrong about, the surest mistakes first.

    Under each image stand its true label, the answer, and the probability of the answer.

    Parameters
    ----------
    net : classifier
        With `predict` and `predict_proba`, and `classes_`: ours, or any of scikit-learn's form.
    X : array or sparse matrix of shape (M, h * w), or array of shape (M, h, w)
        Images; 0 is paper.
    y : array of shape (M,)
        True labels.
    n : int
        How many to draw, at most.
    shape : (h, w), optional
        Of one image, if rows are flat; square if left out.
    columns : int
        Images in a row.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes
        Empty but for a sentence, if there are no mistakes.

    Raises
    ------
    InputError
        If the rows of X are no images, or y is not one label a sample.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> from thetanet import load_mnist, load_pretrained
    >>> from thetanet.plots import plot_mistakes
    >>> _, _, X_test, y_test = load_mnist()
    >>> plot_mistakes(load_pretrained(), X_test[:1500], y_test[:1500]).get_title(loc="left")
    '13 of 1,500 wrong, the surest first'
    """
    X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
    h, w = _image_shape(X, shape)
    if n < 1:
        raise InputError(f"n={n}: draw at least one mistake")
    M, y = X.shape[0], np.asarray(y)
    if y.shape != (M,):
        raise InputError(f"y has shape {y.shape} for {M} images: give one label each; not for multi-label")
    rows_of_X = X if len(X.shape) == 2 else X.reshape(M, -1)
    predicted = np.asarray(net.predict(rows_of_X))
    if predicted.shape != y.shape:
        raise InputError(f"net answers by rows of shape {predicted.shape[1:]}: give one of single labels")
    wrong = np.flatnonzero(predicted != y)
    if not wrong.size:
        ax = axes_of(ax, (4.6, 1.6))
        ax.text(0.5, 0.5, f"All {M:,} answers are right.", ha="center", va="center", fontsize=10, color=INK)
        ax.set_axis_off()
        return ax
    sure = np.asarray(net.predict_proba(rows_of_X[wrong])).max(axis=1)
    order = np.argsort(-sure, kind="stable")[:n]
    images = rows_of_X[wrong[order]]
    images = images.toarray() if hasattr(images, "toarray") else images
    labels = [f"{y[wrong[k]]}, not {predicted[wrong[k]]}\n{sure[k]:.1%}" for k in order]
    which = "the surest first" if len(order) == wrong.size else f"the {len(order)} surest"
    title = f"{wrong.size:,} of {M:,} wrong, {which}"
    return plot_images(images.reshape(-1, h, w), labels=labels, columns=columns, title=title, ax=ax)


def _image_shape(X: Any, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Return (h, w) of the images in the rows of X: what is given, what X has, or a square."""
    if len(X.shape) == 3 and X.shape[0] and shape in (None, X.shape[1:]):
        return int(X.shape[1]), int(X.shape[2])
    inputs = X.shape[1] if len(X.shape) == 2 else 0
    side = round(inputs**0.5)
    h, w = (side, side) if shape is None else shape
    if not inputs or not X.shape[0] or h < 1 or h * w != inputs:
        raise InputError(
            f"X has shape {tuple(X.shape)}: rows must be the pixels of images of shape {shape or '(n, n)'}; "
            "give shape=(h, w) if they are not square. Data that are no images have no gallery"
        )
    return h, w


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
    sure, good = _sure_and_right(confidence, right)
    ax = axes_of(ax, (4.6, 4.4))
    place = np.minimum((sure * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    shares = np.bincount(place, weights=good, minlength=bins) / np.maximum(counts, 1)
    ax.bar((np.arange(bins) + 0.5) / bins, shares, width=0.94 / bins, color=_RUST, alpha=0.8)
    ax.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
    for b in np.flatnonzero(counts):
        ax.text((b + 0.5) / bins, shares[b] + 0.015, f"{counts[b]:,}", ha="center", fontsize=7.5, color=INK)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.06)
    ax.set_xlabel("probability of the answer")
    ax.set_ylabel("share of right answers")
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_title(f"{int(good.sum()):,} of {good.size:,} right", **TITLE)
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
    sure, good = _sure_and_right(confidence, right)
    ax = axes_of(ax, (4.6, 4.0))
    from matplotlib.ticker import PercentFormatter

    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum(1 - good[order])
    answered = np.arange(1, sure.size + 1)
    last = np.append(np.diff(sure[order]) != 0, True)  # equally sure answers are given together
    ax.plot(answered[last] / sure.size, wrong[last] / answered[last], color=_RUST, linewidth=1.8)
    seen = [answered[wrong > 0].min(initial=sure.size) / sure.size]
    for threshold in (0.5, 0.9, 0.99):
        given = int((sure >= threshold).sum())
        if given:
            seen.append(given / sure.size)
            place = given / sure.size, wrong[given - 1] / given
            ax.plot(*place, "o", color=INK, markersize=4)
            ax.annotate(
                f"{threshold:g}", place, (-5, 5), textcoords="offset points", ha="right", fontsize=8.5
            )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylim(bottom=0)
    room = 0.1 * max(1 - min(seen), 0.01)
    ax.set_xlim(max(0, min(seen) - 2 * room), 1 + 0.5 * room)
    ax.set_xlabel("share of the samples that are answered")
    ax.set_ylabel("share of wrong answers among them")
    ax.grid(color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_title("If it answers only when sure", **TITLE)
    return ax


def _sure_and_right(confidence: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Any, Any]:
    sure, good = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != good.shape or sure.size == 0:
        raise InputError(f"confidence and right have shapes {sure.shape} and {good.shape}: both must be (M,)")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise InputError("confidence must lie in [0, 1]: give probabilities")
    return sure, good
