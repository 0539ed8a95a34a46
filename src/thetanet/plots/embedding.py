"""Drawings as text, to stand in a page: SVG in its colours and font, or PNG as a data address."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError, MissingExtraError
from thetanet.plots.axes import FAINT, INK, Axes

# What the drawings are coloured with, and the page's names for it.
_COLOURS = {
    INK: "ink", "#000000": "ink", "#ffffff": "paper", FAINT: "line", "#cccccc": "line",
    "#1f5a92": "accent", "#c4511d": "rust",
}  # fmt: skip


def svg_text(axes: Axes, name: str) -> str:
    """Return the figure of `axes` as an <svg> element, to stand in an HTML page.

    Its colours are the page's custom properties (--ink, --paper, --line, --accent, --rust), its text is text
    in the page's font, its size that of its container.

    Parameters
    ----------
    axes : matplotlib Axes
        Of the figure.
    name : str
        A word that no other drawing of the page has; identifiers in the SVG are made of it.
    """
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        axes.figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(?<=<svg) [^>]*?(viewBox=\"[^\"]*\")[^>]*", r" \1", svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # such as axes_1, which every drawing has
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # would be that of the whole page
    # Matplotlib names the font by itself, older versions in one with its size.
    svg = re.sub(r"(font-family:|font: (?:\w+ )*[\d.]+px) [^;\"]*", r"\1 var(--sans)", svg)
    return re.sub("#[0-9a-f]{6}", lambda found: _colour(found[0]), svg)


def _colour(colour: str) -> str:
    return f"var(--{_COLOURS[colour]})" if colour in _COLOURS else colour


def png_text(axes: Axes, dpi: float = 150) -> str:
    """Return the figure of `axes` as a PNG in a data: address, on white."""
    stream = io.BytesIO()
    axes.figure.savefig(
        stream, format="png", dpi=dpi, facecolor="white", bbox_inches="tight", pad_inches=0.02
    )
    return _data(stream.getvalue())


def pixels_text(image: npt.ArrayLike) -> str:
    """Return an image (0 is paper, dark its largest value) as a PNG in a data: address, a pixel a number.

    Raises
    ------
    InputError
        If the image is not of shape (h, w).
    MissingExtraError
        If matplotlib is not installed.
    """
    pixels: Any = np.asarray(image, dtype=np.float64)
    if pixels.ndim != 2 or not pixels.size:
        raise InputError(f"image has shape {pixels.shape}: must be (h, w)")
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise MissingExtraError("plots", "plot") from error
    low, high = min(pixels.min(), 0.0), pixels.max()
    grey = 255 - np.rint(255 * (pixels - low) / (high - low if high > low else 1)).astype(np.uint8)
    stream = io.BytesIO()
    imsave(stream, np.repeat(grey[:, :, None], 3, axis=2), format="png")
    return _data(stream.getvalue())


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
