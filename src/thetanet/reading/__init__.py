"""Numbers in photographs and scans: strings of handwritten digits, in one or several lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import InputError
from thetanet.images.picture import Grey, unit_range
from thetanet.models.fitted import FittedNetwork, network_of
from thetanet.models.pretrained import model_in_package
from thetanet.reading.lines import lines_of, skew_of, turned, turned_back, turned_shape, without_rules
from thetanet.reading.paper import Page, page_of, reduced, strokes
from thetanet.reading.pieces import Mark, marks_of, usual_height, without_faint
from thetanet.reading.recognition import read_lines
from thetanet.reading.sense import writing

__all__ = ["Digit", "Reading", "read_numbers"]

_LARGE = 6_000_000  # pixels; larger pictures are averaged down first
_LARGEST = 24_000_000  # pixels of a turned page; only strips, far longer than wide, could be larger
_FINE = 6.0  # pixels; strokes of twice this width or more are averaged down
_FAINT = 0.33  # marks fainter than this share of the usual ink are no digits
_MOST = 5000  # candidates for a digit that are looked at, on a page


@dataclass(frozen=True, eq=False)
class Digit:
    """One digit of a reading.

    Attributes
    ----------
    label : str
        The class, or "?" if it was rejected.
    confidence : float
        How sure the networks are that this is one digit, and this one.
    probability : float
        Share of the answer among the classes; `predict_proba`.
    box : (top, left, bottom, right)
        Where it is: rows top to bottom - 1 and columns left to right - 1 of the picture.
    line : int
        Its line, from 0.
    frame : array of shape (28, 28), uint8
        What the network saw.
    """

    label: str
    confidence: float
    probability: float
    box: tuple[int, int, int, int]
    line: int
    frame: Grey


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read: the text of each line, and the digits in the same order."""

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
        Grey levels as `thetanet.images.picture.read_picture` returns them; also floats within 0 to 1, and
        booleans.
    net : fitted network of 784 inputs, optional
        The model in the package if None.
    reject_below : float
        Digits of a lower confidence are "?".

    Returns
    -------
    Reading
        Without lines if nothing is written there.

    Raises
    ------
    InputError
        If the array is not a picture, or the network is not fitted, or not for images of 28x28 pixels.
    """
    if not 0 <= reject_below <= 1:
        raise InputError(f"reject_below={reject_below!r}: is a confidence, between 0 and 1")
    levels = _at_least(8, unit_range(_at_least(2, np.asarray(grey))).astype(np.float32))
    net = _network(net)
    page, degrees, factor = level_page(levels)
    lines: list[str] = []
    digits: list[Digit] = []
    height, width = np.shape(grey)
    reduced_shape = tuple(-(-n // factor) for n in levels.shape)
    for numbers in writing(read_lines(page, marked_lines(page), net, _MOST)):
        texts = []
        for number in numbers:
            labels = [found.label if found.confidence >= reject_below else "?" for found in number]
            texts.append("".join(labels))
            for found, label in zip(number, labels, strict=True):
                own = turned_back(found.box, reduced_shape, degrees)
                box = (
                    min(own.top * factor, height - 1), min(own.left * factor, width - 1),
                    min(own.bottom * factor, height), min(own.right * factor, width),
                )  # fmt: skip
                digits.append(Digit(label, found.confidence, found.probability, box, len(lines), found.frame))
        lines.append(" ".join(texts))
    return Reading(lines, digits)


def _at_least(side: int, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a picture of at least this many rows and columns; the last ones are repeated."""
    if picture.ndim != 2 or not 0 < min(picture.shape) < side:
        return picture
    return np.pad(picture, [(0, max(0, side - n)) for n in picture.shape], mode="edge")


def _network(net: Any) -> FittedNetwork:
    network = FittedNetwork.from_model(model_in_package()) if net is None else network_of(net)
    if network.theta.D_I != 784:
        raise InputError(f"net takes {network.theta.D_I} inputs; pictures need a network for 28x28 images")
    return network


def level_page(levels: npt.NDArray[np.float32]) -> tuple[Page, float, int]:
    """Return the page turned so that lines are level, the angle, and by how much it was averaged down."""
    factor = int(np.ceil(np.sqrt(levels.size / _LARGE)))
    levels = reduced(levels, factor)
    page = page_of(levels)
    if page.stroke >= 2 * _FINE:
        more = int(page.stroke / _FINE)
        factor *= more
        page = Page(reduced(page.ink, more), page.floor, page.stroke / more)
    if page.stroke == 0:
        return page, 0.0, factor
    degrees = skew_of(strokes(page), page.stroke)
    if degrees and np.prod(turned_shape(page.ink.shape, degrees), dtype=float) > _LARGEST:
        degrees = 0.0  # most of it would be empty: no line of writing can fall so far on such a strip
    if degrees:
        page = Page(turned(page.ink, degrees), page.floor, page.stroke)
    return without_rules(page), degrees, factor


def marked_lines(page: Page) -> list[list[Mark]]:
    """Return the marks of each line, lines from top to bottom, marks from left to right."""
    marks = without_faint(marks_of(page, strokes(page)), _FAINT) if page.stroke else []
    if not marks:
        return []
    return [[marks[k] for k in line] for line in lines_of([mark.box for mark in marks], usual_height(marks))]
