"""Counts of malformed rows that were left out (`skip_bad`), and one warning a file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any


@dataclass
class Skipped:
    """Rows that a part left out when it was last read.

    Attributes
    ----------
    count : int
        Number of rows.
    first : str
        Where the first is, e.g. "line 17".
    why : str
        What is wrong with it.
    """

    count: int = 0
    first: str = ""
    why: str = ""


SkippedByFile = dict[str, list[Any]]  # name of a file: [number of rows, where the first was, why]


def warn_of_skipped(skipped: SkippedByFile) -> None:
    """Warn of skipped rows, one warning a file."""
    for file, (count, first, why) in skipped.items():
        rows = "1 bad row" if count == 1 else f"{count:,} bad rows"
        warnings.warn(f"{file}: {rows} skipped, the first at {first}: {why}", stacklevel=3)
