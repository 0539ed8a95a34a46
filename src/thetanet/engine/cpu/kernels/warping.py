"""Deformation of images by smooth displacements: each pixel of the new image is sampled from the old one."""

from __future__ import annotations

import numpy as np
from numba import njit

from thetanet.engine.cpu.kernels.barrier import OPTIONS

_FAINT = np.float32(1 / 16)  # share of the brightest pixel below which a pixel is not ink
_ATTEMPTS = 3
_LANES = 8


@njit(**OPTIONS)
def add_weighted_rows(line, rows, factors):
    """Add the sum over k of factors[k] rows[k] to a line, three at a time so that it is loaded less often."""
    k, n = 0, len(rows)
    while k + 3 <= n:
        c0, c1, c2 = factors[k], factors[k + 1], factors[k + 2]
        r0, r1, r2 = rows[k], rows[k + 1], rows[k + 2]
        for j in range(len(line)):
            line[j] += c0 * r0[j] + c1 * r1[j] + c2 * r2[j]
        k += 3
    while k < n:
        c0, r0 = factors[k], rows[k]
        for j in range(len(line)):
            line[j] += c0 * r0[j]
        k += 1


@njit(**OPTIONS)
def displace(place, affine, elastic, rows, columns, between, h, w, y, x):
    """Write to `place` where each pixel is sampled: affine about the middle, plus elastic.

    Written for as many pixels as there are rows and columns, from (y, x) on, which may lie outside of the
    frame of h x w. The elastic part is rows elastic columns, a smooth random field of few numbers.
    """
    middle_y, middle_x = np.float32((h - 1) / 2), np.float32((w - 1) / 2)
    for axis in range(2):
        to_y, to_x = affine[axis, 0], affine[axis, 1]
        origin = (middle_x if axis else middle_y) - affine[axis, 2]
        between[:] = 0
        for r in range(elastic.shape[1]):
            add_weighted_rows(between[r], columns, elastic[axis, r])
        for i in range(len(rows)):
            line = place[axis, i]
            base = to_y * (np.float32(i + y) - middle_y) + origin
            for j in range(len(line)):
                line[j] = base + to_x * (np.float32(j + x) - middle_x)
            add_weighted_rows(line, between, rows[i])


@njit(**OPTIONS)
def interpolate(seen, place, image, h, w, H, W, at):
    """Write the image at H x W places, bilinear; `image` has a border of one pixel before and two behind."""
    pixels = image.reshape(-1)
    stride = np.int32(w + 3)
    one, bottom, end = np.float32(1), np.float32(h + 1), np.float32(w + 1)
    zero = np.float32(0)
    for i in range(H):
        down, right = place[0, i], place[1, i]
        for j in range(len(down)):  # first what goes by full vectors
            y = min(max(down[j] + one, zero), bottom)
            x = min(max(right[j] + one, zero), end)
            top, left = np.int32(y), np.int32(x)
            at[j] = top * stride + left
            down[j] = y - np.float32(top)
            right[j] = x - np.float32(left)
        for j in range(W):
            q = np.uint32(at[j])
            u = right[j]
            upper = pixels[q] + u * (pixels[q + 1] - pixels[q])
            lower = pixels[q + stride] + u * (pixels[q + stride + 1] - pixels[q + stride])
            seen[i * W + j] = upper + down[j] * (lower - upper)


@njit(**OPTIONS)
def has_ink_at_edge(seen, h, w, faint):
    """Return whether there is ink in the outermost pixels, so that there may be some beyond."""
    inked = False
    for j in range(w):
        inked |= seen[j] > faint or seen[(h - 1) * w + j] > faint
    for i in range(h):
        inked |= seen[i * w] > faint or seen[i * w + w - 1] > faint
    return inked


@njit(**OPTIONS)
def find_window(inked, n, margin):
    """Return where to begin n of n + 2 margin lines to have those with ink inside; -1 if they do not fit."""
    first, last = 0, len(inked) - 1
    while first < last and not inked[first]:
        first += 1
    while last > first and not inked[last]:
        last -= 1
    if margin == 0:
        return 0
    if last - first >= n or first == 0 or last == len(inked) - 1:
        return -1
    return max(min(margin, first), last - n + 1)


