"""What parts of text files have in common: they are read whole or, where rows are bad, without them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from thetanet.data.formats.lines import BadRowError, Lines, bad_rows, split
from thetanet.data.skipping import Skipped
from thetanet.errors import DataFileError


class TextPart(ABC):
    """Some lines of a text file. A format says how they are parsed, and which of them are surely bad."""

    lines: Lines
    skip_bad: bool
    skipped: Skipped

    @property
    def file(self) -> str:
        """The file."""
        return self.lines.path

    @property
    def where(self) -> str:
        """Say which file and lines."""
        return self.lines.where

    def read(self) -> tuple[Any, NDArray[Any]]:
        """Read them; bad rows are an error, or are left out and counted."""
        text = self.lines.read()
        self._check(text)
        self.skipped.count = 0
        try:
            return self._samples(text)
        except BadRowError as problem:
            return self._without_bad(text, str(problem))

    def _check(self, text: bytes) -> None:  # noqa: B027  a format may have nothing to check
        """Refuse what cannot be cut into lines."""

    @abstractmethod
    def _samples(self, text: bytes) -> tuple[Any, NDArray[Any]]:
        """Parse some lines; raise a BadRowError if one of them is bad."""

    @abstractmethod
    def _surely_bad(self, rows: list[bytes]) -> Iterable[int]:
        """Yield rows that are bad at a glance."""

    def _without_bad(self, text: bytes, why: str) -> tuple[Any, NDArray[Any]]:
        """Find the bad rows; say which is the first, or leave them out."""
        rows = split(text)
        # What is surely bad is found at once; of the others the parser is asked, a dozen times for each.
        wrong = set(self._surely_bad(rows)) if self.skip_bad else set()
        first = {min(wrong): self._reason(rows[min(wrong)])} if wrong else {}
        left = [place for place in range(len(rows)) if place not in wrong]
        try:
            for at, reason in bad_rows([rows[place] for place in left], self._samples):
                if not self.skip_bad:
                    raise DataFileError(f"{self.file}: line {self.lines.first + left[at]:,}: {reason}")
                first.setdefault(left[at], reason)
                wrong.add(left[at])
            X, y = self._samples(b"".join(row for place, row in enumerate(rows) if place not in wrong))
        except BadRowError as problem:
            raise DataFileError(f"{self.where}: {problem} ({why})") from None
        place = min(first)
        self.skipped.count = len(wrong)
        self.skipped.first, self.skipped.why = f"line {self.lines.first + place:,}", first[place]
        return X, y

    def _reason(self, row: bytes) -> str:
        try:
            self._samples(row)
        except BadRowError as problem:
            return str(problem)
        return "malformed"
