"""Segmentation of a line into digits: the best path through a lattice of candidates.

The nodes of the lattice are the boundaries of a line: the left sides of its components, and the cuts through
them. An edge is a candidate: the ink between two boundaries. Each path from the first boundary to the last
segments the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from thetanet.reading.binarisation import Mask
from thetanet.reading.box import Box
from thetanet.reading.components import Component
from thetanet.reading.cuts import Cut

_WIDEST = 1.3  # a candidate's width, in heights of its line
_FRAGMENT = 0.5  # smaller parts of a component, in heights, are no candidates
_LEAST = 0.1  # a candidate's mean width, where cuts bound it
_SPECK = 0.3  # a smaller candidate, in heights, is no digit


@dataclass(frozen=True, eq=False)
class Boundary:
    """Where a digit may begin: at a cut of a component, or at the component's left side (no cut)."""

    component: int
    cut: Cut | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """Ink between two boundaries: an edge of the lattice.

    Attributes
    ----------
    first, last : int
        Its boundaries.
    box : Box
        On the rotated page.
    mask : array of shape (box.height, box.width), bool
        True on its ink.
    cost : float
        Cost of an implausible size, gaps and cuts if it is a digit; infinite if it can be none.
    skip_cost : float
        Cost of leaving it out as no digit; infinite if it consists of several parts.
    """

    first: int
    last: int
    box: Box
    mask: Mask
    cost: float
    skip_cost: float


def list_boundaries(cuts: Sequence[Sequence[Cut]]) -> list[Boundary]:
    """Return the boundaries of a line from the cuts of each of its components, from left to right."""
    return [Boundary(k, cut) for k, component_cuts in enumerate(cuts) for cut in (None, *component_cuts)] + [
        Boundary(len(cuts), None)
    ]


def generate_candidates(
    components: Sequence[Component], boundaries: Sequence[Boundary], height: float, most: int
) -> list[Candidate]:
    """Return the candidates of plausible size and gaps, and those that can only be left out.

    The list is empty if there are more than `most`: that is no line of digits.
    """
    candidates = []
    for first, start in enumerate(boundaries[:-1]):
        for last in range(first + 1, len(boundaries)):
            end = boundaries[last]
            if _is_too_wide(components, start, end, height):
                break
            candidate = _make_candidate(components, boundaries, first, last, height)
            if candidate is not None:
                candidates.append(candidate)
        if len(candidates) > most:
            return []
    return candidates


def find_best_path(
    candidates: Sequence[Candidate], confidence: npt.NDArray[np.float64], boundaries: int
) -> list[int]:
    """Return the indices of the digits on the path of the least sum of costs and -ln(confidence)."""
    best, choice = np.full(boundaries, np.inf), np.full(boundaries, -1)
    digit = np.zeros(boundaries, dtype=bool)
    best[0] = 0.0
    ending: list[list[int]] = [[] for _ in range(boundaries)]
    for k, candidate in enumerate(candidates):
        ending[candidate.last].append(k)
    for end in range(1, boundaries):
        for k in ending[end]:
            cost_before = best[candidates[k].first]
            as_digit = cost_before + candidates[k].cost - np.log(max(confidence[k], 1e-3))
            skipped = cost_before + candidates[k].skip_cost
            if min(as_digit, skipped) < best[end]:
                best[end], choice[end], digit[end] = min(as_digit, skipped), k, as_digit < skipped
    chosen, end = [], boundaries - 1
    while end > 0 and choice[end] >= 0:
        if digit[end]:
            chosen.append(int(choice[end]))
        end = candidates[choice[end]].first
    return chosen[::-1]


def _is_too_wide(components: Sequence[Component], start: Boundary, end: Boundary, height: float) -> bool:
    """Return whether no digit is so wide; a single component never is, as it may have to be left out."""
    if end.component == start.component + 1 and end.cut is None:
        return False
    left = components[start.component].box.left + (float(start.cut.path.min()) if start.cut else 0)
    if end.cut is not None:
        right = components[end.component].box.left + float(end.cut.path.min())
    else:
        right = components[end.component - 1].box.right
    return right - left > (_WIDEST + 0.3) * height


def _make_candidate(
    components: Sequence[Component], boundaries: Sequence[Boundary], first: int, last: int, height: float
) -> Candidate | None:
    """Return the candidate between two boundaries, or None if its ink or size cannot be a digit's."""
    start, end = boundaries[first], boundaries[last]
    stop = end.component if end.cut is not None else end.component - 1
    if stop == start.component and start.cut is not None and end.cut is not None:
        distance = end.cut.path - start.cut.path
        if distance.mean() < _LEAST * height or (distance < 0).mean() > 0.15:
            return None
    parts = []
    for k in range(start.component, stop + 1):
        component = components[k]
        mask = component.mask
        columns = np.arange(mask.shape[1])
        if k == start.component and start.cut is not None:
            mask = mask & (columns >= start.cut.path[:, None])
        if k == end.component and end.cut is not None:
            mask = mask & (columns < end.cut.path[:, None])
        part = _crop_to_box(mask, component.box)
        if part is None:
            return None
        parts.append(part)
    box = Box(
        min(b.top for b, _ in parts), min(b.left for b, _ in parts),
        max(b.bottom for b, _ in parts), max(b.right for b, _ in parts),
    )  # fmt: skip
    is_single = len(parts) == 1
    is_uncut = start.cut is None and end.cut is None
    if box.width > _WIDEST * height and not (is_single and is_uncut):
        return None
    if not is_uncut and max(box.height, box.width) < _FRAGMENT * height:
        return None
    mask = parts[0][1] if is_single else np.zeros((box.height, box.width), dtype=bool)
    if not is_single:
        for b, part_mask in parts:
            mask[b.top - box.top : b.bottom - box.top, b.left - box.left : b.right - box.left] |= part_mask
    size = max(box.height, box.width) / height
    skip_cost = 5.0 * min(1.0, size / 0.6) ** 1.5 if is_single else np.inf
    cost = _compute_cost(start, end, [b for b, _ in parts], box, height)
    return Candidate(first, last, box, mask, cost if size >= _SPECK else np.inf, skip_cost)


def _crop_to_box(mask: Mask, box: Box) -> tuple[Box, Mask] | None:
    """Return the bounding box of the ink in a mask, and the mask within it; None if there is no ink."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    return Box(box.top + top, box.left + left, box.top + bottom, box.left + right), mask[
        top:bottom, left:right
    ]


def _compute_cost(start: Boundary, end: Boundary, parts: Sequence[Box], box: Box, height: float) -> float:
    """Return the cost of a candidate's size, cuts and gaps."""
    tall, wide = box.height / height, box.width / height
    cost = 10 * max(0.0, 0.6 - tall) + 5 * max(0.0, tall - 1.5) + 5 * max(0.0, wide - 1.2)
    for boundary in (start, end):  # what had to be cut, half at either side
        if boundary.cut is not None:
            cost += 0.1 * boundary.cut.strokes
    for a, b in pairwise(parts):
        across = max(0, b.left - a.right) / height
        down = max(0, b.top - a.bottom, a.top - b.bottom) / height
        cost += 4 * across + 2 * down
    return cost
