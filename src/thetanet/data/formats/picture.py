"""Picture files as grey levels, decoded with Pillow."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import DataFileError, MissingExtraError

Grey = npt.NDArray[np.uint8]

MOST_PIXELS = 50_000_000  # larger pictures are refused before they are decoded
# What Pillow decodes by itself: it would hand EPS to an interpreter, Ghostscript.
_FORMATS = ["PNG", "JPEG", "GIF", "BMP", "DIB", "PPM", "TIFF", "WEBP", "JPEG2000", "TGA", "PCX", "ICO"]


def read_picture(path: str | os.PathLike[str] | IO[bytes], most_pixels: int = MOST_PIXELS) -> Grey:
    """Read a PNG, JPEG, GIF, BMP, TIFF, WebP, AVIF, PPM or JPEG 2000 picture as grey levels.

    The camera's orientation mark is obeyed. Transparent parts become white, or black where the
    strokes are light; where most of the picture is opaque they take its own background's grey.
    Of an animation the first picture is read.

    Parameters
    ----------
    path : path of the file, or a binary file that is open
    most_pixels : int
        Larger pictures are refused, before they are decoded.

    Returns
    -------
    array of shape (H, W), uint8
        0 is black, 255 is white.

    Raises
    ------
    DataFileError
        If the file is missing, is not a picture, is truncated or has too many pixels (more than 50 million).
    MissingExtraError
        If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("reading pictures", "picture") from error
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else "the file"
    formats = _FORMATS + ["AVIF"] * (find_spec("PIL.AvifImagePlugin") is not None)  # older ones have none
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures (we refuse them) and of oddities in marks that we do not use.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=formats) as image:
                width, height = image.size
                if width * height > most_pixels:
                    raise DataFileError(_describe_size(name, f"{width} x {height} pixels", most_pixels))
                return _convert_to_grey(ImageOps.exif_transpose(image))
    except DataFileError:
        raise
    except Image.DecompressionBombError as error:
        raise DataFileError(_describe_size(name, "far too many pixels", most_pixels)) from error
    except FileNotFoundError as error:
        raise DataFileError(f"{name}: there is no such file") from error
    except UnidentifiedImageError as error:
        raise DataFileError(f"{name}: not a picture that can be read; save it as PNG or JPEG") from error
    except Exception as error:  # a broken file can make Pillow's decoders raise nearly anything
        raise DataFileError(
            f"{name}: the picture cannot be read ({error or type(error).__name__}); "
            "the file is truncated, damaged or not readable: save it again as PNG or JPEG"
        ) from error


def _describe_size(name: str, size: str, most: int) -> str:
    """Return the message for a picture of too many pixels."""
    return f"{name}: the picture has {size}; at most {most // 1_000_000} million are read: scale it down"


def _convert_to_grey(image: Any) -> Grey:
    """Return the grey levels of an opened Pillow image of any mode."""
    if image.mode.startswith(("I", "F")):  # 16 and 32 bits: Pillow's own conversion would clip them
        deep = np.asarray(image, dtype=np.float64)
        if not np.isfinite(deep).all():
            raise ValueError("it holds values that are not numbers")
        if image.mode == "F":
            low, high = float(deep.min()), float(deep.max())
            deep = (deep - low) * (255 / (high - low)) if high > low else np.zeros_like(deep)
        elif image.mode != "I" or deep.max() > 255:
            deep = deep / 257
        return np.asarray(np.clip(np.rint(deep), 0, 255), dtype=np.uint8)
    if not (image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info):
        return np.array(image.convert("L"))
    colours = image.convert("RGBA")
    alpha = np.asarray(colours.getchannel("A"))
    grey = np.asarray(colours.convert("RGB").convert("L"))
    opacity = float(alpha.mean()) / 255
    if opacity in (0.0, 1.0):
        return np.array(grey) if opacity else np.full_like(grey, 255)
    visible = np.bincount(grey.ravel(), weights=alpha.ravel(), minlength=256).cumsum()
    median = int(np.searchsorted(visible, visible[-1] / 2))
    # Mostly opaque: a sheet with transparent corners, its median is the paper. Otherwise only the
    # strokes are visible, and the background must differ from them.
    ground = float(median) if opacity > 0.5 else (255.0 if median < 128 else 0.0)
    opaque = alpha.astype(np.float32) / 255
    return np.asarray(np.rint(grey * opaque + ground * (1 - opaque)), dtype=np.uint8)
