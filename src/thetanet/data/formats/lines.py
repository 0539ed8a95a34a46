"""Text files in pieces that begin and end at line ends, found by one pass over the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from thetanet.data.formats.npy import stamp_of
from thetanet.errors import DataFileError

PIECE = 4 << 20  # bytes of text in a part
_LONGEST = 64 << 20  # bytes of a line; what has none for longer is no table
_HOPELESS = 100  # bad rows of a part from which on half of its rows must be good, or it is of another kind


@dataclass(frozen=True)
class Lines:
    """Some lines of a text file.

    Attributes
    ----------
    path : str
        The file.
    stamp : tuple
        Its size and time of change when it was cut.
    low, high : int
        The bytes.
    first : int
        Number of the first line in the file, counted from 1.
    """

    path: str
    stamp: tuple[int, int]
    low: int
    high: int
    first: int

    @property
    def where(self) -> str:
        """Say which file and lines."""
        return f"{self.path}, lines from {self.first:,}"

    def read(self) -> bytes:
        """Return the text.

        Raises
        ------
        DataFileError
            If the file has changed, or ends too soon.
        """
        return read_exactly(self.path, self.stamp, self.low, self.high)


def read_exactly(path: str, stamp: tuple[int, int], low: int, high: int) -> bytes:
    """Read the bytes from `low` to `high` of a file that must be what it was.

    Raises
    ------
    DataFileError
        If it has changed, ends too soon or cannot be read.
    """
    pieces, place = [], low
    try:
        with open(path, "rb", buffering=0) as file:
            if stamp_of(file.fileno()) != stamp:
                raise DataFileError(f"{path}: has changed since it was opened; begin again")
            file.seek(low)
            while place < high:
                piece = file.read(high - place)
                if not piece:
                    raise DataFileError(
                        f"{path}: ends at byte {place:,} of {stamp[0]:,}; it has been cut off"
                    )
                pieces.append(piece)
                place += len(piece)
    except OSError as problem:
        raise DataFileError(f"{path}: cannot be read ({problem.strerror})") from problem
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def cut_at_lines(path: str | os.PathLike[str], piece: int = PIECE, head: bool = False) -> list[Lines]:
    """Cut a file into pieces of about `piece` bytes; with `head`, the first line is a piece of its own.

    Raises
    ------
    DataFileError
        If the file cannot be read, changes meanwhile, or has a line of over 64 MB.
    """
    name = os.path.abspath(path)
    cuts: list[Lines] = []
    try:
        with open(name, "rb", buffering=0) as file:
            stamp = stamp_of(file.fileno())
            low, number, place, ends, last = 0, 1, 0, 0, 0
            while block := file.read(piece):
                if head and not cuts and (end := block.find(b"\n") + 1) > 0:
                    cuts.append(Lines(name, stamp, 0, place + end, 1))
                    low, number = place + end, 2
                    place, block = place + end, block[end:]
                    ends, last = 0, low
                if (end := block.rfind(b"\n") + 1) > 0:
                    ends += block.count(b"\n")
                    last = place + end
                place += len(block)
                if last > low and place - low >= piece:
                    cuts.append(Lines(name, stamp, low, last, number))
                    low, number, ends = last, number + ends, 0
                if place - max(low, last) > _LONGEST:
                    raise DataFileError(
                        f"{name}: line {number + ends:,} is over 64 MB long; is it a text file?"
                    )
            if place > low:
                cuts.append(Lines(name, stamp, low, place, number))
            if place != stamp[0] or stamp_of(file.fileno()) != stamp:
                raise DataFileError(f"{name}: has changed while it was looked through; begin again")
    except OSError as problem:
        raise DataFileError(f"{name}: cannot be read ({problem.strerror})") from problem
    return cuts


def split(text: bytes) -> list[bytes]:
    """Return the lines of a text, with their ends; only a line feed ends a line."""
    rows = text.split(b"\n")
    return [row + b"\n" for row in rows[:-1]] + rows[-1:] * bool(rows[-1])


class BadRowError(Exception):
    """Some of the rows that were parsed together are malformed; the message says how."""


def bad_rows(rows: Sequence[bytes], parse: Callable[[bytes], Any]) -> Iterator[tuple[int, str]]:
    """Yield the place of each row that `parse` refuses, and why, in order.

    Halves are parsed until the rows are found: a few bad ones among thousands cost a dozen passes.
    """
    ranges, found = [(0, len(rows))], 0
    while ranges:
        low, high = ranges.pop()
        try:
            parse(b"".join(rows[low:high]))
        except BadRowError as problem:
            if high - low == 1:
                found += 1
                yield low, str(problem)
                if found > _HOPELESS and 2 * found > high:
                    raise BadRowError("most rows cannot be read; is it a file of this kind?") from None
            else:
                middle = (low + high) // 2
                ranges += [(middle, high), (low, middle)]
