"""Skew of a page: its estimate, and the rotation that makes lines of writing horizontal."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.reading.binarisation import Ink, Mask
from thetanet.reading.box import Box

_STEEPEST = 15.0  # degrees of skew, at most


def estimate_skew(mask: Mask, stroke: float) -> float:
    """Return the angle in degrees by which lines fall to the right, of the sharpest projection profile."""
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


def compute_rotated_shape(shape: tuple[int, ...], degrees: float) -> tuple[int, int]:
    """Return the shape of the rotated page, which contains all of the page: that of a strip is huge."""
    height, width = np.ceil(_rotate_corners(shape, degrees).max(axis=0)) - _find_origin(shape, degrees)
    return int(height), int(width)


def rotate(ink: Ink, degrees: float) -> Ink:
    """Return the page rotated so that lines are horizontal; `unrotate_points` and `unrotate_box` undo it."""
    from scipy import ndimage

    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.array([[c, s], [-s, c]])
    offset, shape = matrix @ _find_origin(ink.shape, degrees), compute_rotated_shape(ink.shape, degrees)
    return np.asarray(
        ndimage.affine_transform(ink, matrix, offset=offset, output_shape=shape, order=1, cval=0.0),
        dtype=np.float32,
    )


def unrotate_points(points: npt.NDArray[Any], shape: tuple[int, ...], degrees: float) -> npt.NDArray[Any]:
    """Return points (n, 2) of the rotated page, rows and columns, in the page of this shape."""
    if degrees == 0:
        return points
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.asarray((points + _find_origin(shape, degrees)) @ np.array([[c, -s], [s, c]]))


def unrotate_box(box: Box, shape: tuple[int, ...], degrees: float) -> Box:
    """Return the upright box, on the page before the rotation, around a box of the rotated page."""
    if degrees == 0:
        return box
    height, width = shape
    corners = np.array([(v, u) for v in (box.top, box.bottom) for u in (box.left, box.right)])
    original = unrotate_points(corners, shape, degrees)
    (top, left), (bottom, right) = np.floor(original.min(axis=0)), np.ceil(original.max(axis=0))
    return Box(
        int(np.clip(top, 0, height - 1)), int(np.clip(left, 0, width - 1)),
        int(np.clip(bottom, 1, height)), int(np.clip(right, 1, width)),
    )  # fmt: skip


def _rotate_corners(shape: tuple[int, ...], degrees: float) -> npt.NDArray[Any]:
    """Return the rows and columns (4, 2) of the page's corners after the rotation."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    height, width = shape
    return np.asarray(
        np.array([(0, 0), (0, width), (height, 0), (height, width)]) @ np.array([[c, s], [-s, c]])
    )


def _find_origin(shape: tuple[int, ...], degrees: float) -> npt.NDArray[Any]:
    """Return the least row and column of the page after the rotation."""
    return np.asarray(np.floor(_rotate_corners(shape, degrees).min(axis=0)))
