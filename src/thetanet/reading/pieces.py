"""Pieces of ink: connected marks, and pieces of them in MNIST's frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thetanet.data.formats.picture import Grey
from thetanet.images.frame import frame_strokes
from thetanet.reading.lines import Box
from thetanet.reading.paper import Ink, Mask, Page

MOST_MARKS = 2000  # on a page; only the largest are looked at


@dataclass(frozen=True, eq=False)
class Mark:
    """Connected ink.

    Attributes
    ----------
    box : Box
        On the turned page.
    mask : array of shape (box.height, box.width), bool
        Where its ink is.
    strength : float
        Mean ink.
    """

    box: Box
    mask: Mask
    strength: float


def marks_of(page: Page, mask: Mask) -> list[Mark]:
    """Return the connected marks of a page; specks are left out."""
    from scipy import ndimage

    parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return []
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    least = max(3.0, 0.6 * page.stroke**2)
    chosen = np.flatnonzero(area >= least)
    chosen = np.sort(chosen[np.argsort(-area[chosen], kind="stable")[:MOST_MARKS]])
    slices = ndimage.find_objects(parts)
    marks = []
    for k in chosen:
        where = slices[k]
        own = parts[where] == k + 1
        box = Box(where[0].start, where[1].start, where[0].stop, where[1].stop)
        marks.append(Mark(box, own, float(page.ink[where][own].mean())))
    return marks


def without_faint(marks: list[Mark], share: float) -> list[Mark]:
    """Leave out marks much fainter than the digits: stains, what is left of rules, print from behind."""
    if not marks:
        return []
    strength = np.array([mark.strength for mark in marks])
    weight = np.array([mark.mask.sum() for mark in marks]) * strength
    order = np.argsort(strength)
    shares = np.cumsum(weight[order]) / weight.sum()
    usual = strength[order][np.searchsorted(shares, 0.5)]
    return [mark for mark in marks if mark.strength >= share * usual]


def usual_height(marks: Sequence[Mark]) -> float:
    """Return the height of most marks, those with much ink counting more."""
    heights = np.array([mark.box.height for mark in marks], dtype=float)
    weights = np.sqrt([mark.mask.sum() for mark in marks])
    order = np.argsort(heights)
    shares = np.cumsum(weights[order]) / weights.sum()
    return float(heights[order][np.searchsorted(shares, 0.5)])


def ink_of(page: Page, box: Box) -> Ink:
    """Return the ink in a box."""
    return page.ink[box.top : box.bottom, box.left : box.right]


def frame_of(page: Page, box: Box, mask: Mask) -> Grey:
    """Return the ink under a mask (box.height, box.width) in MNIST's frame."""
    from scipy import ndimage

    ink = ink_of(page, box)
    fringe = max(1, round(max(mask.shape) / 20))
    near = ndimage.maximum_filter(mask, 2 * fringe + 1)
    seen = np.where(near, ink, 0.0)
    if page.stroke * 20 > 1.5 * max(mask.shape):  # too wide to vanish in the frame
        return frame_strokes(seen, mask, None)
    strength = float(np.percentile(ink[mask], 90))
    return frame_strokes(seen, mask, mask & (ink > strength / 2))
