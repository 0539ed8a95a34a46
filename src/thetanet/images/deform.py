"""Random deformations of images of characters, which make new training images of given ones.

Affine maps and elastic deformations after Simard, Steinkraus & Platt (2003), "Best practices for
convolutional neural networks applied to visual document analysis". Simard smooths a random field with a
Gaussian of standard deviation sigma. The result is a Gaussian random field with covariance exp(-d^2 / (4
sigma^2)), which a few numbers describe (Karhunen and Loeve): coefficients of the eigenvectors of the
covariance along each side of the image that explain 99.5% of its variance. For 28 pixels and sigma = 4 these
are 7 by 7 numbers instead of 784: drawing and smoothing cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thetanet.checks import check_number
from thetanet.engine.cpu.engine import available_threads
from thetanet.errors import InputError

_BLOCK = 512  # images that share a random generator, independent of the number of threads
_MARGIN = 1 / 7  # of the side, from where ink is shifted back into the frame
_EXPLAINED = 0.995  # fraction of the variance of an elastic field that its few coefficients explain
_LIMITS = {
    "rotate": 180, "scale": 2, "shear": 2, "shift": 1, "elastic": 1, "smooth": 10, "pen": 1, "anneal": 1,
}  # fmt: skip
_STRONGEST = 10  # times these limits; beyond, coordinates overflow


class WarpParameters(NamedTuple):
    """The parameters of n deformations.

    Attributes
    ----------
    affine : array of shape (n, 2, 3)
        Pixel p of the new image shows the point affine[:, :2] (p - middle) + middle - affine[:, 2] of the old
        one, plus the elastic displacement.
    elastic : array of shape (n, 2, r, q)
        Elastic displacements along both sides are B(h) elastic B(w)^T, B(n) = `compute_elastic_basis(n,
        smooth)`.
    pen : array of shape (n,)
        Ink v in [0, 1] becomes v + pen v (1 - v).
    """

    affine: NDArray[np.float32]
    elastic: NDArray[np.float32]
    pen: NDArray[np.float32]


@dataclass(frozen=True)
class Deform:
    """Random deformations of images.

    Lengths are fractions of the image's height and width, so that the same settings mean the same for images
    of any size. The numbers of the affine map are drawn from uniform distributions, the elastic field is
    normal. An image that would leave the frame on one side is shifted back; without room for that, it is
    deformed half as much.

    Parameters
    ----------
    rotate : float
        The largest angle to either side, degrees.
    scale : float
        The largest change of either side: a factor between exp(-scale) and exp(scale).
    shear : float
        The largest slant: how far a row is shifted against the row above it, in their distance.
    shift : float
        The largest shift along either side.
    elastic : float
        Standard deviation of the elastic displacement along either side. Simard's alpha and sigma (in pixels)
        make alpha / (2 sigma sqrt(3 pi)) pixels: 34 and 4 make 1.38 pixels, 0.05 of 28.
    smooth : float
        Simard's sigma: how far points go along with each other.
    pen : float
        The largest change of the pen: ink v in [0, 1] becomes v + p v (1 - v), with p from -pen to pen, so
        that strokes are wider or narrower by a fraction of a pixel.
    anneal : float
        The strength that remains at the end of a training; it begins at 1 and falls linearly.
    shape : (h, w), optional
        Of the images, where rows of X are flat and not square.

    Examples
    --------
    >>> from thetanet import Deform, load_mnist
    >>> X = load_mnist()[0][:100]
    >>> Deform(rotate=15)(X, seed=1).shape
    (100, 784)
    """

    rotate: float = 10.0
    scale: float = 0.12
    shear: float = 0.15
    shift: float = 0.035
    elastic: float = 0.05
    smooth: float = 0.14
    pen: float = 0.0
    anneal: float = 0.3
    shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, most in _LIMITS.items():
            check_number(name, getattr(self, name), least=0, most=most)

    def __call__(
        self, X: Any, *, seed: Any = 0, strength: float = 1.0, threads: int | None = None
    ) -> NDArray[Any]:
        """Return deformed images, one for each in X, of the same type.

        Parameters
        ----------
        X : array of shape (M, h * w) or (M, h, w)
            Images, uint8 or floating point. Beyond their frame lies 0.
        seed : int or sequence of int
            The same seed gives the same bits on any number of threads.
        strength : float
            Factor for all deformations, at most 10; 0 leaves the images exactly as they are.
        threads : int, optional
            None: all cores that this process may use.

        Raises
        ------
        InputError
            If X does not hold images.
        """
        check_number("strength", strength, least=0, most=_STRONGEST)
        X = np.asarray(X)
        h, w = self.shape_of(X)
        key = [int(part) for part in np.atleast_1d(seed)]

        def draw(n: int, block: int) -> WarpParameters:
            return self.draw(n, (h, w), np.random.Generator(np.random.SFC64([*key, block])), strength)

        bases = compute_elastic_basis(h, self.smooth), compute_elastic_basis(w, self.smooth)
        return warp(X, (h, w), draw, bases, threads)

    def draw(
        self, n: int, shape: tuple[int, int], rng: np.random.Generator, strength: float = 1.0
    ) -> WarpParameters:
        """Draw the parameters of n deformations of images of this shape."""
        h, w = shape
        side = np.array([h, w], np.float32)
        u = np.float32(strength) * rng.uniform(-1, 1, (6, n)).astype(np.float32)
        angle, shear = np.float32(np.radians(self.rotate)) * u[0], np.float32(self.shear) * u[1]
        tall, wide = np.exp(np.float32(self.scale) * u[2:4])
        cos, sin = np.cos(angle), np.sin(angle)
        affine = np.empty((n, 2, 3), np.float32)
        # rotation, after a slant, after the scales
        affine[:, 0, 0], affine[:, 0, 1] = (cos + sin * shear) * tall, sin * wide
        affine[:, 1, 0], affine[:, 1, 1] = (cos * shear - sin) * tall, cos * wide
        affine[:, :, 2] = u[4:6].T * np.float32(self.shift) * side
        rank = [compute_elastic_basis(n, self.smooth).shape[1] for n in shape]
        elastic = rng.standard_normal((n, 2, *rank), np.float32)
        elastic *= np.float32(strength * self.elastic) * side[:, None, None]
        pen = rng.uniform(-strength * self.pen, strength * self.pen, n).astype(np.float32)
        return WarpParameters(affine, elastic, pen)

    def shape_of(self, X: NDArray[Any]) -> tuple[int, int]:
        """Return (h, w) of the images in X.

        Raises
        ------
        InputError
            If its rows are no images of `shape`, nor square ones.
        """
        if X.ndim == 3 and self.shape in (None, X.shape[1:]):
            return int(X.shape[1]), int(X.shape[2])
        inputs = X.shape[1] if X.ndim == 2 else 0
        side = round(inputs**0.5)
        h, w = (side, side) if self.shape is None else self.shape
        if X.ndim != 2 or h * w != inputs or not inputs:
            raise InputError(
                f"X has shape {X.shape}, but rows must be the pixels of images of shape "
                f"{self.shape or '(n, n)'}: give Deform(shape=(h, w)) if they are not square; one image is "
                "X[None]"
            )
        return h, w


@cache
def compute_elastic_basis(n: int, smooth: float) -> NDArray[np.float32]:
    """Return B of shape (n + 2 margins, r), the basis of elastic fields along a side of n pixels.

    B z with z ~ N(0, I_r) has covariance exp(-d^2 / (4 sigma^2)), sigma = smooth n, but for the half percent
    of the variance that is left out. The margins are those that ink may be shifted back from.
    """
    wide = n + 2 * ceil(_MARGIN * n)
    d = np.subtract.outer(np.arange(wide), np.arange(wide))
    values, vectors = np.linalg.eigh(np.exp(-np.square(d / max(2 * smooth * n, 1e-3))))
    values, vectors = values[::-1], vectors[:, ::-1]
    r = int(np.searchsorted(np.cumsum(values), _EXPLAINED * values.sum())) + 1
    return np.ascontiguousarray(vectors[:, :r] * np.sqrt(values[:r]), dtype=np.float32)


def warp(
    X: NDArray[Any],
    shape: tuple[int, int],
    draw: Callable[[int, int], WarpParameters],
    bases: tuple[NDArray[np.float32], NDArray[np.float32]],
    threads: int | None = None,
) -> NDArray[Any]:
    """Return displaced images; `draw(n, first)` returns the parameters of n images from the first on.

    `bases` are those of both sides, as wide as the images, or wider by the same margin before and behind.
    Parameters are drawn for blocks of images, so that the result does not depend on the number of threads.

    Raises
    ------
    InputError
        If X is not uint8, float32 or float64.
    """
    # Loading the compiled loops takes a moment, so only where they run.
    from thetanet.engine.cpu import kernels

    h, w = shape
    flat = np.ascontiguousarray(X.reshape(len(X), h * w))
    if flat.dtype not in (np.uint8, np.float32, np.float64):
        raise InputError(f"X has dtype {flat.dtype}: images are uint8, float32 or float64; convert them")
    out = np.empty_like(flat)
    rows, columns = bases[0], np.ascontiguousarray(bases[1].T)

    def block(low: int) -> None:
        part = flat[low : low + _BLOCK]
        if not part.flags.writeable:  # a type of its own, for which the loops would be compiled again
            part = part.copy()
        affine, elastic, pen = draw(len(part), low)
        rounds = flat.dtype == np.uint8
        kernels.warp(part, out[low : low + _BLOCK], h, w, affine, elastic, pen, rows, columns, rounds)

    starts = range(0, len(flat), _BLOCK)
    workers = min(threads or available_threads(), len(starts))
    if workers > 1:
        with ThreadPoolExecutor(workers, thread_name_prefix="thetanet") as pool:
            list(pool.map(block, starts))
    else:
        for low in starts:
            block(low)
    return out.reshape(X.shape)
