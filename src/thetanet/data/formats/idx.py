"""IDX files, the format of MNIST: a short header, then one array of numbers, most significant byte first.

Bytes 0 and 1 are zero, byte 2 names the type of the numbers, byte 3 the number of dimensions; four bytes
follow for each dimension, then the numbers. The files are often compressed with gzip.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import DataFileError, InputError

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}
_MOST_DIMENSIONS = 64  # the format has room for 255, NumPy for 64
_GZIP = b"\x1f\x8b"
_INFLATION = 1032  # deflate cannot do better: at most 258 bytes from two bits
_PIECE = 1 << 18
_DAMAGED = "the file is damaged or the download broke off: fetch it again"


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Inflate:
    """The content of a gzip stream, never decompressed further than asked for."""

    def __init__(self, stream: _Source, name: str) -> None:
        self._stream, self._name, self._input = stream, name, b""
        self._member = zlib.decompressobj(31)

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or none at the end of the last gzip member."""
        while True:
            data = self._input or self._stream.read(_PIECE)
            if not data and self._member.eof:
                return b""
            if not data:
                raise DataFileError(f"{self._name}: the gzip stream ends too early (truncated); {_DAMAGED}")
            if self._member.eof:  # another member follows, or garbage that the next lines reject
                self._member = zlib.decompressobj(31)
            try:
                output = self._member.decompress(data, size)
            except zlib.error as error:
                raise DataFileError(
                    f"{self._name}: corrupt gzip stream, or other data behind it ({error}); {_DAMAGED}"
                ) from None
            self._input = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if output:
                return output


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an IDX file, plain or compressed with gzip (its first bytes decide, not its name).

    Memory: the array itself, plus at most a small multiple of the file. A header that announces more
    than the file can hold is rejected before anything is allocated.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    array
        The numbers in this machine's byte order, in memory of their own.

    Raises
    ------
    DataFileError
        If the file is missing, is not IDX, is truncated or damaged, or has bytes left over.

    Examples
    --------
    >>> read_idx("t10k-labels-idx1-ubyte.gz")[:3]  # doctest: +SKIP
    array([7, 2, 1], dtype=uint8)
    """
    name = str(path)
    try:
        # Opening a pipe would wait for a writer, so look first.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataFileError(f"{name}: not a regular file; give the path of an IDX file")
        with open(path, "rb") as stream:
            return parse_idx(stream, name)
    except FileNotFoundError:
        raise DataFileError(f"{name}: no such file; check the path") from None
    except OSError as error:
        raise DataFileError(f"{name}: cannot be read ({error.strerror or error}); check the path") from None
    except MemoryError:
        raise DataFileError(f"{name}: its numbers do not fit into memory; use a smaller file") from None
    except ValueError as error:
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(f"{name!r}: not a usable path ({error}); check the path") from None


def parse_idx(stream: io.BufferedIOBase, name: str) -> NDArray[Any]:
    """Read IDX from a seekable binary stream that holds nothing else; `name` is for messages."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    compressed = stream.read(2) == _GZIP
    stream.seek(0)
    source: _Source = _Inflate(stream, name) if compressed else stream
    dtype, shape = read_header(source, name)
    announced = math.prod(shape) * dtype.itemsize
    most = size * _INFLATION if compressed else size - 4 - 4 * len(shape)
    if announced > most:
        raise DataFileError(
            f"{name}: the header announces {announced} bytes for {_times(shape)} numbers, but the file of "
            f"{size} bytes cannot hold more than {max(most, 0)} (truncated, or a wrong header); {_DAMAGED}"
        )
    body = _body(source, announced, 8 * size + _PIECE, name)
    if source.read(1):
        raise DataFileError(
            f"{name}: bytes are left over after the {_times(shape)} numbers that the header announces; "
            f"{_DAMAGED}"
        )
    array = body.view(dtype)
    if dtype.byteorder == ">" and sys.byteorder == "little":
        array.byteswap(inplace=True)
    return array.view(dtype.newbyteorder("=")).reshape(shape)


def inflated(stream: io.BufferedIOBase, name: str) -> _Source:
    """Return the content of a gzip stream, to be read; `name` is for messages."""
    return _Inflate(stream, name)


