"""Grids of images: samples, mistakes of a classifier, weights of hidden units."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.plots.axes import INK, Axes, prepare_axes
from thetanet.theta import Theta


def plot_images(
    X: npt.ArrayLike,
    shape: tuple[int, int] = (28, 28),
    labels: Sequence[Any] | None = None,
    columns: int = 10,
    title: str = "",
    ax: Axes = None,
) -> Axes:
    """Draw images in a grid, dark on light, each scaled by its largest value.

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
    ax = prepare_axes(ax, (wide, min(40.0, wide * picture.shape[0] / picture.shape[1]) + 0.5), title)
    ax.imshow(picture, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    for place, text in enumerate(texts):
        line, column = divmod(place, columns)
        x, y = column * (w + gap) + w / 2, line * grid.shape[1] + h + below / 2
        # Names of classes are text: "$10-$20" is no mathematics.
        ax.text(x, y, text, ha="center", va="center", fontsize=7, color=INK, parse_math=False)
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
        ax = prepare_axes(ax, (4.6, 1.6))
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


def plot_hidden_units(
    theta: Theta,
    shape: tuple[int, int] = (28, 28),
    units: Sequence[int] | None = None,
    columns: int | None = None,
    ax: Axes = None,
) -> Axes:
    """Draw the weights W1[:, j] of the hidden units as a grid of pictures.

    Blue weights are negative, red ones positive, white is zero; each unit is scaled by its
    largest weight. All units are one image, so that hundreds of them are drawn at once.

    Parameters
    ----------
    theta : Theta
        The network.
    shape : (rows, columns) of one input picture
        Its product must be D_I.
    units : sequence of int, optional
        Which hidden units, counted from 0, in this order. All of them if None.
    columns : int, optional
        Pictures in a row. A grid a little wider than high if None.
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If `shape` does not fit the inputs, a unit does not exist, or `columns` is below 1.
    MissingExtraError
        If matplotlib is not installed.
    """
    rows, width = shape
    if rows < 1 or width < 1 or rows * width != theta.D_I:
        raise InputError(
            f"shape={tuple(shape)} has {rows * width} pixels, but theta has D_I={theta.D_I} inputs: "
            "give the (rows, columns) of one input picture"
        )
    chosen = np.arange(theta.D_H) if units is None else np.asarray(units)
    if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu":
        raise InputError(f"units={units!r}: must be a list of at least one whole number")
    if chosen.min() < 0 or chosen.max() >= theta.D_H:
        raise InputError(
            f"units goes from {chosen.min()} to {chosen.max()}: the hidden units are 0 to {theta.D_H - 1}"
        )
    if columns is None:
        columns = ceil(1.2 * max(1, isqrt(chosen.size)))
    if columns < 1:
        raise InputError(f"columns={columns}: must be at least 1")
    columns = min(columns, chosen.size)
    mosaic = _make_mosaic(np.asarray(theta.W1, dtype=np.float64)[:, chosen], rows, width, columns)
    lines = ceil(chosen.size / columns)
    wide = min(10.0, max(4.4, 0.75 * columns))
    size = wide, min(12.0, wide * (lines * rows) / (columns * width)) + 0.65
    count = "all" if units is None else f"{chosen.size} of"
    ax = prepare_axes(ax, size, f"Weights into {count} {theta.D_H} hidden units")
    from matplotlib import colormaps

    # Over: the gaps. Bad: the rest of the last line.
    colours = colormaps["RdBu_r"].with_extremes(over="#8c8c8c", bad=(1, 1, 1, 0))
    # Mixing colours, not weights, keeps the gaps grey where the figure has fewer pixels than the image.
    ax.imshow(mosaic, cmap=colours, vmin=-1, vmax=1, interpolation="antialiased", interpolation_stage="rgba")
    ax.set_xlabel("blue negative, red positive, each unit by its largest weight", fontsize=9, color=INK)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def _image_shape(X: Any, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Return (h, w) of the images in the rows of X: `shape`, the shape of X, or a square."""
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


def _make_mosaic(weights: npt.NDArray[np.float64], rows: int, width: int, columns: int) -> Any:
    """Return the columns of `weights` as a grid of pictures: gaps are 2, cells without a unit masked."""
    gap = max(1, round(0.05 * max(rows, width)))
    lines = ceil(weights.shape[1] / columns)
    largest = np.abs(weights).max(axis=0)
    scaled = weights / np.where(largest > 0, largest, 1)
    grid = np.full((lines * columns, rows + gap, width + gap), np.nan)
    grid[: weights.shape[1]] = 2.0
    grid[: weights.shape[1], :rows, :width] = scaled.T.reshape(-1, rows, width)
    mosaic = grid.reshape(lines, columns, rows + gap, width + gap).swapaxes(1, 2)
    flat = mosaic.reshape(lines * (rows + gap), columns * (width + gap))[:-gap, :-gap]
    return np.ma.masked_invalid(flat)
