"""Connected components of the ink, and their images in MNIST's frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thetanet.data.formats.picture import Grey
from thetanet.images.frame import frame_strokes
from thetanet.reading.binarisation import Ink, Mask, Page
from thetanet.reading.box import Box

MAX_COMPONENTS = 2000  # of a page, the largest; others are ignored


@dataclass(frozen=True, eq=False)
class Component:
    """A connected component of the ink.

    Attributes
    ----------
    box : Box
        On the rotated page.
    mask : array of shape (box.height, box.width), bool
        True on its ink.
    strength : float
        Mean ink.
    """

    box: Box
    mask: Mask
    strength: float


def find_components(page: Page, mask: Mask) -> list[Component]:
    """Return the connected components of a mask of strokes, without specks."""
    from scipy import ndimage

    parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return []
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    least = max(3.0, 0.6 * page.stroke**2)
    chosen = np.flatnonzero(area >= least)
    chosen = np.sort(chosen[np.argsort(-area[chosen], kind="stable")[:MAX_COMPONENTS]])
    slices = ndimage.find_objects(parts)
    components = []
    for k in chosen:
        where = slices[k]
        component_mask = parts[where] == k + 1
        box = Box(where[0].start, where[1].start, where[0].stop, where[1].stop)
        components.append(Component(box, component_mask, float(page.ink[where][component_mask].mean())))
    return components


def remove_faint(components: list[Component], fraction: float) -> list[Component]:
    """Return the components without those much fainter than the digits.

    These are stains, remains of rules, and print that shows through from behind.
    """
    if not components:
        return []
    strength = np.array([component.strength for component in components])
    weight = np.array([component.mask.sum() for component in components]) * strength
    order = np.argsort(strength)
    cumulative = np.cumsum(weight[order]) / weight.sum()
    usual = strength[order][np.searchsorted(cumulative, 0.5)]
    return [component for component in components if component.strength >= fraction * usual]


def estimate_height(components: Sequence[Component]) -> float:
    """Return the weighted median of the components' heights, weighted by the square root of their ink."""
    heights = np.array([component.box.height for component in components], dtype=float)
    weights = np.sqrt([component.mask.sum() for component in components])
    order = np.argsort(heights)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    return float(heights[order][np.searchsorted(cumulative, 0.5)])


def crop_ink(page: Page, box: Box) -> Ink:
    """Return the ink of the page in a box."""
    return page.ink[box.top : box.bottom, box.left : box.right]


def make_frame(page: Page, box: Box, mask: Mask) -> Grey:
    """Return the ink under a mask (box.height, box.width) in MNIST's frame."""
    from scipy import ndimage

    ink = crop_ink(page, box)
    fringe = max(1, round(max(mask.shape) / 20))
    near = ndimage.maximum_filter(mask, 2 * fringe + 1)
    visible = np.where(near, ink, 0.0)
    if page.stroke * 20 > 1.5 * max(mask.shape):  # too wide to vanish in the frame
        return frame_strokes(visible, mask, None)
    strength = float(np.percentile(ink[mask], 90))
    return frame_strokes(visible, mask, mask & (ink > strength / 2))
