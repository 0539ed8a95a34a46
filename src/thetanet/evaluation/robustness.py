"""Errors on changed images: shifted, turned, scaled, thinned, thickened, noisy, blurred, inverted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from thetanet.data.door import make_source
from thetanet.data.source import Source
from thetanet.errors import InputError
from thetanet.images.deform import WarpParameters, warp
from thetanet.models.fitted import network_of

Change = Callable[[NDArray[Any]], NDArray[Any]]  # images (M, h, w) to images


def robustness(
    net: Any,
    X: Any,
    y: Any = None,
    shape: tuple[int, int] | None = None,
    seed: int = 0,
    *,
    on_change: Callable[[str], object] | None = None,
) -> dict[str, float]:
    """Return the fraction of errors on changed images, for each change.

    Where a change has a direction, the fraction is the mean over its directions. A source is read once, one
    part after the other; sources of floating-point numbers twice, as noise and inversion need the highest
    value.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        A network for images.
    X : Source, or array or sparse matrix of shape (M, h * w)
        Images, ink on a ground of 0.
    y : array of shape (M,)
        Labels; a source has them itself.
    shape : (h, w), optional
        Square if left out.
    seed : int
        Of the noise.
    on_change : callable, optional
        Called with the name of each change before it is measured on a part.

    Raises
    ------
    DataFileError, InputError
        If the rows of X are no images, or do not fit the network.
    """
    network = network_of(net)
    source = network.align(make_source(X, y))
    h, w = _image_shape(network.theta.D_I, shape)
    changes = list_changes(_highest_value(source), seed)
    mistakes = {name: np.zeros(len(directions)) for name, directions in changes.items()}
    samples = 0
    for rows in source.iter_rows():
        images = _as_images(network.check_rows(rows, source.name).X, h, w)
        samples += rows.M
        for name, directions in changes.items():
            if on_change is not None:
                on_change(name)
            for n, change in enumerate(directions):
                predicted = network.predict(change(images).reshape(rows.M, -1))
                mistakes[name][n] += (predicted != rows.y).reshape(rows.M, -1).any(axis=1).sum()
    if not samples:
        raise source.empty_error()
    return {name: float(np.mean(counts / samples)) for name, counts in mistakes.items()}


def _image_shape(D_I: int, shape: tuple[int, int] | None) -> tuple[int, int]:
    side = round(D_I**0.5)
    h, w = (side, side) if shape is None else shape
    if h < 1 or h * w != D_I:
        value = "" if shape is None else f"shape={shape}: "
        raise InputError(
            f"{value}the D_I={D_I} inputs of the network are not the h x w pixels of an image; give shape"
        )
    return h, w


def _as_images(X: Any, h: int, w: int) -> NDArray[Any]:
    pixels = X if isinstance(X, np.ndarray) else X.toarray()
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float32)
    return np.asarray(pixels.reshape(-1, h, w))


def _highest_value(source: Source) -> float:
    """Return what stands for full ink: 255 for bytes, else the largest input."""
    highest = 0.0
    for rows in source.iter_rows():
        if rows.X.dtype == np.uint8:
            return 255
        highest = max(highest, float(np.float32(rows.X.max())))
    return highest


def list_changes(top: float, seed: int = 0) -> dict[str, list[Change]]:
    """Return the changes of images by name, each in all its directions.

    Parameters
    ----------
    top : float
        Value of full ink.
    seed : int
        Of the noise. It goes on from one call to the next, so that images in parts get the noise that they
        would get all at once.
    """
    changes: dict[str, list[Change]] = {"as they are": [lambda images: images]}
    for n in (1, 2, 3):
        directions = [(n, 0), (-n, 0), (0, n), (0, -n)]
        changes[f"shifted by {n} pixel{'s' if n > 1 else ''}"] = [
            partial(affine, shift=direction) for direction in directions
        ]
    for angle in (5, 10, 15, 20, 30):
        changes[f"rotated by {angle} degrees"] = [partial(affine, angle=sign * angle) for sign in (1, -1)]
    for factor in (0.8, 0.9, 1.1, 1.2):
        changes[f"scaled by {factor}"] = [partial(affine, factor=factor)]
    changes["thinner by a pixel"] = [partial(ndimage.grey_erosion, size=(1, 2, 2))]
    changes["thicker by a pixel"] = [partial(ndimage.grey_dilation, size=(1, 2, 2))]
    changes["blurred (sigma 1)"] = [partial(ndimage.gaussian_filter, sigma=(0, 1, 1))]
    for deviation in (0.1, 0.2, 0.3):
        rng = np.random.default_rng(seed)
        changes[f"noise of {deviation:.0%} of the ink"] = [
            partial(_add_noise, deviation=deviation * top, top=top, rng=rng)
        ]
    changes["inverted"] = [lambda images: (top - images).astype(images.dtype)]
    return changes


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


def _add_noise(images: NDArray[Any], deviation: float, top: float, rng: np.random.Generator) -> NDArray[Any]:
    noise = rng.standard_normal(images.shape, np.float32) * np.float32(deviation)
    noisy = np.clip(images + noise, 0, top)
    rounded: NDArray[Any] = np.rint(noisy) if images.dtype == np.uint8 else noisy
    return rounded.astype(images.dtype)
