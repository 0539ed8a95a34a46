"""Normalisation of images of characters: deskewing, and scaling to a standard width or extent of the ink.

People write slanted, narrow or wide. A network of normalised images has less to learn (LeCun et al. 1998 call
it deslanting), and networks of differently normalised images make different mistakes: a committee of them is
better than one of equals (Meier, Ciresan, Gambardella & Schmidhuber 2011). The affine map depends on the
image, so it cannot be folded into Theta(1); it is applied before the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError
from thetanet.images.deform import Deform, WarpParameters, compute_elastic_basis, warp

_INK = 1 / 6  # of an image's fullest ink: fainter pixels do not count for a width
_WIDTH = 4 / 7  # of the side: 16 of 28 pixels
_SPREAD = 3 / 14, 5 / 28  # standard deviation of the ink along both sides: 6 and 5 of 28 pixels
_FACTORS = (0.6, 1.6), (0.3, 1.6)  # the least and the largest factor of height and width in "even"
_LARGEST_INK = 1e30  # sums of squares of more would overflow
_SMOOTH = 0.14  # smoothness of the elastic field, which is zero: any value would do


def normalise_images(
    X: Any, views: Sequence[str] = ("upright",), shape: tuple[int, int] | None = None
) -> NDArray[Any]:
    """Return normalised views of images, side by side in one row for each image.

    Parameters
    ----------
    X : array of shape (M, h * w)
        Images, uint8 or floating point; 0 is paper.
    views : sequence of str
        "raw": the image as it is. "upright": deskewed, so that rows and columns of the ink are uncorrelated,
        with the centre of mass in the middle. "even": deskewed, and scaled to the same standard deviations of
        the ink along both sides. "wide": the bounding box scaled to 4/7 of the frame's width. "upright-wide":
        deskewed, then "wide".
    shape : (h, w), optional
        Of the images, if they are not square.

    Returns
    -------
    array of shape (M, len(views) * h * w)
        Of the type of X.

    Raises
    ------
    InputError
        If X does not hold images, holds NaN, infinity or numbers beyond 1e30, or a view is unknown.

    Examples
    --------
    >>> from thetanet import load_mnist, normalise_images
    >>> normalise_images(load_mnist()[2], ["raw", "upright"]).shape
    (10000, 1568)
    """
    X = np.asarray(X)
    shape = Deform(shape=shape).shape_of(X)
    unknown = [view for view in views if view not in NORMALISATIONS]
    if unknown or not views:
        raise InputError(f"views={list(views)!r}: give at least one of {', '.join(NORMALISATIONS)}")
    X = np.ascontiguousarray(X.reshape(len(X), -1))
    if X.dtype.kind == "f" and X.size and not (X.min() > -_LARGEST_INK and X.max() < _LARGEST_INK):
        raise InputError(
            "X holds NaN, infinity, or numbers too large for a moment: images are 0 to 1 or 0 to 255"
        )
    normalised = [NORMALISATIONS[view](X, shape) for view in views]
    return normalised[0] if len(normalised) == 1 else np.concatenate(normalised, axis=1)


def _deskew(X: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return deskewed images: each row is shifted, so that rows and columns of the ink are uncorrelated."""
    middle, rr, rc, _ = _compute_moments(X, shape)
    affine = np.zeros((len(X), 2, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = 1
    affine[:, 1, 0] = rc / np.maximum(rr, 1e-3)
    affine[:, :, 2] = -middle
    return _apply_affine(X, shape, affine)


def _normalise_moments(X: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return deskewed images, scaled to the same standard deviations of the ink along both sides."""
    X = _deskew(X, shape)
    middle, rr, _, cc = _compute_moments(X, shape)
    affine = np.zeros((len(X), 2, 3))
    for axis, square in enumerate((rr, cc)):
        factor = np.sqrt(square) / (_SPREAD[axis] * shape[axis])
        affine[:, axis, axis] = np.clip(factor, *_FACTORS[axis])
    affine[:, :, 2] = -middle
    return _apply_affine(X, shape, affine)


def _normalise_width(X: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return images with the bounding box of the ink scaled to the same width."""
    h, w = shape
    columns = (_INK * X.max(axis=1, keepdims=True) < X).reshape(-1, h, w).any(axis=1)
    first, last = columns.argmax(axis=1), w - 1 - columns[:, ::-1].argmax(axis=1)
    affine = np.zeros((len(X), 2, 3))
    affine[:, 0, 0] = 1
    affine[:, 1, 1] = np.clip((last - first + 1) / (_WIDTH * w), 0.3, 2.0)
    affine[:, 1, 2] = (w - 1) / 2 - (first + last) / 2
    return _apply_affine(X, shape, affine)


NORMALISATIONS: dict[str, Callable[[NDArray[Any], tuple[int, int]], NDArray[Any]]] = {
    "raw": lambda X, shape: X,
    "upright": _deskew,
    "even": _normalise_moments,
    "wide": _normalise_width,
    "upright-wide": lambda X, shape: _normalise_width(_deskew(X, shape), shape),
}


def _compute_moments(X: NDArray[Any], shape: tuple[int, int]) -> tuple[NDArray[Any], ...]:
    """Return the centre of mass (M, 2) from the middle, and variances and covariance (M,) of the ink."""
    h, w = shape
    r, c = (np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2) for n in shape)
    one, other = np.ones(h, np.float32), np.ones(w, np.float32)
    # Each moment is one weighted sum of the pixels: all of them are one product.
    powers = [(one, other), (r, other), (one, c), (r * r, other), (r, c), (one, c * c)]
    weights = np.stack([np.multiply.outer(a, b).ravel() for a, b in powers], axis=1)
    ink = np.maximum(X.astype(np.float32), 0) @ weights
    mass = np.where(ink[:, 0] > 0, ink[:, 0], 1)  # an empty image stays as it is
    row, column, rr, rc, cc = (ink[:, 1:] / mass[:, None]).T
    return np.stack([row, column], axis=1), rr - row * row, rc - row * column, cc - column * column


def _apply_affine(X: NDArray[Any], shape: tuple[int, int], affine: NDArray[Any]) -> NDArray[Any]:
    """Return each image under its affine map (M, 2, 3), see `thetanet.images.deform.WarpParameters`."""
    affine = affine.astype(np.float32)
    bases = compute_elastic_basis(shape[0], _SMOOTH), compute_elastic_basis(shape[1], _SMOOTH)
    rank = bases[0].shape[1], bases[1].shape[1]

    def draw(n: int, low: int) -> WarpParameters:
        elastic, pen = np.zeros((n, 2, *rank), np.float32), np.zeros(n, np.float32)
        return WarpParameters(np.ascontiguousarray(affine[low : low + n]), elastic, pen)

    return warp(X, shape, draw, bases)
