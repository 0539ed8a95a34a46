"""Parts of text files with one sample a line: pieces that begin and end at line ends.

The line ends are located by one pass over the file. A part is parsed as one text; where that fails, the bad
lines are located by parsing halves.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from thetanet.data.files import Stamp, file_stamp, open_unchanged
from thetanet.data.skipping import Skipped
from thetanet.data.source import Part, Rows
from thetanet.errors import DataFileError

PIECE = 4 << 20  # bytes of text in a part
_LONGEST_LINE = 64 << 20  # bytes; a file with longer lines is no table
_MANY_BAD_ROWS = (
    100  # beyond so many in a part, half of its rows must be good, or the file is of another kind
)


@dataclass(frozen=True)
class Lines:
    """Consecutive lines of a text file.

    Attributes
    ----------
    path : str
        The file.
    stamp : tuple
        Its size and time of change when it was opened.
    low, high : int
        Positions of the first byte, and behind the last one.
    first : int
        Number of the first line in the file, counted from 1.
    """

    path: str
    stamp: Stamp
    low: int
    high: int
    first: int

    @property
    def where(self) -> str:
        """Name of the file and the lines."""
        return f"{self.path}, lines from {self.first:,}"

    def read(self) -> bytes:
        """Return the text.

        Raises
        ------
        DataFileError
            If the file has changed, or ends too soon.
        """
        pieces, place = [], self.low
        with open_unchanged(self.path, self.stamp) as file:
            file.seek(self.low)
            while place < self.high:
                piece = file.read(self.high - place)
                if not piece:
                    raise DataFileError(
                        f"{self.path}: ends at byte {place:,} of {self.stamp[0]:,}; it has been cut off"
                    )
                pieces.append(piece)
                place += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def split_at_line_ends(path: str | os.PathLike[str], piece: int = PIECE, head: bool = False) -> list[Lines]:
    """Return the lines of a file in pieces of about `piece` bytes; with `head`, the first line is a piece.

    Raises
    ------
    DataFileError
        If the file cannot be read, changes meanwhile, or has a line of over 64 MB.
    """
    name = os.path.abspath(path)
    cuts: list[Lines] = []
    try:
        with open(name, "rb", buffering=0) as file:
            stamp = file_stamp(file.fileno())
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
                if place - max(low, last) > _LONGEST_LINE:
                    raise DataFileError(
                        f"{name}: line {number + ends:,} is over 64 MB long; is it a text file?"
                    )
            if place > low:
                cuts.append(Lines(name, stamp, low, place, number))
            if place != stamp[0] or file_stamp(file.fileno()) != stamp:
                raise DataFileError(f"{name}: has changed while it was read; begin again")
    except OSError as problem:
        raise DataFileError(f"{name}: cannot be read ({problem.strerror})") from problem
    return cuts


def split_lines(text: bytes) -> list[bytes]:
    """Return the lines of a text, with their ends; only a line feed ends a line."""
    rows = text.split(b"\n")
    return [row + b"\n" for row in rows[:-1]] + rows[-1:] * bool(rows[-1])


class BadRowError(Exception):
    """Some of the rows that were parsed together are malformed; the message says what is wrong."""


def find_bad_rows(rows: Sequence[bytes], parse: Callable[[bytes], Any]) -> Iterator[tuple[int, str]]:
    """Yield the index of each row that `parse` refuses, and why, in order.

    Halves are parsed until a bad row is alone: a few bad ones among thousands cost a dozen passes.
    """
    ranges, n_bad = [(0, len(rows))], 0
    while ranges:
        low, high = ranges.pop()
        try:
            parse(b"".join(rows[low:high]))
        except BadRowError as problem:
            if high - low == 1:
                n_bad += 1
                yield low, str(problem)
                if n_bad > _MANY_BAD_ROWS and 2 * n_bad > high:
                    raise BadRowError("most rows cannot be read; is it a file of this kind?") from None
            else:
                middle = (low + high) // 2
                ranges += [(middle, high), (low, middle)]


class TextPart(Part):
    """Some lines of a text file; formats implement `_parse` and `_obviously_bad`."""

    lines: Lines
    skip_bad: bool
    skipped: Skipped

    @property
    def file_name(self) -> str:
        """The file."""
        return self.lines.path

    @property
    def where(self) -> str:
        """Name of the file and the lines."""
        return self.lines.where

    def read(self) -> Rows:
        """Return the samples; bad rows raise an error, or are left out and counted."""
        text = self.lines.read()
        self._check(text)
        self.skipped.count = 0
        try:
            return self._parse(text)
        except BadRowError as problem:
            return self._parse_good_rows(text, str(problem))

    def _check(self, text: bytes) -> None:
        """Check that the text can be split into lines."""

    @abstractmethod
    def _parse(self, text: bytes) -> Rows:
        """Return the samples of some lines; raise a BadRowError if one of them is bad."""

    @abstractmethod
    def _obviously_bad(self, rows: list[bytes]) -> Iterable[int]:
        """Yield the indices of rows that are bad without being parsed."""

    def _parse_good_rows(self, text: bytes, problem: str) -> Rows:
        """Return the samples of the good rows and count the bad ones; raise an error if none may be bad."""
        rows = split_lines(text)
        # Obvious ones first: each of the others costs a dozen calls of the parser.
        bad = set(self._obviously_bad(rows)) if self.skip_bad else set()
        reasons = {min(bad): self._explain(rows[min(bad)])} if bad else {}
        rest = [n for n in range(len(rows)) if n not in bad]
        try:
            for n, reason in find_bad_rows([rows[n] for n in rest], self._parse):
                if not self.skip_bad:
                    raise DataFileError(f"{self.file_name}: line {self.lines.first + rest[n]:,}: {reason}")
                reasons.setdefault(rest[n], reason)
                bad.add(rest[n])
            good = self._parse(b"".join(row for n, row in enumerate(rows) if n not in bad))
        except BadRowError as other:
            raise DataFileError(f"{self.where}: {other} ({problem})") from None
        first = min(reasons)
        self.skipped.count = len(bad)
        self.skipped.first, self.skipped.why = f"line {self.lines.first + first:,}", reasons[first]
        return good

    def _explain(self, row: bytes) -> str:
        """Return what is wrong with a row."""
        try:
            self._parse(row)
        except BadRowError as problem:
            return str(problem)
        return "malformed"
