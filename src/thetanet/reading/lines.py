"""Lines of writing: how the page is turned, what is ruled, which marks share a line, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.reading.paper import Ink, Mask, Page

_STEEPEST = 15.0  # degrees that a page may be turned
_RULE = 20.0  # a rule is at least this many strokes long, no digit's bar is


@dataclass(frozen=True)
class Box:
    """Where something is: rows top to bottom - 1, columns left to right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left


def skew_of(mask: Mask, stroke: float) -> float:
    """Return how far lines fall to the right, in degrees: where the ink's profile across them is sharpest."""
    rows, columns = np.nonzero(mask)
    if rows.size < 50 or np.ptp(columns) < 20 * stroke:  # too short a line to tell its direction
        return 0.0
    step = max(1, rows.size // 30_000)
    y, x = rows[::step].astype(np.float64), columns[::step].astype(np.float64)
    x -= x.mean()

    def sharpness(degrees: float) -> float:
        angle = np.deg2rad(degrees)
        along = y * np.cos(angle) - x * np.sin(angle)
        counts = np.bincount(((along - along.min()) / max(1.0, stroke / 2)).astype(np.intp))
        smooth = np.convolve(counts, (0.25, 0.5, 0.25))
        return float(np.square(smooth).sum()) * (1 - 0.03 * (degrees / 10) ** 2)

    coarse = max(np.arange(-_STEEPEST, _STEEPEST + 0.1, 0.5), key=sharpness)
    best = max(coarse + np.arange(-0.5, 0.51, 0.1), key=sharpness)
    return float(best) if sharpness(best) > 1.03 * sharpness(0.0) else 0.0


def turned_shape(shape: tuple[int, ...], degrees: float) -> tuple[int, int]:
    """Return rows and columns of the turned page: all of the page is on it, so that a strip becomes huge."""
    height, width = np.ceil(_corners(shape, degrees).max(axis=0)) - _corner(shape, degrees)
    return int(height), int(width)


def turned(ink: Ink, degrees: float) -> Ink:
    """Turn the page about its corner so that lines are level; `turned_back` leads to the old places."""
    from scipy import ndimage

    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.array([[c, s], [-s, c]])
    offset, shape = matrix @ _corner(ink.shape, degrees), turned_shape(ink.shape, degrees)
    return np.asarray(
        ndimage.affine_transform(ink, matrix, offset=offset, output_shape=shape, order=1, cval=0.0),
        dtype=np.float32,
    )


def turned_back_points(places: npt.NDArray[Any], shape: tuple[int, ...], degrees: float) -> npt.NDArray[Any]:
    """Return where points (n, 2) of the turned page, rows and columns, were on the page of this shape."""
    if degrees == 0:
        return places
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.asarray((places + _corner(shape, degrees)) @ np.array([[c, -s], [s, c]]))


def turned_back(box: Box, shape: tuple[int, ...], degrees: float) -> Box:
    """Return the upright box, on the page as it was, around a box of the turned page."""
    if degrees == 0:
        return box
    height, width = shape
    corners = np.array([(v, u) for v in (box.top, box.bottom) for u in (box.left, box.right)])
    old = turned_back_points(corners, shape, degrees)
    (top, left), (bottom, right) = np.floor(old.min(axis=0)), np.ceil(old.max(axis=0))
    return Box(
        int(np.clip(top, 0, height - 1)), int(np.clip(left, 0, width - 1)),
        int(np.clip(bottom, 1, height)), int(np.clip(right, 1, width)),
    )  # fmt: skip


def _corners(shape: tuple[int, ...], degrees: float) -> npt.NDArray[Any]:
    """Return the rows and columns (4, 2) of the corners of the page when it is turned."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    height, width = shape
    return np.asarray(
        np.array([(0, 0), (0, width), (height, 0), (height, width)]) @ np.array([[c, s], [-s, c]])
    )


def _corner(shape: tuple[int, ...], degrees: float) -> npt.NDArray[Any]:
    """Return the least row and column that any part of the page has when it is turned."""
    return np.asarray(np.floor(_corners(shape, degrees).min(axis=0)))


def without_rules(page: Page) -> Page:
    """Remove ruled lines, level and upright, except where strokes cross them."""
    from scipy import ndimage

    length = max(15, round(_RULE * page.stroke))
    seen = page.ink > page.floor
    ink = page.ink
    for axis in (0, 1):
        if seen.shape[1 - axis] < length:
            continue
        across = [1, 1]
        across[axis] = 3
        wide = ndimage.maximum_filter(seen, across)
        along = [1, 1]
        along[1 - axis] = length
        run = ndimage.maximum_filter(ndimage.minimum_filter(wide, along, mode="nearest"), along)
        rule = seen & run
        if not rule.any():
            continue
        across[axis] = 2 * max(2, round(page.stroke)) + 1
        crossed = ndimage.maximum_filter(seen & ~run, across)
        ink = np.where(rule & ~crossed, np.float32(0), ink)
    return Page(ink, page.floor, page.stroke)


def lines_of(boxes: Sequence[Box], usual: float) -> list[list[int]]:
    """Share out marks to lines.

    A mark continues the line whose last marks it overlaps most, in rows. Marks much smaller than the usual
    height follow when all lines are known.

    Returns
    -------
    list of lists of indices into `boxes`, lines from top to bottom, marks from left to right
    """
    lines: list[list[int]] = []
    order = sorted(range(len(boxes)), key=lambda k: boxes[k].left)
    large = [k for k in order if boxes[k].height >= 0.45 * usual]
    ends: list[Box] = []
    for k in large:
        shares = [_shared(boxes[k], end) for end in ends]
        best = int(np.argmax(shares)) if shares else -1
        if best < 0 or shares[best] < 0.45:
            lines.append([k])
            ends.append(boxes[k])
        else:
            lines[best].append(k)
            ends[best] = _end(boxes, lines[best])
    lines = _joined(boxes, lines)
    chosen = set(large)
    for k in order:
        if k not in chosen and lines:
            line = min(lines, key=lambda line: _distance(boxes[k], [boxes[j] for j in line]))
            if _distance(boxes[k], [boxes[j] for j in line]) < 0.6 * usual:
                line.append(k)
    for line in lines:
        line.sort(key=lambda k: boxes[k].left + boxes[k].right)
    return sorted(lines, key=lambda line: float(np.mean([boxes[k].top + boxes[k].bottom for k in line])))


def _end(boxes: Sequence[Box], line: list[int]) -> Box:
    """Return the rows of the last marks of a line."""
    last = [boxes[k] for k in line[-3:]]
    return Box(
        int(np.median([b.top for b in last])), last[0].left,
        int(np.median([b.bottom for b in last])), last[-1].right,
    )  # fmt: skip


def _shared(a: Box, b: Box) -> float:
    """Return the shared rows of two boxes, as a part of the lower box's height; 0 if one is far taller."""
    if max(a.height, b.height) > 2.5 * min(a.height, b.height):
        return 0.0
    return (min(a.bottom, b.bottom) - max(a.top, b.top)) / max(1, min(a.height, b.height))


def _joined(boxes: Sequence[Box], lines: list[list[int]]) -> list[list[int]]:
    """Join lines that share most of their rows: a line whose beginning was not recognised as one."""
    result: list[list[int]] = []
    spans: list[Box] = []
    for line in sorted(lines, key=len, reverse=True):
        marks = [boxes[k] for k in line]
        span = Box(
            int(np.median([b.top for b in marks])), min(b.left for b in marks),
            int(np.median([b.bottom for b in marks])), max(b.right for b in marks),
        )  # fmt: skip
        for place, other in enumerate(spans):
            if _shared(span, other) > 0.6:
                result[place] = sorted(result[place] + line, key=lambda k: boxes[k].left)
                break
        else:
            result.append(line)
            spans.append(span)
    return result


def _distance(mark: Box, line: list[Box]) -> float:
    """Return how far a mark is from the nearest mark of a line, in pixels."""
    return min(
        max(0, b.left - mark.right, mark.left - b.right) + max(0, b.top - mark.bottom, mark.top - b.bottom)
        for b in line
    )
