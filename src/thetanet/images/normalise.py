"""Views of images: the same digit without its slant, or brought to a standard width or extent.

People write slanted, narrow or wide. A network that sees every image brought to a standard has less to learn
(LeCun et al. 1998 call it deslanting), and networks that see different views make different mistakes: a
committee of them is better than one of equals (Meier, Ciresan, Gambardella & Schmidhuber 2011). How an image
is changed depends on the image, so a view cannot be folded into Theta(1); it stands before the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError
from thetanet.images.deform import Deform, Drawn, basis, warp

_INK = 1 / 6  # of an image's fullest ink: fainter pixels do not count for a width
_WIDTH = 4 / 7  # of the side: 16 of 28 pixels
_SPREAD = 3 / 14, 5 / 28  # standard deviation of the ink along both sides: 6 and 5 of 28 pixels
_FACTORS = (
    (0.6, 1.6),
    (0.3, 1.6),
)  # the least and the largest factor for height and width, for scales in "even"
_MOST = 1e30  # ink: sums of squares of more would overflow
_SMOOTH = 0.14  # of a field that is zero; any would do


def image_views(
    X: Any, views: Sequence[str] = ("upright",), shape: tuple[int, int] | None = None
) -> NDArray[Any]:
    """Return views of images side by side: one row for each image, as many times as wide as there are views.

    Parameters
    ----------
    X : array of shape (M, h * w)
        Images, uint8 or floating point; 0 is paper.
    views : sequence of str
        "raw": the image as it is. "upright": its slant is taken away, its centre of mass is in the middle.
        "even": upright, and scaled so that the ink extends equally far in all images along both sides.
        "wide": its box is scaled to 4/7 of the frame's width. "upright-wide": both.
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
    >>> from thetanet import image_views, load_mnist
    >>> image_views(load_mnist()[2], ["raw", "upright"]).shape
    (10000, 1568)
    """
    X = np.asarray(X)
    shape = Deform(shape=shape).shape_of(X)
    unknown = [view for view in views if view not in VIEWS]
    if unknown or not views:
        raise InputError(f"views={list(views)!r}: give at least one of {', '.join(VIEWS)}")
    X = np.ascontiguousarray(X.reshape(len(X), -1))
    if X.dtype.kind == "f" and X.size and not (X.min() > -_MOST and X.max() < _MOST):
        raise InputError(
            "X holds NaN, infinity, or numbers too large for a moment: images are 0 to 1 or 0 to 255"
        )
    seen = [VIEWS[view](X, shape) for view in views]
    return seen[0] if len(seen) == 1 else np.concatenate(seen, axis=1)


def _upright(X: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Take away the slant: each row is shifted, so that rows and columns of the ink are uncorrelated."""
    middle, rr, rc, _ = _moments(X, shape)
    affine = np.zeros((len(X), 2, 3))
    affine[:, 0, 0] = affine[:, 1, 1] = 1
    affine[:, 1, 0] = rc / np.maximum(rr, 1e-3)
    affine[:, :, 2] = -middle
    return _mapped(X, shape, affine)


def _even(X: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    X = _upright(X, shape)
    middle, rr, _, cc = _moments(X, shape)
    affine = np.zeros((len(X), 2, 3))
    for axis, square in enumerate((rr, cc)):
        factor = np.sqrt(square) / (_SPREAD[axis] * shape[axis])
        affine[:, axis, axis] = np.clip(factor, *_FACTORS[axis])
    affine[:, :, 2] = -middle
    return _mapped(X, shape, affine)


def _wide(X: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    h, w = shape
    columns = (_INK * X.max(axis=1, keepdims=True) < X).reshape(-1, h, w).any(axis=1)
    first, last = columns.argmax(axis=1), w - 1 - columns[:, ::-1].argmax(axis=1)
    affine = np.zeros((len(X), 2, 3))
    affine[:, 0, 0] = 1
    affine[:, 1, 1] = np.clip((last - first + 1) / (_WIDTH * w), 0.3, 2.0)
    affine[:, 1, 2] = (w - 1) / 2 - (first + last) / 2
    return _mapped(X, shape, affine)


VIEWS: dict[str, Callable[[NDArray[Any], tuple[int, int]], NDArray[Any]]] = {
    "raw": lambda X, shape: X,
    "upright": _upright,
    "even": _even,
    "wide": _wide,
    "upright-wide": lambda X, shape: _wide(_upright(X, shape), shape),
}


def _moments(X: NDArray[Any], shape: tuple[int, int]) -> tuple[NDArray[Any], ...]:
    """Return the centre of mass from the middle (M, 2), and variances and covariance of the ink (M,) each."""
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


def _mapped(X: NDArray[Any], shape: tuple[int, int], affine: NDArray[Any]) -> NDArray[Any]:
    """Show each image through its affine map (`thetanet.images.deform.Drawn`)."""
    affine = affine.astype(np.float32)
    bases = basis(shape[0], _SMOOTH), basis(shape[1], _SMOOTH)
    few = bases[0].shape[1], bases[1].shape[1]

    def draw(n: int, low: int) -> Drawn:
        still = np.zeros((n, 2, *few), np.float32), np.zeros(n, np.float32)
        return Drawn(np.ascontiguousarray(affine[low : low + n]), *still)

    return warp(X, shape, draw, bases)
