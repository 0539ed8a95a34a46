"""Pieces of ink: connected marks, cut where digits may touch; neighbouring pieces together may be a digit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thetanet.picture import Grey, frame_of_strokes
from thetanet.reading.lines import Box
from thetanet.reading.paper import Ink, Mask, Page

MOST_MARKS = 3000  # on a page; only the largest are looked at
_CUT_ROWS = 36  # cuts are looked for in a mark reduced to about so many rows
_NARROW = 0.5  # a mark narrower than this share of its line's height is not cut


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected mark, or a part of one.

    Attributes
    ----------
    box : Box
        On the turned page.
    mask : array of shape (box.height, box.width), bool
        Where its ink is.
    strength : float
        Mean ink.
    cut : float or None
        What was cut to divide it from the piece on its right, in strokes; None if it is not connected to it.
    """

    box: Box
    mask: Mask
    strength: float
    cut: float | None = None


def marks_of(page: Page, mask: Mask) -> list[Piece]:
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
        marks.append(Piece(box, own, float(page.ink[where][own].mean())))
    return marks


def without_faint(marks: list[Piece], share: float) -> list[Piece]:
    """Leave out marks much fainter than the digits: stains, what is left of rules, print from behind."""
    if not marks:
        return []
    strength = np.array([mark.strength for mark in marks])
    weight = np.array([mark.mask.sum() for mark in marks]) * strength
    order = np.argsort(strength)
    shares = np.cumsum(weight[order]) / weight.sum()
    usual = strength[order][np.searchsorted(shares, 0.5)]
    return [mark for mark in marks if mark.strength >= share * usual]


def usual_height(marks: list[Piece]) -> float:
    """Return the height of most marks, those with much ink counting more."""
    heights = np.array([mark.box.height for mark in marks], dtype=float)
    weights = np.array([mark.mask.sum() for mark in marks]) * heights
    order = np.argsort(heights)
    shares = np.cumsum(weights[order]) / weights.sum()
    return float(heights[order][np.searchsorted(shares, 0.5)])


def cut(mark: Piece, height: float, stroke: float) -> list[Piece]:
    """Cut a mark where digits may touch: along paths from top to bottom through little ink.

    `height` is that of the digits in its line. All cuts that may be needed are made: what is one digit is put
    together again by the network.
    """
    box = mark.box
    if box.width < _NARROW * height or box.height < 0.4 * height:
        return [mark]
    paths = _paths(mark.mask, height, stroke)
    columns = np.arange(box.width)
    pieces: list[Piece] = []
    previous = np.zeros(box.height, dtype=np.intp)
    for path, cost in [*paths, (np.full(box.height, box.width), None)]:
        edge = np.maximum(path, previous)
        own = mark.mask & (columns >= previous[:, None]) & (columns < edge[:, None])
        if own.sum() >= 0.3 * stroke**2:
            pieces.append(_trimmed(replace(mark, mask=own, cut=cost)))
        elif pieces:
            pieces[-1] = replace(pieces[-1], cut=cost)
        previous = edge
    return pieces


def _paths(mask: Mask, height: float, stroke: float) -> list[tuple[npt.NDArray[np.intp], float]]:
    """Return paths (a column for each row) from left to right, and the strokes' widths that each cuts."""
    scale = max(1.0, height / _CUT_ROWS)
    rows = max(2, round(mask.shape[0] / scale))
    columns = max(2, round(mask.shape[1] / scale))
    v = np.minimum((np.arange(rows) + 0.5) * mask.shape[0] / rows, mask.shape[0] - 1).astype(np.intp)
    u = np.minimum((np.arange(columns) + 0.5) * mask.shape[1] / columns, mask.shape[1] - 1).astype(np.intp)
    ink = mask[np.ix_(v, u)].astype(np.float64)
    down, came = _cheapest(ink)
    up, went = _cheapest(ink[::-1])
    middle = rows // 2
    cost = down[middle] + up[rows - 1 - middle] - ink[middle]
    thick = max(1.0, stroke / scale)
    least = max(2, round(0.16 * height / scale))  # between cuts
    found: list[tuple[int, float]] = []
    for column in np.argsort(cost, kind="stable"):
        if cost[column] > 2.6 * thick + 1:
            break
        if least <= column <= columns - least and all(abs(column - c) >= least for c, _ in found):
            found.append((int(column), float(cost[column]) / thick))
    paths = []
    for column, strokes in sorted(found):
        path = np.empty(rows)
        path[middle] = c = column
        for row in range(middle, 0, -1):
            c += came[row, c]
            path[row - 1] = c
        c = column
        for row in range(rows - 1 - middle, 0, -1):
            c += went[row, c]
            path[rows - row] = c
        fine = np.interp((np.arange(mask.shape[0]) + 0.5) * rows / mask.shape[0] - 0.5, np.arange(rows), path)
        paths.append((np.rint((fine + 0.5) * mask.shape[1] / columns).astype(np.intp), strokes))
    return paths


def _cheapest(ink: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return the least ink on a path from the first row to each place, and the step it came by."""
    total, step = ink.copy(), np.zeros(ink.shape, dtype=np.intp)
    for row in range(1, len(ink)):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        choices = np.stack([above[1:-1], above[:-2] + 0.15, above[2:] + 0.15])
        best = choices.argmin(axis=0)
        step[row] = np.array([0, -1, 1])[best]
        total[row] += choices[best, np.arange(ink.shape[1])]
    return total, step


def _trimmed(piece: Piece) -> Piece:
    rows, columns = np.flatnonzero(piece.mask.any(axis=1)), np.flatnonzero(piece.mask.any(axis=0))
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    box = Box(piece.box.top + top, piece.box.left + left, piece.box.top + bottom, piece.box.left + right)
    return replace(piece, box=box, mask=piece.mask[top:bottom, left:right])


def around(pieces: list[Piece]) -> Box:
    """Return the box around pieces."""
    boxes = [piece.box for piece in pieces]
    return Box(
        min(b.top for b in boxes), min(b.left for b in boxes),
        max(b.bottom for b in boxes), max(b.right for b in boxes),
    )  # fmt: skip


def frame_of(page: Page, pieces: list[Piece]) -> Grey:
    """Return the ink of pieces in MNIST's frame."""
    from scipy import ndimage

    box = around(pieces)
    mask = np.zeros((box.height, box.width), dtype=bool)
    for piece in pieces:
        top, left = piece.box.top - box.top, piece.box.left - box.left
        mask[top : top + piece.box.height, left : left + piece.box.width] |= piece.mask
    ink: Ink = page.ink[box.top : box.bottom, box.left : box.right]
    fringe = max(1, round(max(mask.shape) / 20))
    near = ndimage.maximum_filter(mask, 2 * fringe + 1)
    strength = float(np.percentile(ink[mask], 90))
    return frame_of_strokes(np.where(near, ink, 0.0), mask, mask & (ink > strength / 2))
