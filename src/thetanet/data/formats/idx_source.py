"""Parts of IDX files, read at their place in the file; those compressed with gzip are unpacked first."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from thetanet.data.formats.idx import find_idx, inflated, read_header
from thetanet.data.formats.npy import Array, NpyPart, stamp_of
from thetanet.data.source import ROWS, Source
from thetanet.data.spool import origin_of
from thetanet.data.temporary import TemporaryFolder, room_for
from thetanet.errors import DataFileError

_GZIP = b"\x1f\x8b"
_AGAIN = "the file is damaged or the download broke off: fetch it again"


def idx_source(images: str | os.PathLike[str], labels: str | os.PathLike[str], rows: int = ROWS) -> Source:
    """Return a source of two IDX files: images (uint8, 2 or more dimensions) and labels (whole numbers).

    Files compressed with gzip are unpacked into a temporary folder (TMPDIR), kept as long as the source.

    Raises
    ------
    DataFileError
        If they are no such files, are damaged, or do not fit each other.
    """
    folder = None
    arrays: list[Array] = []
    for path in (images, labels):
        name = os.path.abspath(path)
        try:
            with open(name, "rb") as file:
                packed = file.read(2) == _GZIP
                file.seek(0)
                if packed:
                    folder = folder or TemporaryFolder()
                    arrays.append(_unpacked(file, name, os.path.join(folder.name, f"{len(arrays)}.raw")))
                else:
                    arrays.append(_array(file, name))
        except OSError as problem:
            raise DataFileError(f"{name}: cannot be read ({problem.strerror}); check the path") from problem
    X, y = arrays
    if len(X.shape) < 2 or X.dtype != "|u1":
        raise DataFileError(f"{images}: holds {len(X.shape)}-dimensional {X.dtype} numbers; images are uint8")
    if len(y.shape) != 1 or np.dtype(y.dtype).kind == "f":
        raise DataFileError(f"{labels}: holds {len(y.shape)}-dimensional {y.dtype} numbers, not labels")
    if X.shape[0] != y.shape[0]:
        raise DataFileError(
            f"{images}: has {X.shape[0]:,} images, but {labels} has {y.shape[0]:,} labels; "
            "give two files of the same data set"
        )
    M, name = X.shape[0], str(Path(images).parent)
    origin = () if folder is None else origin_of(images, labels)
    parts = [NpyPart(X, y, low, min(low + rows, M), origin) for low in range(0, M, rows)]
    return Source(name, parts, folder=folder)


def idx_folder_source(folder: str | os.PathLike[str], which: str = "train", rows: int = ROWS) -> Source:
    """Return a source of the "train" or the "t10k" (test) files of a folder laid out as MNIST.

    Raises
    ------
    DataFileError
        If one is missing or damaged.
    """
    images, labels = (
        find_idx(Path(folder), f"{which}-images", 3),
        find_idx(Path(folder), f"{which}-labels", 1),
    )
    if images is None or labels is None:
        raise DataFileError(f"{folder}: no {which}-images-idx3-ubyte and {which}-labels-idx1-ubyte in it")
    return idx_source(images, labels, rows)


def _array(file: io.BufferedReader, name: str) -> Array:
    """Find the numbers of a plain IDX file."""
    stamp = stamp_of(file.fileno())
    dtype, shape = read_header(file, name)
    begins = file.tell()
    needed = begins + _size(dtype, shape)
    if needed != stamp[0]:
        raise DataFileError(f"{name}: its header announces {needed:,} bytes, it has {stamp[0]:,}; {_AGAIN}")
    return Array(name, begins, tuple(shape), dtype.str, stamp)


def _unpacked(file: io.BufferedReader, name: str, to: str) -> Array:
    """Write the numbers of a compressed IDX file to a file of their own, never more than it announces."""
    content = inflated(file, name)
    dtype, shape = read_header(content, name)
    left = _size(dtype, shape)
    with room_for(name), open(to, "wb") as plain:
        while left and (piece := content.read(min(left, 1 << 20))):
            plain.write(piece)
            left -= len(piece)
    if left or content.read(1):
        how_many = "fewer" if left else "more"
        raise DataFileError(f"{name}: holds {how_many} numbers than it announces; {_AGAIN}")
    return Array(to, 0, tuple(shape), dtype.str, stamp_of(to))


def _size(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    return math.prod(shape) * dtype.itemsize
