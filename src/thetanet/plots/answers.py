"""Drawings of samples and of what a network says about them: images in a grid, and how far to believe it."""

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
        What to write under each image.
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
    below = 0 if labels is None else max(4, h // 4)
    grid = np.zeros((lines * columns, h + gap + below, w + gap))
    grid[:n, :h, :w] = (
        pixels.reshape(n, h, w) / np.maximum(pixels.reshape(n, -1).max(axis=1), 1e-300)[:, None, None]
    )
    picture = grid.reshape(lines, columns, *grid.shape[1:]).swapaxes(1, 2).reshape(lines * grid.shape[1], -1)
    wide = min(12.0, max(3.0, 0.8 * columns))
    ax = axes_of(ax, (wide, min(40.0, wide * picture.shape[0] / picture.shape[1]) + 0.5))
    ax.imshow(picture, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    for place, label in enumerate([] if labels is None else labels):
        line, column = divmod(place, columns)
        x, y = column * (w + gap) + w / 2, line * grid.shape[1] + h + below / 2
        ax.text(x, y, str(label), ha="center", va="center", fontsize=7, color=INK)
    if title:
        ax.set_title(title, **TITLE)
    ax.set_axis_off()
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
    sure, good = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != good.shape or sure.size == 0:
        raise InputError(f"confidence and right have shapes {sure.shape} and {good.shape}: both must be (M,)")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise InputError("confidence must lie in [0, 1]: give probabilities")
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
