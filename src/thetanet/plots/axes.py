"""Axes to draw on: those that are given, or those of a figure that knows no windows and no pyplot."""

from __future__ import annotations

import io
import os
from functools import cache
from typing import Any

from thetanet.errors import InputError, MissingExtraError

Axes = Any  # matplotlib.axes.Axes, named only where matplotlib is imported

INK, FAINT = "#2b2b2b", "#d9d9d9"
TITLE: dict[str, Any] = {"fontsize": 12, "loc": "left", "pad": 10, "color": INK}


def save_figure(axes: Axes, path: str | os.PathLike[str], dpi: float = 150) -> None:
    """Write the figure of `axes` to a file; the path's ending (.png, .svg, .pdf) says in which format.

    Raises
    ------
    InputError
        If the format is unknown or the file cannot be written.
    """
    try:
        axes.figure.savefig(path, dpi=dpi, facecolor="white")
    except (ValueError, OSError) as error:
        raise InputError(f"{os.fspath(path)}: the figure cannot be written there: {error}") from error


def axes_of(ax: Axes, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure that belongs to no window."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plots", "plot") from error
    if ax is not None:
        return ax
    figure = _shown_in_notebooks(Figure)(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


@cache
def _shown_in_notebooks(Figure: Any) -> Any:
    """Return a class of figures that show themselves in a notebook, without pyplot's state."""

    class NotebookFigure(Figure):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            picture = io.BytesIO()
            self.savefig(picture, format="png", dpi=100)
            return picture.getvalue()

    return NotebookFigure