def read_header(source: _Source, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read the header of IDX: the type of the numbers, and the shape."""
    magic = _take(source, 4)
    if not magic:
        raise DataFileError(f"{name}: the file is empty; {_DAMAGED}")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise DataFileError(
            f"{name}: starts with the bytes {magic.hex(' ')}, but IDX starts with 00 00, a type "
            "(08, 09, 0b, 0c, 0d or 0e) and the number of dimensions; give an IDX file"
        )
    count = magic[3]
    if not 1 <= count <= _MOST_DIMENSIONS:
        raise DataFileError(
            f"{name}: the header announces {count} dimensions, but only 1 to {_MOST_DIMENSIONS} can be read; "
            f"{_DAMAGED}"
        )
    sizes = _take(source, 4 * count)
    if len(sizes) < 4 * count:
        raise DataFileError(f"{name}: ends within the header (truncated); {_DAMAGED}")
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * count, 4))
    if 0 in shape:
        raise DataFileError(
            f"{name}: the header announces {_times(shape)} numbers: no samples; give a file that holds some"
        )
    return _DTYPES[magic[2]], shape


def _body(source: _Source, announced: int, start: int, name: str) -> NDArray[np.uint8]:
    """Read `announced` bytes into an array that grows only as data arrive, from at most `start` bytes."""
    body = np.empty(min(announced, start), np.uint8)
    filled = 0
    while filled < announced:
        if filled == body.size:
            body.resize(min(announced, 2 * filled), refcheck=False)
        piece = source.read(min(body.size - filled, 4 * _PIECE))
        if not piece:
            raise DataFileError(
                f"{name}: ends after {filled} of the {announced} bytes that the header announces "
                f"(truncated); {_DAMAGED}"
            )
        body[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    return body


def _take(source: _Source, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end."""
    data = b""
    while len(data) < size and (piece := source.read(size - len(data))):
        data += piece
    return data


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def write_idx(path: str | os.PathLike[str], array: NDArray[Any], compress: bool = False) -> None:
    """Write an array as an IDX file; the same array always gives the same bytes.

    Parameters
    ----------
    path : path
        The file; an existing one is overwritten.
    array : array
        uint8, int8, int16, int32, float32 or float64, of 1 to 64 dimensions, none of them 0.
    compress : bool
        Compress with gzip, without a time stamp or a name.

    Raises
    ------
    InputError
        If the array does not fit the format.
    DataFileError
        If the file cannot be written.
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        raise InputError(
            f"array has dtype {array.dtype}: IDX knows uint8, int8, int16, int32, float32 and float64; "
            "convert it"
        )
    if not 1 <= array.ndim <= _MOST_DIMENSIONS or 0 in array.shape or max(array.shape) >= 2**32:
        raise InputError(
            f"array has shape {array.shape}: IDX needs 1 or more dimensions, each from 1 to {2**32 - 1}"
        )
    header = bytes([0, 0, code, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    body = np.ascontiguousarray(array, _DTYPES[code]).reshape(-1).view(np.uint8).data
    try:
        with open(path, "wb") as file:
            if compress:
                with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
                    packed.write(header)
                    packed.write(body)
            else:
                file.write(header)
                file.write(body)
    except OSError as error:
        raise DataFileError(
            f"{path}: cannot be written ({error.strerror or error}); check folder, permissions and space"
        ) from None


def read_idx_directory(
    folder: str | os.PathLike[str],
) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.uint8] | None, NDArray[Any] | None]:
    """Read the four files of a data set that is laid out as MNIST.

    Looked for are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k` for the
    test samples; a dot before `idx` and a `.gz` at the end are fine. Where both exist, the uncompressed
    file is read.

    Parameters
    ----------
    folder : path
        The folder that holds the files.

    Returns
    -------
    X_train, y_train, X_test, y_test
        Images of shape (M, D_I), one a row, uint8, and labels of shape (M,), whole numbers. The last two
        are None if the folder has no test files.

    Raises
    ------
    DataFileError
        If a file is missing or malformed, or if images and labels do not fit each other.
    """
    train = read_idx_training(folder)
    test = read_idx_test(folder, train[0].shape[1])
    return (*train, None, None) if test is None else (*train, *test)


def read_idx_training(folder: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Read the training files of a folder alone; `read_idx_directory` describes them."""
    train = _pair(Path(folder), "train")
    if train is None:
        raise DataFileError(
            f"{folder}: no train-images-idx3-ubyte and no train-labels-idx1-ubyte (.gz or not) here; "
            "give the folder that holds them"
        )
    return train


def read_idx_test(folder: str | os.PathLike[str], D_I: int) -> tuple[NDArray[np.uint8], NDArray[Any]] | None:
    """Read the test files of a folder alone; None if there are none. Training images have D_I pixels."""
    test = _pair(Path(folder), "t10k")
    if test is not None and test[0].shape[1] != D_I:
        raise DataFileError(
            f"{folder}: training images have {D_I} pixels, test images {test[0].shape[1]}; "
            "the files are of different data sets, replace one pair"
        )
    return test


def _pair(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[Any]] | None:
    """Read images and labels of one part; None if both are absent."""
    images_path, labels_path = find_idx(folder, f"{part}-images", 3), find_idx(folder, f"{part}-labels", 1)
    if images_path is None and labels_path is None:
        return None
    if images_path is None or labels_path is None:
        there, missing = (images_path, "labels") if images_path else (labels_path, "images")
        raise DataFileError(f"{there}: the file with its {missing} is missing; put it into the same folder")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim < 2 or images.dtype != np.uint8:
        raise DataFileError(
            f"{images_path}: holds {images.ndim}-dimensional {images.dtype} numbers, but images are uint8 "
            "and have at least 2 dimensions; give a file of images"
        )
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise DataFileError(
            f"{labels_path}: holds {labels.ndim}-dimensional {labels.dtype} numbers, but labels are whole "
            "numbers in one dimension; give a file of labels"
        )
    if len(images) != len(labels):
        raise DataFileError(
            f"{images_path}: has {len(images)} images, but {labels_path} has {len(labels)} labels; "
            "give two files of the same data set"
        )
    return images.reshape(len(images), -1), labels


def find_idx(folder: Path, stem: str, dimensions: int) -> Path | None:
    """Return the path of an IDX file by its usual name, compressed or not; None if it is not there."""
    names = (f"{stem}{dot}idx{dimensions}-ubyte{gz}" for gz in ("", ".gz") for dot in "-.")
    return next((folder / name for name in names if os.path.exists(folder / name)), None)
