"""Course of trainings: the learning curve of one, the errors of several methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.plots.axes import BLUE, RUST, Axes, prepare_axes

# Colour-blind people can tell them apart; line styles distinguish further curves.
_COLOURS = (BLUE, RUST, "#2f855a", "#8a5fb0", "#b8860b", "#3b9ab2", "#b03060", "#6b6b6b")
_STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)))
_X = {"passes": "passes over the data", "seconds": "seconds", "samples": "samples seen", "epoch": "epoch"}
_Y = {
    "error": "E per sample, training",
    "val_error": "E per sample, validation",
    "accuracy": "share of errors, training",
    "val_accuracy": "share of errors, validation",
}


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
    curves = _read_curves(history)
    epochs = curves.pop("epoch")
    ax = prepare_axes(ax, (7.2, 4.2), "Learning curve", "epoch", grid="y")
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    marker = "o" if epochs.size <= 20 else None
    lines = []
    right = None
    for name, values in curves.items():
        is_validation, is_accuracy = name.startswith("val_"), name.endswith("accuracy")
        if is_accuracy and right is None:
            right = ax.twinx()
        lines += (right if is_accuracy and right is not None else ax).plot(
            epochs,
            1 - values if is_accuracy else values,
            color=RUST if is_accuracy else BLUE,
            linestyle=(0, (4, 2)) if is_validation else "-",
            marker=marker,
            markersize=3.5,
            linewidth=1.8,
            label=("share of errors" if is_accuracy else "E per sample")
            + (", validation" if is_validation else ", training"),
        )
    ax.set_ylabel("E per sample", color=BLUE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _start_at_zero(ax)
    for side, axes, color in (("left", ax, BLUE), ("right", right, RUST)):
        if axes is None:
            continue
        axes.spines["top"].set_visible(False)
        axes.spines["right"].set_visible(right is not None)
        axes.spines[side].set_color(color)
        axes.tick_params(axis="y", colors=color)
    if right is not None:
        right.spines["left"].set_visible(False)
        right.set_ylabel("share of errors", color=RUST)
        right.yaxis.set_major_formatter(PercentFormatter(1.0))
        _start_at_zero(right)
    # On the topmost axes, so that no curve crosses the legend.
    (ax if right is None else right).legend(handles=lines, loc="upper right", framealpha=0.9, fontsize=9)
    return ax


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
        name: (_read_column(name, history, column), _read_column(name, history, y))
        for name, history in histories.items()
    }
    label = _X[x]
    if x == "passes":
        M = _samples_per_pass(curves) if M is None else M
        if M < 1:
            raise InputError(f"M={M}: the number of training samples is at least 1")
        label += f" (M = {M:,})"
    ax = prepare_axes(ax, (7.2, 4.4), "Error of the methods", label, _Y[y], grid="both")
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
    ax.spines[["top", "right"]].set_visible(False)
    handles = [line for *_, line in sorted(ends, key=lambda end: end[:2])]
    for text in ax.legend(handles=handles, fontsize=9, framealpha=0.9).get_texts():
        text.set_parse_math(False)  # a name, no mathematics
    return ax


def _read_curves(history: Mapping[str, Sequence[float] | None]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the curves of a history that has any, in the order of drawing."""
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


def _start_at_zero(ax: Axes) -> None:
    """Start the vertical axis at zero, the least error, unless values lie below."""
    if ax.dataLim.y0 >= 0:
        ax.set_ylim(bottom=0)


def _read_column(name: Any, history: Any, column: str) -> npt.NDArray[np.float64]:
    """Return one list of a history, NaN where an epoch has no measurement."""
    values = history.get(column) if isinstance(history, Mapping) else None
    if values is None or not any(value is not None for value in values):
        raise InputError(f"history of {name!r} has no {column!r}: give net.history_ of a training that has")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _samples_per_pass(curves: Mapping[str, Any]) -> int:
    """Return the largest number that divides all numbers of samples seen."""
    counts = np.concatenate([seen for seen, _ in curves.values()])
    if not (np.isfinite(counts).all() and (counts >= 1).all() and (counts == np.rint(counts)).all()):
        raise InputError('"samples" must hold whole numbers, at least 1: give histories as net.history_ is')
    return gcd(*(int(count) for count in counts))
