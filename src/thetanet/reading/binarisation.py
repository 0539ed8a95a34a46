"""Binarisation: ink at every pixel, independent of the light on the paper, and the mask of strokes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ink = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SIDE = 400  # the polarity is decided on a picture of this longer side
_NOISE = 4.5  # ink begins this many standard deviations of the paper's noise above the paper
_FAINTEST = 0.06  # strokes that absorb less of the light are not detected


@dataclass(frozen=True)
class Page:
    """Ink on a page.

    Attributes
    ----------
    ink : array of shape (H, W), float32
        Fraction of the light that is absorbed: about 0 on paper, at most 1.
    floor : float
        Threshold of the noise: less ink than this is paper.
    stroke : float
        Usual width of a stroke, in pixels; 0 on an empty page.
    """

    ink: Ink
    floor: float
    stroke: float


def estimate_ink(levels: Ink) -> Page:
    """Return the page of grey levels (H, W) from 0 to 1, dark on light or light on dark.

    Shadows multiply the light of paper and ink alike. So the paper is estimated at every pixel by a
    morphological closing (strokes are narrower than its window, shadows are not), and ink is 1 - grey /
    paper. The first window is wide, for strokes of any width; the second fits the estimated width of the
    strokes.
    """
    levels = levels if _is_dark_on_light(levels) else 1 - levels
    ink = _estimate_absorption(levels, max(levels.shape) / 8)
    floor = _estimate_noise_floor(ink)
    stroke = _estimate_stroke_width(ink > max(floor, 0.4 * _estimate_strength(ink, floor)))
    if stroke == 0:
        return Page(ink, floor, 0.0)
    ink = _estimate_absorption(levels, max(4.0 * stroke, 8.0))
    floor = _estimate_noise_floor(ink)
    if stroke > 3 and floor > _FAINTEST:
        from scipy import ndimage

        ink = ndimage.gaussian_filter(ink, min(0.2 * stroke, 3.0))
        floor = _estimate_noise_floor(ink)
    return Page(ink, floor, _estimate_stroke_width(ink > max(floor, 0.4 * _estimate_strength(ink, floor))))


def downsample(levels: Ink, factor: int) -> Ink:
    """Return the means of blocks of factor x factor pixels; the last block of an axis may be smaller."""
    if factor <= 1:
        return levels
    height, width = levels.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    sums = np.add.reduceat(np.add.reduceat(levels, rows, axis=0), columns, axis=1)
    counts = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))
    return np.asarray(sums / counts, dtype=np.float32)


def binarise(page: Page, fraction: float = 0.45) -> Mask:
    """Return the mask of the strokes: ink of at least `fraction` of the strongest ink nearby.

    The local threshold separates the digits from what is fainter (ruled lines, stains).
    """
    from scipy import ndimage

    window = max(3, round(8 * page.stroke))
    factor = max(1, int(page.stroke / 3))
    small = page.ink
    if factor > 1:  # maxima of blocks
        height, width = (-(-n // factor) * factor for n in small.shape)
        padded = np.pad(small, ((0, height - small.shape[0]), (0, width - small.shape[1])))
        small = padded.reshape(height // factor, factor, -1, factor).max(axis=(1, 3))
    small = ndimage.maximum_filter(small, max(3, window // factor))
    small = ndimage.uniform_filter(small, max(3, window // factor // 2))
    nearby = np.repeat(np.repeat(small, factor, axis=0), factor, axis=1) if factor > 1 else small
    nearby = nearby[: page.ink.shape[0], : page.ink.shape[1]]
    return np.asarray(page.ink > np.maximum(page.floor, fraction * nearby))


def _is_dark_on_light(levels: Ink) -> bool:
    """Return whether strokes are dark: whether most of the deviation from the local median is downwards."""
    from scipy import ndimage

    small = downsample(levels, max(1, round(max(levels.shape) / _SIDE)))
    ground = ndimage.median_filter(downsample(small, 6), 11, mode="nearest")
    relief = small - ground.repeat(6, 0).repeat(6, 1)[: small.shape[0], : small.shape[1]]
    spread = 4 * float(np.quantile(np.abs(relief), 0.3)) / 0.385
    dark = float(np.square(relief[relief < -spread]).sum())
    light = float(np.square(relief[relief > spread]).sum())
    return dark >= light


def _estimate_absorption(levels: Ink, window: float) -> Ink:
    """Return 1 - grey / paper; the paper is a closing with a window of this many pixels."""
    from scipy import ndimage

    factor = max(1, min(int(window / 12), round(max(levels.shape) / 100)))
    small = downsample(levels, factor)
    side = max(3, round(window / factor)) | 1
    if min(small.shape) > 8:
        small = ndimage.uniform_filter(small, 3, mode="nearest")
    paper = ndimage.grey_closing(small, size=(side, side), mode="nearest")
    paper = ndimage.uniform_filter(paper, max(3, side // 3), mode="nearest")
    paper = _upsample(paper, factor, levels.shape)
    ink = 1 - levels / np.maximum(paper, 0.02)
    ink -= np.float32(np.median(ink[:: max(1, ink.shape[0] // 500), :: max(1, ink.shape[1] // 500)]))
    return np.asarray(np.clip(ink, -1, 1), dtype=np.float32)


def _upsample(small: Ink, factor: int, shape: tuple[int, ...]) -> Ink:
    """Return a downsampled picture in its former shape, linear between the centres of the blocks."""
    if factor <= 1:
        return small
    for axis in (0, 1):
        rows = np.clip((np.arange(shape[axis]) - (factor - 1) / 2) / factor, 0, small.shape[axis] - 1)
        low = np.minimum(rows.astype(np.intp), max(0, small.shape[axis] - 2))
        weight = (rows - low).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight
        high = np.minimum(low + 1, small.shape[axis] - 1)
        small = small.take(low, axis) * (1 - weight) + small.take(high, axis) * weight
    return small


def _estimate_noise_floor(ink: Ink) -> float:
    """Return the threshold below which ink is noise of the paper."""
    step = max(1, int(np.sqrt(ink.size / 1_000_000)))
    sample = ink[::step, ::step]
    noise = float(np.quantile(np.abs(sample), 0.5)) / 0.6745
    return max(_FAINTEST, _NOISE * noise)


def _estimate_strength(ink: Ink, floor: float) -> float:
    """Return the usual strength of strokes, the upper quintile of the ink above the floor."""
    step = max(1, int(np.sqrt(ink.size / 1_000_000)))
    sample = ink[::step, ::step]
    above = sample[sample > floor]
    return float(np.quantile(above, 0.8)) if above.size else 0.0


def _estimate_stroke_width(mask: Mask) -> float:
    """Return the usual width of the strokes, in pixels; 0 if there are none."""
    from scipy import ndimage

    if mask.size > 4_000_000:  # a band through the middle of a large picture does not always meet a digit
        mask = mask[::2, ::2]
        return 2 * _estimate_stroke_width(mask)
    if not mask.any():
        return 0.0
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))
    ridge = depth[(depth >= 1) & (depth == ndimage.maximum_filter(depth, 3))]
    ridge = ridge[ridge > 1] if (ridge > 1).sum() > 20 else ridge  # specks have depth 1
    return max(1.0, 2 * float(np.median(ridge)) - 0.5)