@njit(**OPTIONS)
def mark_ink(seen, H, W, faint, inked_rows, inked_columns):
    """Mark the rows and columns that hold ink."""
    inked_rows[:], inked_columns[:] = False, False
    for i in range(H):
        for j in range(W):
            if seen[i * W + j] > faint:
                inked_rows[i] = inked_columns[j] = True


@njit(**OPTIONS)
def halve_deformation(affine, elastic):
    """Halve a deformation in place."""
    for axis in range(2):
        affine[axis, axis] -= 1
        affine[axis] *= np.float32(0.5)
        affine[axis, axis] += 1
    elastic *= np.float32(0.5)


@njit(**OPTIONS)
def warp(X, out, h, w, affine, elastic, pen, rows, columns, integers):
    """Warp the images, rows of X, into rows of `out`; `integers` rounds to whole numbers.

    `rows` and `columns` may describe the field in a margin around the frame too. Then an image whose ink
    would leave the frame on one side is shifted back by whole pixels; if there is no room on the other side,
    its deformation is halved first (`affine` and `elastic` are changed).
    """
    H, W = rows.shape[0], columns.shape[1]
    my, mx = (H - h) // 2, (W - w) // 2
    inner_rows = rows[my : my + h]
    # Lines of full vectors, filled up with zeros: what is seen there is not used.
    inner_columns = np.zeros((len(columns), -(-w // _LANES) * _LANES), np.float32)
    inner_columns[:, :w] = columns[:, mx : mx + w]
    outer_columns = np.zeros((len(columns), -(-W // _LANES) * _LANES), np.float32)
    outer_columns[:, :W] = columns
    image = np.zeros((h + 3, w + 3), np.float32)
    place = np.empty((2, h, inner_columns.shape[1]), np.float32)
    outer_place = np.empty((2, H, outer_columns.shape[1]), np.float32)
    seen, at = np.empty(H * W, np.float32), np.empty(outer_columns.shape[1], np.int32)
    between = np.empty((rows.shape[1], inner_columns.shape[1]), np.float32)
    outer_between = np.empty((rows.shape[1], outer_columns.shape[1]), np.float32)
    inked_rows, inked_columns = np.empty(H, np.bool_), np.empty(W, np.bool_)
    half, one = np.float32(0.5 if integers else 0), np.float32(1)
    for n in range(len(X)):
        brightest = np.float32(0)
        for i in range(h):
            for j in range(w):
                v = np.float32(X[n, i * w + j])
                image[i + 1, j + 1] = v
                brightest = max(brightest, v)
        begin, stride = 0, w
        for attempt in range(_ATTEMPTS):
            displace(place, affine[n], elastic[n], inner_rows, inner_columns, between, h, w, 0, 0)
            interpolate(seen, place, image, h, w, h, w, at)
            begin, stride = 0, w
            if my + mx == 0 or not has_ink_at_edge(seen, h, w, _FAINT * brightest):
                break
            displace(outer_place, affine[n], elastic[n], rows, outer_columns, outer_between, h, w, -my, -mx)
            interpolate(seen, outer_place, image, h, w, H, W, at)
            mark_ink(seen, H, W, _FAINT * brightest, inked_rows, inked_columns)
            y, x = find_window(inked_rows, h, my), find_window(inked_columns, w, mx)
            if y >= 0 and x >= 0:
                begin, stride = y * W + x, W
                break
            begin, stride = my * W + mx, W
            if attempt < _ATTEMPTS - 1:
                halve_deformation(affine[n], elastic[n])
        curve, inverse = pen[n], one / brightest if brightest > 0 else one
        for i in range(h):
            for j in range(w):
                v = seen[begin + i * stride + j]
                v += curve * v * (one - v * inverse) + half
                if integers:
                    out[n, i * w + j] = np.int32(v)
                else:
                    out[n, i * w + j] = v
