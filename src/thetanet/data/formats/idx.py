"""IDX files, the format of MNIST: a short header, then one array of numbers, most significant byte first.

Bytes 0 and 1 are zero, byte 2 names the type of the numbers, byte 3 the number of dimensions; four bytes
follow for each dimension, then the numbers. The files are often compressed with gzip: then they are unpacked
before they are read in parts.
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

from thetanet.data.files import file_stamp, files_fingerprint
from thetanet.data.formats.npy import NpyPart, StoredArray
from thetanet.data.source import ROWS, Source
from thetanet.data.temporary import TemporaryFolder, explain_full_disk
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
_MAX_DIMENSIONS = 64  # the format has room for 255, NumPy for 64
_GZIP = b"\x1f\x8b"
_MAX_RATIO = 1032  # of deflate: at most 258 bytes from two bits
_BLOCK = 1 << 18
_DAMAGED = "the file is damaged or the download broke off: fetch it again"


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _GzipStream:
    """The content of a gzip stream, of which no more is decompressed than is read."""

    def __init__(self, stream: _Stream, name: str) -> None:
        self._stream, self._name, self._input = stream, name, b""
        self._member = zlib.decompressobj(31)

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or none at the end of the last gzip member."""
        while True:
            data = self._input or self._stream.read(_BLOCK)
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
    """Return the array of an IDX file, plain or compressed with gzip (its first bytes decide, not its name).

    Memory: the array itself, plus at most a small multiple of the file. A header that announces more
    than the file can hold is rejected before anything is allocated.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    array
        The numbers in this machine's byte order, writable.

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
        # Opening a pipe would wait for a writer, so the type of the file is checked first.
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
    """Return the array of a seekable binary stream that holds nothing but IDX; `name` is for messages."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    compressed = stream.read(2) == _GZIP
    stream.seek(0)
    content: _Stream = _GzipStream(stream, name) if compressed else stream
    dtype, shape = _read_header(content, name)
    announced = math.prod(shape) * dtype.itemsize
    capacity = size * _MAX_RATIO if compressed else size - 4 - 4 * len(shape)
    if announced > capacity:
        raise DataFileError(
            f"{name}: the header announces {announced} bytes for {_format_shape(shape)} numbers, but the "
            f"file of {size} bytes cannot hold more than {max(capacity, 0)} (truncated, or a wrong header); "
            f"{_DAMAGED}"
        )
    body = _read_body(content, announced, 8 * size + _BLOCK, name)
    if content.read(1):
        raise DataFileError(
            f"{name}: bytes are left over after the {_format_shape(shape)} numbers that the header "
            f"announces; {_DAMAGED}"
        )
    array = body.view(dtype)
    if dtype.byteorder == ">" and sys.byteorder == "little":
        array.byteswap(inplace=True)
    return array.view(dtype.newbyteorder("=")).reshape(shape)


