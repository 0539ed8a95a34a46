"""What parts of text files have in common: they are read whole or, where rows are bad, without them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from thetanet.data.formats.lines import BadRowError, Lines, bad_rows, split
from thetanet.data.skipping import Skipped
from thetanet.data.source import Part, Rows
from thetanet.errors import DataFileError


class TextPart(Part):
    """Some lines of a text file. A format says how they are parsed, and which of them are surely bad."""

    lines: Lines
    skip_bad: bool
    skipped: Skipped  # of those that are bad, in the last `read`

    @property
    def file_name(self) -> str:
        """The file."""
        return self.lines.path

    @property
    def where(self) -> str:
        """Say which file and lines."""
        return self.lines.where

    def read(self) -> Rows:
        """Read them; bad rows are an error, or are left out and counted."""
        text = self.lines.read()
        self._check(text)
        self.skipped.count = 0
        try:
            return self._parse(text)
        except BadRowError as problem:
            return self._without_bad(text, str(problem))

    def _check(self, text: bytes) -> None:
        """Refuse what cannot be cut into lines."""

    @abstractmethod
    def _parse(self, text: bytes) -> Rows:
        """Parse some lines; raise a BadRowError if one of them is bad."""

    @abstractmethod
    def _surely_bad(self, rows: list[bytes]) -> Iterable[int]:
        """Yield rows that are bad at a glance."""

    def _without_bad(self, text: bytes, why: str) -> Rows:
        """Find the bad rows; say which is the first, or leave them out."""
        rows = split(text)
        # What is surely bad is found at once; of the others the parser is asked, a dozen times for each.
        wrong = set(self._surely_bad(rows)) if self.skip_bad else set()
        first = {min(wrong): self._reason(rows[min(wrong)])} if wrong else {}
        left = [place for place in range(len(rows)) if place not in wrong]
        try:
            for at, reason in bad_rows([rows[place] for place in left], self._parse):
                if not self.skip_bad:
                    raise DataFileError(f"{self.file_name}: line {self.lines.first + left[at]:,}: {reason}")
                first.setdefault(left[at], reason)
                wrong.add(left[at])
            kept = self._parse(b"".join(row for place, row in enumerate(rows) if place not in wrong))
        except BadRowError as problem:
            raise DataFileError(f"{self.where}: {problem} ({why})") from None
        place = min(first)
        self.skipped.count = len(wrong)
        self.skipped.first, self.skipped.why = f"line {self.lines.first + place:,}", first[place]
        return kept

    def _reason(self, row: bytes) -> str:
        try:
            self._parse(row)
        except BadRowError as problem:
            return str(problem)
        return "malformed"
