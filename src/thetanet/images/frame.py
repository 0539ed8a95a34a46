"""Pictures of handwritten digits, brought to the frame of MNIST's images.

The frame is LeCun's: bright strokes on 0, the digit's box scaled so that its longer side is 20
pixels, its centre of mass at the centre of 28x28 pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.data.formats.picture import Grey
from thetanet.errors import InputError

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FRAME, BOX, CENTRE = 28, 20, 14.0  # MNIST's centres of mass all round to pixel 14, counted from 0
_WORKING_SIDE = 512  # a larger picture is averaged down to this before anything else: ample for 28 pixels
_FAINTEST = 0.05  # strokes weaker than this fraction of the full range are taken for a blank picture
_EDGE = 0.15  # a stroke ends where it falls below this fraction of its full strength
_FLAT = 0.35  # of the edge shows one and the same grey: there is no light to even out
_OVERSHOT = 1.1  # floats up to here are within 0 to 1 all the same: resizing overshoots
_THINNEST, _USUAL = 0.75, 2.2  # widths of strokes in pixels of the frame: thinner ones are thickened


def to_mnist_frame(grey: npt.ArrayLike) -> Grey:
    """Bring a picture of one digit to the frame of MNIST's images.

    Dark strokes on light and light strokes on dark are both understood: the background is what
    most of the picture's edge shows, so leave some of it around the digit. Uneven light is evened
    out, noise and specks are removed, very thin strokes are thickened. An image of MNIST comes
    back as it is.

    Parameters
    ----------
    grey : array of shape (H, W)
        Grey levels: whole numbers within 0 to 255 or 0 to 65535, floats within 0 to 1 or 0 to
        255, or booleans.

    Returns
    -------
    array of shape (28, 28), uint8
        Strokes up to 255 on a background of 0.

    Raises
    ------
    InputError
        If the array is not such a picture, or if the picture is blank.
    """
    levels = _shrink(scale_to_unit_range(grey))
    relief, spread = _subtract_background(levels)
    light = float(np.sum(np.square(relief[relief > 4 * spread])))
    dark = float(np.sum(np.square(relief[relief < -4 * spread])))
    relief = relief if light >= dark else -relief
    if _is_framed(relief):
        return _stretch_to_bytes(relief)
    return frame_strokes(*_segment_strokes(relief))


def frame_strokes(ink: npt.NDArray[Any], mask: Mask, solid: Mask | None) -> Grey:
    """Return a digit's ink in MNIST's frame, (28, 28) uint8.

    All arrays are (H, W): the ink, 0 on paper; the mask of the digit; the mask of its solid strokes, or None
    where strokes are too wide to need thickening.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    side = max(bottom - top, right - left)
    ink = ink[top:bottom, left:right]
    if solid is not None:
        ink = _thicken(ink, solid[top:bottom, left:right], side / BOX)
    height, width = (max(1, round(BOX * length / side)) for length in (bottom - top, right - left))
    return _centre(_stretch_to_bytes(_resize(ink, height, width)))


def scale_to_unit_range(grey: npt.ArrayLike) -> Floats:
    """Return the grey levels of a picture (H, W) as floats in [0, 1].

    Raises
    ------
    InputError
        If the array is not a picture of at least 2 x 2 pixels, or its values are not grey levels.
    """
    array = np.asarray(grey)
    if array.ndim != 2:
        raise InputError(
            f"grey has shape {array.shape}: a grey picture has two dimensions; average the colours"
        )
    if min(array.shape) < 2:
        raise InputError(f"grey has shape {array.shape}: a picture of a digit needs at least 2 x 2 pixels")
    if array.dtype.kind not in "biuf":
        raise InputError(f"grey has dtype {array.dtype}: grey levels are numbers")
    levels = array.astype(np.float64)
    if not np.isfinite(levels).all():
        raise InputError("grey holds NaN or infinity: grey levels are finite numbers")
    low, high = float(levels.min()), float(levels.max())
    if low < 0:
        raise InputError(f"grey goes down to {low:g}: grey levels start at 0")
    top = 255.0 if high <= 255 else 65535.0
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and high <= _OVERSHOT):
        top = 1.0
        np.minimum(levels, top, out=levels)
    elif high > (255 if array.dtype.kind == "f" else top):
        raise InputError(
            f"grey goes up to {high:g}: grey levels are floats within 0 to 1 or 0 to 255, "
            "or whole numbers within 0 to 255 or 0 to 65535"
        )
    levels /= top  # in place: a large picture takes much memory
    return levels


