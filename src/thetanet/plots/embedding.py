"""Plots as text in an HTML page: SVG in the colours and font of the page, or PNG as a data URL."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError, MissingExtraError
from thetanet.plots.axes import BLUE, FAINT, INK, RUST, Axes

# Colours of the plots and the custom properties of the page that replace them.
_COLOURS = {
    INK: "ink", "#000000": "ink", "#ffffff": "paper", FAINT: "line", "#cccccc": "line",
    BLUE: "accent", RUST: "rust",
}  # fmt: skip


def render_svg(axes: Axes, name: str) -> str:
    """Return the figure of `axes` as an <svg> element of an HTML page.

    Its colours are the page's custom properties (--ink, --paper, --line, --accent, --rust), its text is in
    the page's font, its size is that of the container.

    Parameters
    ----------
    axes : matplotlib Axes
        Axes of the figure.
    name : str
        A word unique among the plots of the page; identifiers in the SVG are derived from it.
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
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # would apply to all of the page
    # Matplotlib names the font by itself, older versions in one with its size.
    svg = re.sub(r"(font-family:|font: (?:\w+ )*[\d.]+px) [^;\"]*", r"\1 var(--sans)", svg)
    return re.sub("#[0-9a-f]{6}", lambda match: _replace_colour(match[0]), svg)


def _replace_colour(colour: str) -> str:
    """Return the custom property of a colour, or the colour if it has none."""
    return f"var(--{_COLOURS[colour]})" if colour in _COLOURS else colour


def render_png(axes: Axes, dpi: float = 150) -> str:
    """Return the figure of `axes` as a PNG in a data: URL, on white."""
    stream = io.BytesIO()
    axes.figure.savefig(
        stream, format="png", dpi=dpi, facecolor="white", bbox_inches="tight", pad_inches=0.02
    )
    return _make_data_url(stream.getvalue())


def render_pixels(image: npt.ArrayLike) -> str:
    """Return an image (0 is paper, dark its largest value) as a PNG in a data: URL, a pixel a number.

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
    return _make_data_url(stream.getvalue())


def _make_data_url(png: bytes) -> str:
    """Return a PNG as a data: URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