def _read_header(stream: _Stream, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the type of the numbers and the shape that the header of IDX announces."""
    magic = _read_fully(stream, 4)
    if not magic:
        raise DataFileError(f"{name}: the file is empty; {_DAMAGED}")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise DataFileError(
            f"{name}: starts with the bytes {magic.hex(' ')}, but IDX starts with 00 00, a type "
            "(08, 09, 0b, 0c, 0d or 0e) and the number of dimensions; give an IDX file"
        )
    count = magic[3]
    if not 1 <= count <= _MAX_DIMENSIONS:
        raise DataFileError(
            f"{name}: the header announces {count} dimensions, but only 1 to {_MAX_DIMENSIONS} can be read; "
            f"{_DAMAGED}"
        )
    sizes = _read_fully(stream, 4 * count)
    if len(sizes) < 4 * count:
        raise DataFileError(f"{name}: ends within the header (truncated); {_DAMAGED}")
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * count, 4))
    if 0 in shape:
        raise DataFileError(
            f"{name}: the header announces {_format_shape(shape)} numbers: no samples; give a file that "
            "holds some"
        )
    return _DTYPES[magic[2]], shape


def _read_body(stream: _Stream, announced: int, start: int, name: str) -> NDArray[np.uint8]:
    """Return `announced` bytes in an array that grows only as data arrive, from at most `start` bytes."""
    body = np.empty(min(announced, start), np.uint8)
    filled = 0
    while filled < announced:
        if filled == body.size:
            body.resize(min(announced, 2 * filled), refcheck=False)
        piece = stream.read(min(body.size - filled, 4 * _BLOCK))
        if not piece:
            raise DataFileError(
                f"{name}: ends after {filled} of the {announced} bytes that the header announces "
                f"(truncated); {_DAMAGED}"
            )
        body[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    return body


def _read_fully(stream: _Stream, size: int) -> bytes:
    """Return `size` bytes, fewer only at the end."""
    data = b""
    while len(data) < size and (piece := stream.read(size - len(data))):
        data += piece
    return data


def _format_shape(shape: tuple[int, ...]) -> str:
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
    if not 1 <= array.ndim <= _MAX_DIMENSIONS or 0 in array.shape or max(array.shape) >= 2**32:
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
    """Return the samples of the four files of a folder that is laid out as MNIST.

    The names are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k` for the test
    samples; a dot before `idx` and a `.gz` at the end are allowed. Where both exist, the uncompressed file
    is read.

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
    """Return the training samples of a folder, as `read_idx_directory`; its test files stay unread."""
    train = _read_pair(Path(folder), "train")
    if train is None:
        raise _missing_error(folder)
    return train


def read_idx_test(folder: str | os.PathLike[str], D_I: int) -> tuple[NDArray[np.uint8], NDArray[Any]] | None:
    """Return the test samples of a folder, None if there are none; training images have D_I pixels."""
    test = _read_pair(Path(folder), "t10k")
    if test is not None and test[0].shape[1] != D_I:
        raise DataFileError(
            f"{folder}: training images have {D_I} pixels, test images {test[0].shape[1]}; "
            "the files are of different data sets, replace one pair"
        )
    return test


def _read_pair(folder: Path, which: str) -> tuple[NDArray[np.uint8], NDArray[Any]] | None:
    """Return the images and labels of the "train" or the "t10k" files; None if both are absent."""
    paths = _find_pair(folder, which)
    if paths is None:
        return None
    images, labels = (read_idx(path) for path in paths)
    _check_pair(paths, (images.shape, labels.shape), (images.dtype, labels.dtype))
    return images.reshape(len(images), -1), labels


def _find_pair(folder: Path, which: str) -> tuple[Path, Path] | None:
    """Return the paths of the images and the labels; None if both are absent."""
    images, labels = _find_file(folder, f"{which}-images", 3), _find_file(folder, f"{which}-labels", 1)
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        existing, missing = (images, "labels") if images else (labels, "images")
        raise DataFileError(
            f"{existing}: the file with its {missing} is missing; put it into the same folder"
        )
    return images, labels


def _find_file(folder: Path, stem: str, dimensions: int) -> Path | None:
    """Return the path of an IDX file by its usual name, compressed or not; None if it is not there."""
    names = (f"{stem}{dot}idx{dimensions}-ubyte{gz}" for gz in ("", ".gz") for dot in "-.")
    return next((folder / name for name in names if os.path.exists(folder / name)), None)


def _check_pair(
    paths: tuple[Any, Any], shapes: tuple[tuple[int, ...], ...], dtypes: tuple[np.dtype[Any], ...]
) -> None:
    """Check that two arrays are images and their labels."""
    (images, labels), (X, y) = paths, shapes
    if len(X) < 2 or dtypes[0] != np.uint8:
        raise DataFileError(
            f"{images}: holds {len(X)}-dimensional {dtypes[0]} numbers, but images are uint8 "
            "and have at least 2 dimensions; give a file of images"
        )
    if len(y) != 1 or dtypes[1].kind == "f":
        raise DataFileError(
            f"{labels}: holds {len(y)}-dimensional {dtypes[1]} numbers, but labels are whole "
            "numbers in one dimension; give a file of labels"
        )
    if X[0] != y[0]:
        raise DataFileError(
            f"{images}: has {X[0]} images, but {labels} has {y[0]} labels; "
            "give two files of the same data set"
        )


def idx_source(images: str | os.PathLike[str], labels: str | os.PathLike[str], rows: int = ROWS) -> Source:
    """Return a source of two IDX files: images (uint8, 2 or more dimensions) and labels (whole numbers).

    Files compressed with gzip are unpacked into a temporary folder (TMPDIR), kept as long as the source.

    Raises
    ------
    DataFileError
        If they are no such files, are damaged, or do not fit each other.
    """
    folder = None
    arrays: list[StoredArray] = []
    for path in (images, labels):
        name = os.path.abspath(path)
        try:
            with open(name, "rb") as file:
                compressed = file.read(2) == _GZIP
                file.seek(0)
                if compressed:
                    folder = folder or TemporaryFolder()
                    arrays.append(_unpack(file, name, os.path.join(folder.name, f"{len(arrays)}.raw")))
                else:
                    arrays.append(_locate(file, name))
        except OSError as problem:
            raise DataFileError(f"{name}: cannot be read ({problem.strerror}); check the path") from problem
    X, y = arrays
    _check_pair((images, labels), (X.shape, y.shape), (np.dtype(X.dtype), np.dtype(y.dtype)))
    M, origin = X.shape[0], () if folder is None else files_fingerprint(images, labels)
    parts = [NpyPart(X, y, low, min(low + rows, M), origin) for low in range(0, M, rows)]
    return Source(str(Path(images).parent), parts, folder=folder)


def is_idx_folder(folder: Path) -> bool:
    """Return whether a folder holds training images or labels by their usual names."""
    return any(
        _find_file(folder, f"train-{kind}", n) is not None for kind, n in (("images", 3), ("labels", 1))
    )


def open_idx_folder(files: list[Path]) -> Source:
    """Return a source of the training files of a folder that is laid out as MNIST.

    Raises
    ------
    DataFileError
        If one is missing or damaged.
    """
    (folder,) = files
    paths = _find_pair(folder, "train")
    if paths is None:
        raise _missing_error(folder)
    return idx_source(*paths)


def open_idx_test(files: list[Path]) -> Source | None:
    """Return a source of the test files of a folder that is laid out as MNIST; None if there are none."""
    (folder,) = files
    paths = _find_pair(folder, "t10k")
    return None if paths is None else idx_source(*paths)


def _missing_error(folder: str | os.PathLike[str]) -> DataFileError:
    """Return the error that a folder has no training files."""
    return DataFileError(
        f"{folder}: no train-images-idx3-ubyte and no train-labels-idx1-ubyte (.gz or not) here; "
        "give the folder that holds them"
    )


def _locate(file: io.BufferedReader, name: str) -> StoredArray:
    """Return the array of an IDX file that is not compressed."""
    stamp = file_stamp(file.fileno())
    dtype, shape = _read_header(file, name)
    start = file.tell()
    needed = start + math.prod(shape) * dtype.itemsize
    if needed != stamp[0]:
        raise DataFileError(f"{name}: its header announces {needed:,} bytes, it has {stamp[0]:,}; {_DAMAGED}")
    return StoredArray(name, start, shape, dtype.str, stamp)


def _unpack(file: io.BufferedReader, name: str, to: str) -> StoredArray:
    """Write the numbers of a compressed IDX file to another file, never more than its header announces."""
    content = _GzipStream(file, name)
    dtype, shape = _read_header(content, name)
    left = math.prod(shape) * dtype.itemsize
    with explain_full_disk(name), open(to, "wb") as plain:
        while left and (block := content.read(min(left, 1 << 20))):
            plain.write(block)
            left -= len(block)
    if left or content.read(1):
        raise DataFileError(
            f"{name}: holds {'fewer' if left else 'more'} numbers than it announces; {_DAMAGED}"
        )
    return StoredArray(to, 0, shape, dtype.str, file_stamp(to))
