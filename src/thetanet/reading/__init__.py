"""Numbers in photographs and scans: strings of handwritten digits, in one or several lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.data.formats.picture import Grey
from thetanet.errors import InputError
from thetanet.images.frame import scale_to_unit_range
from thetanet.models.fitted import FittedNetwork, network_of
from thetanet.models.pretrained import load_pretrained_model
from thetanet.reading.binarisation import Page, binarise, downsample, estimate_ink
from thetanet.reading.components import Component, estimate_height, find_components, remove_faint
from thetanet.reading.lines import group_into_lines, remove_rules
from thetanet.reading.plausibility import extract_numbers
from thetanet.reading.recognition import read_lines
from thetanet.reading.skew import compute_rotated_shape, estimate_skew, rotate, unrotate_box

__all__ = ["Digit", "Reading", "read_numbers"]

_LARGE = 6_000_000  # pixels; larger pictures are downsampled first
_LARGEST = 24_000_000  # pixels of a rotated page; only strips, far longer than wide, could be larger
_FINE = 6.0  # pixels; strokes of twice this width or more are downsampled
_FAINT = 0.33  # components fainter than this fraction of the usual ink are no digits
_MOST = 5000  # candidates that are scored, on a page


@dataclass(frozen=True, eq=False)
class Digit:
    """One digit of a reading.

    Attributes
    ----------
    label : str
        The class, or "?" if it was rejected.
    confidence : float
        Confidence of the networks that this is one digit, of this class.
    probability : float
        Probability of the label among the classes, as `predict_proba` returns it.
    box : (top, left, bottom, right)
        Its rows top to bottom - 1 and columns left to right - 1 in the picture.
    line : int
        Its line, from 0.
    frame : array of shape (28, 28), uint8
        The input of the network.
    """

    label: str
    confidence: float
    probability: float
    box: tuple[int, int, int, int]
    line: int
    frame: Grey


@dataclass(frozen=True, eq=False)
class Reading:
    """The result of reading a page: the text of each line, and the digits in the same order."""

    lines: list[str]
    digits: list[Digit]

    @property
    def text(self) -> str:
        """The lines, one below the other."""
        return "\n".join(self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the reading in JSON's types, without the frames."""
        return {
            "text": self.text,
            "lines": list(self.lines),
            "digits": [
                {
                    "label": digit.label,
                    "confidence": digit.confidence,
                    "probability": digit.probability,
                    "box": list(digit.box),
                    "line": digit.line,
                }
                for digit in self.digits
            ],
        }


def read_numbers(grey: npt.ArrayLike, net: Any = None, *, reject_below: float = 0.0) -> Reading:
    """Read the numbers on a page.

    Parameters
    ----------
    grey : array of shape (H, W)
        Grey levels as `thetanet.data.formats.picture.read_picture` returns them; also floats
        within 0 to 1, and booleans.
    net : fitted network of 784 inputs, optional
        The model in the package if None.
    reject_below : float
        Digits of a lower confidence are "?".

    Returns
    -------
    Reading
        Without lines if nothing is written on the page.

    Raises
    ------
    InputError
        If the array is not a picture, or the network is not fitted, or not for images of 28x28 pixels.
    """
    if not 0 <= reject_below <= 1:
        raise InputError(f"reject_below={reject_below!r}: must be a confidence between 0 and 1")
    levels = _pad_to(8, scale_to_unit_range(_pad_to(2, np.asarray(grey))).astype(np.float32))
    net = _check_network(net)
    page, degrees, factor = deskew_page(levels)
    lines: list[str] = []
    digits: list[Digit] = []
    height, width = np.shape(grey)
    reduced_shape = tuple(-(-n // factor) for n in levels.shape)
    for numbers in extract_numbers(read_lines(page, find_lines(page), net, _MOST)):
        texts = []
        for number in numbers:
            labels = [digit.label if digit.confidence >= reject_below else "?" for digit in number]
            texts.append("".join(labels))
            for digit, label in zip(number, labels, strict=True):
                original = unrotate_box(digit.box, reduced_shape, degrees)
                box = (
                    min(original.top * factor, height - 1), min(original.left * factor, width - 1),
                    min(original.bottom * factor, height), min(original.right * factor, width),
                )  # fmt: skip
                digits.append(Digit(label, digit.confidence, digit.probability, box, len(lines), digit.frame))
        lines.append(" ".join(texts))
    return Reading(lines, digits)


def _pad_to(side: int, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a picture padded to at least this many rows and columns by repeating the last ones."""
    if picture.ndim != 2 or not 0 < min(picture.shape) < side:
        return picture
    return np.pad(picture, [(0, max(0, side - n)) for n in picture.shape], mode="edge")


def _check_network(net: Any) -> FittedNetwork:
    """Return the network, that of the package if None, after a check of its inputs."""
    network = FittedNetwork.from_model(load_pretrained_model()) if net is None else network_of(net)
    if network.theta.D_I != 784:
        raise InputError(f"net takes {network.theta.D_I} inputs; pictures need a network for 28x28 images")
    return network


def deskew_page(levels: npt.NDArray[np.float32]) -> tuple[Page, float, int]:
    """Return the page rotated so that lines are horizontal, the angle, and the factor of downsampling."""
    factor = int(np.ceil(np.sqrt(levels.size / _LARGE)))
    levels = downsample(levels, factor)
    page = estimate_ink(levels)
    if page.stroke >= 2 * _FINE:
        more = int(page.stroke / _FINE)
        factor *= more
        page = Page(downsample(page.ink, more), page.floor, page.stroke / more)
    if page.stroke == 0:
        return page, 0.0, factor
    degrees = estimate_skew(binarise(page), page.stroke)
    if degrees and np.prod(compute_rotated_shape(page.ink.shape, degrees), dtype=float) > _LARGEST:
        degrees = 0.0  # most of it would be empty: no line of writing can fall so far on such a strip
    if degrees:
        page = Page(rotate(page.ink, degrees), page.floor, page.stroke)
    return remove_rules(page), degrees, factor


def find_lines(page: Page) -> list[list[Component]]:
    """Return the components of each line, lines from top to bottom, components from left to right."""
    components = remove_faint(find_components(page, binarise(page)), _FAINT) if page.stroke else []
    if not components:
        return []
    lines = group_into_lines([component.box for component in components], estimate_height(components))
    return [[components[k] for k in line] for line in lines]
