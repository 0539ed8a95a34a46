"""Drawings of a network: its learning curve, its hidden units, its confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.plots.axes import FAINT, INK, TITLE, Axes, axes_of
from thetanet.theta import Theta

_ERROR, _SHARE = "#1f5a92", "#c4511d"  # blue for E, rust for the share of errors


def plot_learning_curve(history: Mapping[str, Sequence[float] | None], ax: Axes = None) -> Axes:
    """Draw the error E per sample (left axis) and the share of wrong answers (right axis) by epoch.

    Parameters
    ----------
    history : dict of equally long lists
        "error" and, if known, "accuracy" (0 to 1), "val_error", "val_accuracy"; a missing list
        may also be None. "epoch" numbers the epochs; without it they count from 1.
    ax : matplotlib Axes, optional
        Where to draw; its right axis is added to the same figure. A new figure if None.

    Returns
    -------
    matplotlib Axes
        The axes of E; the share of errors is on the twin axes behind `axes.figure.axes`.

    Raises
    ------
    InputError
        If there is no "error", or the lists differ in length or hold no epoch.
    MissingExtraError
        If matplotlib is not installed.
    """
    curves = _curves(history)
    epochs = curves.pop("epoch")
    ax = axes_of(ax, (7.2, 4.2))
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    marker = "o" if epochs.size <= 20 else None
    lines = []
    right = None
    for name, values in curves.items():
        held_out, share = name.startswith("val_"), name.endswith("accuracy")
        if share and right is None:
            right = ax.twinx()
        lines += (right if share and right is not None else ax).plot(
            epochs,
            1 - values if share else values,
            color=_SHARE if share else _ERROR,
            linestyle=(0, (4, 2)) if held_out else "-",
            marker=marker,
            markersize=3.5,
            linewidth=1.8,
            label=("share of errors" if share else "E per sample")
            + (", validation" if held_out else ", training"),
        )
    ax.set_title("Learning curve", **TITLE)
    ax.set_xlabel("epoch")
    ax.set_ylabel("E per sample", color=_ERROR)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    _from_zero(ax)
    for side, axes, color in (("left", ax, _ERROR), ("right", right, _SHARE)):
        if axes is None:
            continue
        axes.spines["top"].set_visible(False)
        axes.spines["right"].set_visible(right is not None)
        axes.spines[side].set_color(color)
        axes.tick_params(axis="y", colors=color)
    if right is not None:
        right.spines["left"].set_visible(False)
        right.set_ylabel("share of errors", color=_SHARE)
        right.yaxis.set_major_formatter(PercentFormatter(1.0))
        _from_zero(right)
    # On the topmost axes, so that no curve crosses the legend.
    (ax if right is None else right).legend(handles=lines, loc="upper right", framealpha=0.9, fontsize=9)
    return ax


def plot_hidden_units(
    theta: Theta,
    shape: tuple[int, int] = (28, 28),
    units: Sequence[int] | None = None,
    columns: int | None = None,
    ax: Axes = None,
) -> Axes:
    """Draw the weights W1[:, j] of the hidden units as a grid of pictures.

    Blue weights are negative, red ones positive, white is zero; each unit is scaled by its own
    largest weight. All the units are one image, so that hundreds of them draw at once.

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
    mosaic = _mosaic(np.asarray(theta.W1, dtype=np.float64)[:, chosen], rows, width, columns)
    lines = ceil(chosen.size / columns)
    wide = min(10.0, max(4.4, 0.75 * columns))
    ax = axes_of(ax, (wide, min(12.0, wide * (lines * rows) / (columns * width)) + 0.65))
    from matplotlib import colormaps

    # Over: the gaps. Bad: the rest of the last line.
    colours = colormaps["RdBu_r"].with_extremes(over="#8c8c8c", bad=(1, 1, 1, 0))
    # Mixing colours, not weights, keeps the gaps grey where the figure has fewer pixels than the image.
    ax.imshow(mosaic, cmap=colours, vmin=-1, vmax=1, interpolation="antialiased", interpolation_stage="rgba")
    count = "all" if units is None else f"{chosen.size} of"
    ax.set_title(f"Weights into {count} {theta.D_H} hidden units", **TITLE)
    ax.set_xlabel("blue negative, red positive, each unit by its largest weight", fontsize=9, color=INK)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def plot_confusion(matrix: npt.ArrayLike, labels: Sequence[Any], ax: Axes = None) -> Axes:
    """Draw a confusion matrix: row = true class, column = answer, number = how many samples.

    The colour shows the share within the row, on a root scale so that rare mistakes stay visible. The matrix
    is that of scikit-learn's `confusion_matrix`. Its ConfusionMatrixDisplay shows the same numbers, by the
    colour of the counts (mistakes of a good network are then as white as none), and through pyplot.

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
    ax = axes_of(ax, (side, side))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    places = np.arange(counts.shape[0])
    names = [str(label) for label in labels]
    ax.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    if places.size <= 30:  # beyond that the numbers would be too small to read
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = "white" if np.sqrt(share[i, j]) > 0.55 else INK
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
    ax.set_xlabel("answer of the network")
    ax.set_ylabel("true class")
    total = float(counts.sum())
    wrong = total - float(np.trace(counts))
    ax.set_title(
        f"{wrong:,.0f} of {total:,.0f} wrong ({wrong / total:.2%})" if total else "no samples", **TITLE
    )
    return ax


def _curves(history: Mapping[str, Sequence[float] | None]) -> dict[str, npt.NDArray[np.float64]]:
    """Check the history and return what it holds, in the order in which it is drawn."""
    names = ("epoch", "error", "val_error", "accuracy", "val_accuracy")
    curves = {}
    for name in names:
        values = history.get(name)
        if values is not None and any(v is not None for v in values):
            # Within a list, None stands for an epoch without a measurement.
            curves[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    if "error" not in curves:
        raise InputError(
            'history has no "error": nothing was learnt yet, or these are not the lists of a fit'
        )
    lengths = {name: values.size for name, values in curves.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"the lists of history differ in length: {lengths}")
    curves.setdefault("epoch", np.arange(1.0, curves["error"].size + 1))
    return curves


def _from_zero(ax: Axes) -> None:
    """Start the axis at zero, where no error is, unless its values lie below."""
    if ax.dataLim.y0 >= 0:
        ax.set_ylim(bottom=0)


def _mosaic(weights: npt.NDArray[np.float64], rows: int, width: int, columns: int) -> Any:
    """Lay the columns of `weights` side by side as pictures: gaps are 2, places without a unit masked."""
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