def _resampling_matrix(source: int, target: int) -> Floats:
    """Return the matrix (target, source) that resizes one axis: area means when reducing, else linear."""
    scale = source / target
    if scale >= 1:
        edges = np.arange(target + 1) * scale
        pixels = np.arange(source)
        overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        weights = np.maximum(overlap, 0)
    else:
        places = np.clip((np.arange(target) + 0.5) * scale - 0.5, 0, source - 1)
        weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(source)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _resize(levels: Floats, height: int, width: int) -> Floats:
    """Return the picture resampled to (height, width)."""
    return np.asarray(
        _resampling_matrix(levels.shape[0], height) @ levels @ _resampling_matrix(levels.shape[1], width).T
    )


def _shrink(levels: Floats, side: int = _WORKING_SIDE) -> Floats:
    """Return a picture averaged down to at most `side` pixels on its longer side."""
    ratio = side / max(levels.shape)
    if ratio >= 1:
        return levels
    return _resize(levels, max(2, round(levels.shape[0] * ratio)), max(2, round(levels.shape[1] * ratio)))


def _estimate_spread(residuals: Floats) -> float:
    """Estimate the background's standard deviation; strokes may fill three quarters of the picture."""
    return float(np.quantile(np.abs(residuals), 0.2)) / 0.2533


def _estimate_noise(relief: Floats) -> float:
    """Estimate the noise of a picture, also where the digit fills it and only the edge is free."""
    edge = np.concatenate([relief[0], relief[-1], relief[:, 0], relief[:, -1]])
    return min(_estimate_spread(relief), _estimate_spread(edge))


def _subtract_background(levels: Floats) -> tuple[Floats, float]:
    """Return the picture less its background, a quadratic surface of light, and the remaining noise."""
    small = _shrink(levels, 64)
    band = max(1, round(0.04 * min(small.shape)))
    edge = np.ones(small.shape, dtype=bool)
    edge[band:-band, band:-band] = False
    counts = np.bincount(np.rint(255 * small[edge]).astype(np.intp))
    ground = float(counts.argmax()) / 255
    flat = np.abs(small[edge] - ground) < 1.5 / 255
    if flat.mean() > _FLAT:  # drawn, not photographed
        ground = float(np.median(small[edge][flat]))
        return levels - ground, _estimate_noise(levels - ground)
    basis, values = _quadratic_basis(small.shape), small.ravel()
    # First the edge alone, where the digit hardly is, then every pixel that agrees with that
    # surface. Weights fall off fast, so that neither strokes nor a dark corner bend the surface.
    surface = np.array([float(np.median(small[edge])), 0, 0, 0, 0, 0])
    limit = np.inf
    for chosen in (edge.ravel(), np.ones(values.size, dtype=bool)):
        A, b = basis[chosen], values[chosen]
        for _ in range(8):
            residuals = b - A @ surface
            scale = min(max(_estimate_spread(residuals), 0.01), limit)
            weighted = A.T * np.exp(-np.square(residuals / (3 * scale)))
            surface = np.linalg.solve(weighted @ A + 1e-9 * np.eye(6), weighted @ b)
        limit = 1.5 * scale
    relief = levels - (_quadratic_basis(levels.shape) @ surface).reshape(levels.shape)
    return relief, _estimate_noise(relief)


def _quadratic_basis(shape: tuple[int, ...]) -> Floats:
    """Return 1, u, v, u², uv, v² at every pixel, one row a pixel, u and v from -1 to 1."""
    u, v = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1).reshape(-1, 6)


