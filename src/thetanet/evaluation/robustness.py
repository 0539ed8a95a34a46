"""Errors on changed images: shifted, turned, scaled, thinned, thickened, noisy, blurred, inverted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thetanet.errors import InputError
from thetanet.images.deform import WarpParameters, warp
from thetanet.models.fitted import FittedNetwork

Change = Callable[[NDArray[Any]], NDArray[Any]]  # images (M, h, w) to images


def robustness(
    net: FittedNetwork, X: Any, y: Any, shape: tuple[int, int] | None = None, seed: int = 0
) -> Iterator[tuple[str, float]]:
    """Yield (change, share of errors), one for each way of changing the images.

    Where a change has a direction, the share is the mean over its directions.

    Parameters
    ----------
    net : fitted network
        For images.
    X : array of shape (M, h * w)
        Images, ink on a ground of 0.
    y : array of shape (M,)
        Labels.
    shape : (h, w), optional
        Square if left out.
    seed : int
        Of the noise.

    Raises
    ------
    InputError
        If the rows of X are no images.
    """
    X, y = np.asarray(X), np.asarray(y)
    side = round(X.shape[1] ** 0.5) if X.ndim == 2 else 0
    h, w = (side, side) if shape is None else shape
    if X.ndim != 2 or h * w != X.shape[1] or not len(X):
        raise InputError(
            f"X has shape {X.shape}: each row must hold the h x w pixels of an image; give shape"
        )
    if X.dtype != np.uint8:
        X = X.astype(np.float32)
    images = X.reshape(-1, h, w)
    for name, ways in changes(images, seed).items():
        wrong = [np.mean(net.predict(change(images).reshape(len(X), -1)) != y) for change in ways]
        yield name, float(np.mean(wrong))


def changes(images: NDArray[Any], seed: int = 0) -> dict[str, list[Change]]:
    """Return the changes by name, each in all its directions."""
    top = 255 if images.dtype == np.uint8 else float(images.max(initial=0))
    found: dict[str, list[Change]] = {"as they are": [lambda images: images]}
    for n in (1, 2, 3):
        directions = [(n, 0), (-n, 0), (0, n), (0, -n)]
        found[f"shifted by {n} pixel{'s' if n > 1 else ''}"] = [
            partial(affine, shift=direction) for direction in directions
        ]
    for angle in (5, 10, 15, 20, 30):
        found[f"rotated by {angle} degrees"] = [partial(affine, angle=sign * angle) for sign in (1, -1)]
    for factor in (0.8, 0.9, 1.1, 1.2):
        found[f"scaled by {factor}"] = [partial(affine, factor=factor)]
    found["thinner by a pixel"] = [partial(ndimage.grey_erosion, size=(1, 2, 2))]
    found["thicker by a pixel"] = [partial(ndimage.grey_dilation, size=(1, 2, 2))]
    found["blurred (sigma 1)"] = [partial(ndimage.gaussian_filter, sigma=(0, 1, 1))]
    for share in (0.1, 0.2, 0.3):
        found[f"noise of {share:.0%} of the ink"] = [
            partial(_noisy, deviation=share * top, top=top, seed=seed)
        ]
    found["inverted"] = [lambda images: (top - images).astype(images.dtype)]
    return found


def affine(
    images: NDArray[Any], angle: float = 0.0, factor: float = 1.0, shift: tuple[float, float] = (0, 0)
) -> NDArray[Any]:
    """Return images turned counter-clockwise (degrees), scaled about the middle, shifted by (y, x)."""
    h, w = images.shape[1:]
    cos, sin = np.cos(np.radians(angle)) / factor, np.sin(np.radians(angle)) / factor
    one = np.array([[cos, sin, shift[0]], [-sin, cos, shift[1]]], np.float32)

    def draw(n: int, first: int) -> WarpParameters:
        return WarpParameters(
            np.repeat(one[None], n, axis=0), np.zeros((n, 2, 1, 1), np.float32), np.zeros(n, np.float32)
        )

    return warp(images, (h, w), draw, (np.zeros((h, 1), np.float32), np.zeros((w, 1), np.float32)))


def _noisy(images: NDArray[Any], deviation: float, top: float, seed: int) -> NDArray[Any]:
    noise = np.random.default_rng(seed).standard_normal(images.shape, np.float32) * np.float32(deviation)
    noisy = np.clip(images + noise, 0, top)
    whole: NDArray[Any] = np.rint(noisy) if images.dtype == np.uint8 else noisy
    return whole.astype(images.dtype)
