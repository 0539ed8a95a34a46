"""Candidate cuts between touching digits: paths from top to bottom of a component that cross little ink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thetanet.reading.binarisation import Mask

_ROWS = 36  # paths are searched in a component downsampled to about so many rows
_SLANTS = -0.1, 0.2, 0.55  # of straight paths, columns a row
_BEND = 0.35  # the cost of a step aside, in rows of ink
_THICKEST = 2.5  # strokes that a path may cut through
_SPACING = 0.15  # of two paths of one slant, in heights of the line
_DUPLICATE = 0.08  # paths nearer than this to each other, on average, are one; in heights of the line


@dataclass(frozen=True, eq=False)
class Cut:
    """A path through a component.

    Attributes
    ----------
    path : array of shape (rows of the component,)
        For each row the column where the right side begins.
    strokes : float
        The ink that it crosses, in widths of a stroke.
    """

    path: npt.NDArray[np.intp]
    strokes: float


def find_cuts(mask: Mask, height: float, stroke: float) -> list[Cut]:
    """Return candidate cuts of a component, from left to right; paths may cross.

    `height` is that of the digits in its line. Most cuts go through the middle of a digit: the segmentation
    of the line decides which of them separate two digits.
    """
    scale = max(1.0, height / _ROWS)
    rows = max(2, round(mask.shape[0] / scale))
    columns = max(2, round(mask.shape[1] / scale))
    v = np.minimum((np.arange(rows) + 0.5) * mask.shape[0] / rows, mask.shape[0] - 1).astype(np.intp)
    u = np.minimum((np.arange(columns) + 0.5) * mask.shape[1] / columns, mask.shape[1] - 1).astype(np.intp)
    ink = mask[np.ix_(v, u)].astype(np.float64)
    thick = max(1.0, stroke / scale)
    spacing = max(2, round(_SPACING * height / scale))
    all_paths: list[tuple[float, npt.NDArray[np.float64]]] = []
    for slant in _SLANTS:
        cost, paths = _find_shortest_paths(ink, slant)
        taken: list[int] = []
        for column in np.argsort(cost, kind="stable"):
            if cost[column] > _THICKEST * thick + 1:
                break
            if all(abs(column - other) >= spacing for other in taken):
                taken.append(int(column))
                all_paths.append((float(cost[column]), paths[:, column]))
    all_paths.sort(key=lambda item: item[0])
    distinct: list[tuple[float, npt.NDArray[np.float64]]] = []
    for cost_, path in all_paths:
        path = np.clip(path, -1, columns)
        if all(np.abs(path - other).mean() * scale >= _DUPLICATE * height for _, other in distinct):
            distinct.append((cost_, path))
    places = (np.arange(mask.shape[0]) + 0.5) * rows / mask.shape[0] - 0.5
    cuts = []
    for cost_, path in sorted(distinct, key=lambda item: float(item[1].mean())):
        fine = (np.interp(places, np.arange(rows), path) + 0.5) * mask.shape[1] / columns
        cuts.append(Cut(np.clip(np.rint(fine), 0, mask.shape[1]).astype(np.intp), cost_ / thick))
    return cuts


def _find_shortest_paths(
    ink: npt.NDArray[np.float64], slant: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return, for each column of the middle row, the least cost of a path through it, and the path.

    The cost is the ink that a path crosses, and a little for each step away from the slant. Found by dynamic
    programming from the top and from the bottom to the middle row.
    """
    rows, columns = ink.shape
    middle = rows // 2
    shifts = np.rint(slant * (middle - np.arange(rows))).astype(np.intp)
    reach = int(np.abs(shifts).max())
    leaning = np.zeros((rows, columns + 2 * reach))
    for row, shift in enumerate(shifts):
        leaning[row, reach - shift : reach - shift + columns] = ink[row]
    down, came = _accumulate_costs(leaning)
    up, went = _accumulate_costs(leaning[::-1])
    cost = down[middle] + up[rows - 1 - middle] - leaning[middle]
    paths = np.empty(leaning.shape)
    c = np.arange(leaning.shape[1])
    paths[middle] = c
    for row in range(middle, 0, -1):
        c = c + came[row, c]
        paths[row - 1] = c
    c = np.arange(leaning.shape[1])
    for row in range(rows - 1 - middle, 0, -1):
        c = c + went[row, c]
        paths[rows - row] = c
    return cost[reach : reach + columns], (paths + (shifts - reach)[:, None])[:, reach : reach + columns]


def _accumulate_costs(ink: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return the least cost of a path from the first row to each pixel, and the step of its last row."""
    total, step = ink.copy(), np.zeros(ink.shape, dtype=np.intp)
    columns = np.arange(ink.shape[1])
    for row in range(1, len(ink)):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        choices = np.stack([above[1:-1], above[:-2] + _BEND, above[2:] + _BEND])
        best = choices.argmin(axis=0)
        step[row] = np.array([0, -1, 1])[best]
        total[row] += choices[best, columns]
    return total, step
