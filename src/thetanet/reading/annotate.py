"""Annotation of a picture with the digits that were read."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import MissingExtraError
from thetanet.images.frame import scale_to_unit_range

_SURE, _UNSURE = (0, 140, 70), (214, 70, 10)  # colours of digits above and below a confidence of 0.9


def annotate(picture: npt.ArrayLike, reading: Any, path: str | os.PathLike[str]) -> None:
    """Draw a box around each digit and its label above it; write the picture as PNG.

    Parameters
    ----------
    picture : array of shape (H, W)
        The picture that was read.
    reading : Reading
        The result of `read_numbers` for it.
    path : path of the file to write

    Raises
    ------
    InputError
        If the array is not a picture.
    MissingExtraError
        If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingExtraError("drawing on pictures", "picture") from error
    levels = np.atleast_2d(np.asarray(picture))
    if levels.ndim == 2 and 0 < min(levels.shape) < 2:
        levels = np.pad(levels, [(0, max(0, 2 - n)) for n in levels.shape], mode="edge")
    image = Image.fromarray(np.rint(255 * scale_to_unit_range(levels)).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    thick = max(1, round(max(image.size) / 700))
    for digit in reading.digits:
        top, left, bottom, right = digit.box
        colour = _SURE if digit.confidence >= 0.9 else _UNSURE
        draw.rectangle(
            (left - thick, top - thick, right + thick - 1, bottom + thick - 1), outline=colour, width=thick
        )
        size = max(10, round(0.4 * (bottom - top)))
        font = ImageFont.load_default(size)
        draw.text((left, top - thick), digit.label, fill=colour, font=font, anchor="lb")
    image.save(path, format="PNG", optimize=True)
