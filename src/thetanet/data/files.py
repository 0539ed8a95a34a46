"""Files on disk: their absolute names, and how a change since they were opened is noticed."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from thetanet.errors import DataFileError

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Stamp = tuple[int, int]  # size and time of change of a file


def file_stamp(file: int | str) -> Stamp:
    """Return size and time of change of a file, a path or a descriptor, to notice that it has changed."""
    status = os.stat(file)
    return status.st_size, status.st_mtime_ns


@contextmanager
def open_unchanged(path: str, stamp: Stamp) -> Iterator[io.FileIO]:
    """Open a file for reading, without a buffer, and close it at the end of the block.

    Raises
    ------
    DataFileError
        If its stamp is another one, or it cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            if file_stamp(file.fileno()) != stamp:
                raise DataFileError(f"{path}: has changed since it was opened; begin again")
            yield file
    except OSError as problem:
        raise DataFileError(f"{path}: cannot be read ({problem.strerror})") from problem


def absolute_names(paths: Paths) -> tuple[list[str], str]:
    """Return the absolute names of one or several files, and one name for all of them.

    Absolute, as parts are read by workers with another working folder, and cached surveys outlast this one.
    """
    names = [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    together = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)
    return [os.path.abspath(name) for name in names], together


def files_fingerprint(*paths: str | os.PathLike[str]) -> tuple[Any, ...]:
    """Return what distinguishes these files from others, and from themselves after a change."""
    return tuple((os.path.abspath(path), *file_stamp(os.fspath(path))) for path in paths)
