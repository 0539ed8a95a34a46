"""Which ink is a digit each: the division of a line that the networks are most sure of.

A line is a row of borders: the left sides of its marks, and the cuts through them. A candidate is the ink
between two borders. Every way from the first border to the last divides the line into digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from thetanet.reading.cuts import Cut
from thetanet.reading.lines import Box
from thetanet.reading.paper import Mask
from thetanet.reading.pieces import Mark

_WIDEST = 1.3  # a candidate's width, in heights of its line
_FRAGMENT = 0.5  # smaller parts of a mark, in heights, are not looked at
_LEAST = 0.1  # a candidate's mean width, where cuts bound it
_SPECK = 0.3  # what is smaller is no digit


@dataclass(frozen=True, eq=False)
class Border:
    """Where a digit may begin: at a cut of a mark, or at the mark's left side (no cut)."""

    mark: int
    cut: Cut | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """Ink between two borders; `price` speaks against it as a digit, `waste` is for leaving it out."""

    first: int
    last: int
    box: Box
    mask: Mask
    price: float
    waste: float


def borders_of(cuts: Sequence[Sequence[Cut]]) -> list[Border]:
    """Return the borders of a line from the cuts of each of its marks, from left to right."""
    return [Border(k, cut) for k, own in enumerate(cuts) for cut in (None, *own)] + [Border(len(cuts), None)]


def candidates_of(
    marks: Sequence[Mark], borders: Sequence[Border], height: float, most: int
) -> list[Candidate]:
    """Return what may be a digit, by size and gaps; also what must be left out if it is none.

    Nothing is returned if there are more than `most`: that is no line of digits.
    """
    found = []
    for first, start in enumerate(borders[:-1]):
        for last in range(first + 1, len(borders)):
            end = borders[last]
            if _too_wide(marks, start, end, height):
                break
            candidate = _between(marks, borders, first, last, height)
            if candidate is not None:
                found.append(candidate)
        if len(found) > most:
            return []
    return found


def divided(candidates: Sequence[Candidate], sure: npt.NDArray[np.float64], borders: int) -> list[int]:
    """Return the candidates (indices) whose prices and -ln(sure) are least in sum; others are left out."""
    best, choice = np.full(borders, np.inf), np.full(borders, -1)
    digit = np.zeros(borders, dtype=bool)
    best[0] = 0.0
    ending: list[list[int]] = [[] for _ in range(borders)]
    for k, candidate in enumerate(candidates):
        ending[candidate.last].append(k)
    for end in range(1, borders):
        for k in ending[end]:
            before = best[candidates[k].first]
            as_digit = before + candidates[k].price - np.log(max(sure[k], 1e-3))
            as_waste = before + candidates[k].waste
            if min(as_digit, as_waste) < best[end]:
                best[end], choice[end], digit[end] = min(as_digit, as_waste), k, as_digit < as_waste
    chosen, end = [], borders - 1
    while end > 0 and choice[end] >= 0:
        if digit[end]:
            chosen.append(int(choice[end]))
        end = candidates[choice[end]].first
    return chosen[::-1]


def _too_wide(marks: Sequence[Mark], start: Border, end: Border, height: float) -> bool:
    """Whether no digit is so wide; a whole mark is never too wide, it must be possible to leave it out."""
    if end.mark == start.mark + 1 and end.cut is None:
        return False
    left = marks[start.mark].box.left + (float(start.cut.path.min()) if start.cut else 0)
    if end.cut is not None:
        right = marks[end.mark].box.left + float(end.cut.path.min())
    else:
        right = marks[end.mark - 1].box.right
    return right - left > (_WIDEST + 0.3) * height


def _between(
    marks: Sequence[Mark], borders: Sequence[Border], first: int, last: int, height: float
) -> Candidate | None:
    start, end = borders[first], borders[last]
    stop = end.mark if end.cut is not None else end.mark - 1
    if stop == start.mark and start.cut is not None and end.cut is not None:
        distance = end.cut.path - start.cut.path
        if distance.mean() < _LEAST * height or (distance < 0).mean() > 0.15:
            return None
    parts = []
    for k in range(start.mark, stop + 1):
        mark = marks[k]
        own = mark.mask
        columns = np.arange(own.shape[1])
        if k == start.mark and start.cut is not None:
            own = own & (columns >= start.cut.path[:, None])
        if k == end.mark and end.cut is not None:
            own = own & (columns < end.cut.path[:, None])
        part = _trimmed(own, mark.box)
        if part is None:
            return None
        parts.append(part)
    box = Box(
        min(b.top for b, _ in parts), min(b.left for b, _ in parts),
        max(b.bottom for b, _ in parts), max(b.right for b, _ in parts),
    )  # fmt: skip
    whole = len(parts) == 1
    complete = start.cut is None and end.cut is None
    if box.width > _WIDEST * height and not (whole and complete):
        return None
    if not complete and max(box.height, box.width) < _FRAGMENT * height:
        return None
    mask = parts[0][1] if whole else np.zeros((box.height, box.width), dtype=bool)
    if not whole:
        for b, own in parts:
            mask[b.top - box.top : b.bottom - box.top, b.left - box.left : b.right - box.left] |= own
    size = max(box.height, box.width) / height
    waste = 5.0 * min(1.0, size / 0.6) ** 1.5 if whole else np.inf
    price = _price(start, end, [b for b, _ in parts], box, height)
    return Candidate(first, last, box, mask, price if size >= _SPECK else np.inf, waste)


def _trimmed(mask: Mask, box: Box) -> tuple[Box, Mask] | None:
    """Return a part of a mark in its own box."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    return Box(box.top + top, box.left + left, box.top + bottom, box.left + right), mask[
        top:bottom, left:right
    ]


def _price(start: Border, end: Border, parts: Sequence[Box], box: Box, height: float) -> float:
    tall, wide = box.height / height, box.width / height
    price = 10 * max(0.0, 0.6 - tall) + 5 * max(0.0, tall - 1.5) + 5 * max(0.0, wide - 1.2)
    for border in (start, end):  # what had to be cut, half at either side
        if border.cut is not None:
            price += 0.1 * border.cut.strokes
    for a, b in pairwise(parts):
        across = max(0, b.left - a.right) / height
        down = max(0, b.top - a.bottom, a.top - b.bottom) / height
        price += 4 * across + 2 * down
    return price