def _segment_strokes(relief: Floats) -> tuple[Floats, Mask, Mask]:
    """Return the digit without noise and specks: its ink, its mask, and the mask of its solid strokes."""
    from scipy import ndimage

    smooth = relief
    if max(relief.shape) >= 100 and _estimate_noise(relief) > 0.015:  # enough pixels to smooth the noise away
        smooth = ndimage.gaussian_filter(relief, max(1.0, max(relief.shape) / 300))
    noise = _estimate_noise(smooth)
    peak = float(smooth.max())
    if peak < max(_FAINTEST, 5 * noise):
        raise InputError("the picture is blank: no stroke stands out from its background")
    bright = smooth[smooth >= peak / 2]
    strength = float(np.percentile(bright, 95))
    mask = smooth > max(_EDGE * strength, min(4 * noise, strength / 2))
    parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    weight = np.asarray(ndimage.sum_labels(smooth, parts, numbers))
    rim = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    inside = ~np.isin(numbers, rim)
    keep = weight >= 0.02 * weight.max()
    if inside.any():  # the table beside the paper, a shadow at the edge
        keep &= inside | (weight > 10 * weight[inside].max())
    mask = np.isin(parts, numbers[keep])
    # Keep the faint fringe of the strokes, one pixel of the frame wide.
    extent = [int(np.ptp(np.flatnonzero(mask.any(axis=axis)))) + 1 for axis in (0, 1)]
    near = ndimage.maximum_filter(mask, 2 * max(1, round(max(extent) / BOX)) + 1)
    # Noise below 0 stays: the averages that follow cancel it against the noise above.
    return np.where(near, relief, 0.0), mask, mask & (smooth > strength / 2)


def _thicken(ink: Floats, solid: Mask, pixel: float) -> Floats:
    """Widen strokes that would nearly vanish in the frame; `pixel` is the size of a frame's pixel here."""
    from scipy import ndimage

    if pixel < 2:  # too coarse to tell the width
        return ink
    depth = ndimage.distance_transform_edt(np.pad(solid, 1))[1:-1, 1:-1]
    ridge = depth[(depth > 0) & (depth == ndimage.maximum_filter(depth, 3))]
    width = (2 * float(np.median(ridge)) - 1 if ridge.size else 1.0) / pixel
    if width >= _THINNEST:
        return ink
    radius = (_USUAL - width) * pixel / 2
    distance = ndimage.distance_transform_edt(np.pad(~solid, int(radius) + 1, constant_values=True))
    return np.asarray(np.clip(radius + 0.5 - distance, 0, 1))


def _stretch_to_bytes(ink: Floats) -> Grey:
    """Return the ink as uint8, stretched so that full strokes are white."""
    full = float(np.percentile(ink[ink >= ink.max() / 2], 95))
    if not 0.98 <= full <= 1.0:  # strokes that are white already are left exactly as they are
        ink = ink / full
    return np.asarray(np.clip(np.rint(255 * ink), 0, 255), dtype=np.uint8)


def _is_framed(relief: Floats) -> bool:
    """Return whether this is a clean picture in MNIST's frame: scaling it by 19/20 would only blur it."""
    if relief.shape != (FRAME, FRAME) or relief.min() < -1e-9 or relief.max() < _FAINTEST:
        return False
    for axis in (0, 1):
        along = relief.sum(axis=axis)
        used = np.flatnonzero(along > 1e-9)
        if used[-1] - used[0] >= BOX or round(CENTRE - float(along @ np.arange(FRAME)) / float(along.sum())):
            return False
    return True


def _centre(box: Grey) -> Grey:
    """Return the frame with the box in it, the centre of mass of its ink on the frame's centre."""
    frame = np.zeros((FRAME, FRAME), dtype=np.uint8)
    corner = []
    for axis, length in enumerate(box.shape):
        along = box.sum(axis=1 - axis, dtype=np.float64)
        mass = float(along @ np.arange(length)) / float(along.sum())
        corner.append(min(max(round(CENTRE - mass), 0), FRAME - length))  # no ink may leave the frame
    frame[corner[0] : corner[0] + box.shape[0], corner[1] : corner[1] + box.shape[1]] = box
    return frame
