"""Axes and style of all drawings, and figures that need neither a window nor pyplot."""

from __future__ import annotations

import io
import os
from functools import cache
from typing import Any

from thetanet.errors import InputError, MissingExtraError

Axes = Any  # matplotlib.axes.Axes, named only where matplotlib is imported

INK, FAINT, BLUE, RUST = "#2b2b2b", "#d9d9d9", "#1f5a92", "#c4511d"


def save_figure(axes: Axes, path: str | os.PathLike[str], dpi: float = 150) -> None:
    """Write the figure of `axes` to a file, in the format of the path's ending (.png, .svg, .pdf).

    Raises
    ------
    InputError
        If the format is unknown or the file cannot be written.
    """
    try:
        axes.figure.savefig(path, dpi=dpi, facecolor="white")
    except (ValueError, OSError) as error:
        raise InputError(f"{os.fspath(path)}: the figure cannot be written there: {error}") from error


def prepare_axes(
    ax: Axes,
    size: tuple[float, float],
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    grid: str | None = None,
) -> Axes:
    """Return `ax`, or the axes of a new figure that belongs to no window, with title, labels and grid.

    Parameters
    ----------
    ax : matplotlib Axes, optional
        Where to draw. A new figure if None.
    size : (width, height)
        Size of a new figure, inches.
    title, xlabel, ylabel : str
        Texts; none if empty.
    grid : "x", "y" or "both", optional
        Along which axis to draw faint lines, behind the data. No grid if None.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plots", "plot") from error
    if ax is None:
        figure = _make_notebook_class(Figure)(figsize=size, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        ax = figure.add_subplot()
    if title:
        ax.set_title(title, fontsize=12, loc="left", pad=10, color=INK)
    if xlabel:
        ax.set_xlabel(xlabel)
    if ylabel:
        ax.set_ylabel(ylabel)
    if grid is not None:
        ax.grid(axis=grid, color=FAINT, linewidth=0.6)
        ax.set_axisbelow(True)
    return ax


@cache
def _make_notebook_class(Figure: Any) -> Any:
    """Return a class of figures that show themselves in a notebook, without pyplot's state."""

    class NotebookFigure(Figure):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            picture = io.BytesIO()
            self.savefig(picture, format="png", dpi=100)
            return picture.getvalue()

    return NotebookFigure
