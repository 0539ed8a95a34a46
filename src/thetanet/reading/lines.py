"""Lines of a page: ruled lines are removed, connected components are grouped into lines of writing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thetanet.reading.binarisation import Page
from thetanet.reading.box import Box

_RULE = 20.0  # a ruled line is at least this many stroke widths long, no bar of a digit is


def remove_rules(page: Page) -> Page:
    """Return the page without ruled lines, horizontal and vertical, except where strokes cross them."""
    from scipy import ndimage

    length = max(15, round(_RULE * page.stroke))
    mask = page.ink > page.floor
    ink = page.ink
    for axis in (0, 1):
        if mask.shape[1 - axis] < length:
            continue
        across = [1, 1]
        across[axis] = 3
        wide = ndimage.maximum_filter(mask, across)
        along = [1, 1]
        along[1 - axis] = length
        run = ndimage.maximum_filter(ndimage.minimum_filter(wide, along, mode="nearest"), along)
        rule = mask & run
        if not rule.any():
            continue
        across[axis] = 2 * max(2, round(page.stroke)) + 1
        crossed = ndimage.maximum_filter(mask & ~run, across)
        ink = np.where(rule & ~crossed, np.float32(0), ink)
    return Page(ink, page.floor, page.stroke)


def group_into_lines(boxes: Sequence[Box], height: float) -> list[list[int]]:
    """Group components into lines of writing.

    A component continues the line whose last components it overlaps most, in rows. Those much lower than
    `height`, the usual height of a component, are assigned when all lines are known.

    Returns
    -------
    list of lists of indices into `boxes`, lines from top to bottom, components from left to right
    """
    lines: list[list[int]] = []
    order = sorted(range(len(boxes)), key=lambda k: boxes[k].left)
    large = [k for k in order if boxes[k].height >= 0.45 * height]
    ends: list[Box] = []
    for k in large:
        overlaps = [_measure_row_overlap(boxes[k], end) for end in ends]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best < 0 or overlaps[best] < 0.45:
            lines.append([k])
            ends.append(boxes[k])
        else:
            lines[best].append(k)
            ends[best] = _summarise_end(boxes, lines[best])
    lines = _merge_lines(boxes, lines)
    assigned = set(large)
    for k in order:
        if k not in assigned and lines:
            line = min(lines, key=lambda line: _measure_distance(boxes[k], [boxes[j] for j in line]))
            if _measure_distance(boxes[k], [boxes[j] for j in line]) < 0.6 * height:
                line.append(k)
    for line in lines:
        line.sort(key=lambda k: boxes[k].left + boxes[k].right)
    return sorted(lines, key=lambda line: float(np.mean([boxes[k].top + boxes[k].bottom for k in line])))


def _summarise_end(boxes: Sequence[Box], line: list[int]) -> Box:
    """Return the median rows of the last components of a line."""
    last = [boxes[k] for k in line[-3:]]
    return Box(
        int(np.median([b.top for b in last])), last[0].left,
        int(np.median([b.bottom for b in last])), last[-1].right,
    )  # fmt: skip


def _measure_row_overlap(a: Box, b: Box) -> float:
    """Return the rows that two boxes have in common, relative to the lower box; 0 if one is far taller."""
    if max(a.height, b.height) > 2.5 * min(a.height, b.height):
        return 0.0
    return (min(a.bottom, b.bottom) - max(a.top, b.top)) / max(1, min(a.height, b.height))


def _merge_lines(boxes: Sequence[Box], lines: list[list[int]]) -> list[list[int]]:
    """Return the lines, those merged that overlap in most rows: parts of one line that began separately."""
    result: list[list[int]] = []
    spans: list[Box] = []
    for line in sorted(lines, key=len, reverse=True):
        line_boxes = [boxes[k] for k in line]
        span = Box(
            int(np.median([b.top for b in line_boxes])), min(b.left for b in line_boxes),
            int(np.median([b.bottom for b in line_boxes])), max(b.right for b in line_boxes),
        )  # fmt: skip
        for place, other in enumerate(spans):
            if _measure_row_overlap(span, other) > 0.6:
                result[place] = sorted(result[place] + line, key=lambda k: boxes[k].left)
                break
        else:
            result.append(line)
            spans.append(span)
    return result


def _measure_distance(box: Box, line: list[Box]) -> float:
    """Return the distance in pixels from a component to the nearest component of a line."""
    return min(
        max(0, b.left - box.right, box.left - b.right) + max(0, b.top - box.bottom, box.top - b.bottom)
        for b in line
    )
