"""Bad rows that were skipped because that was asked for: counted, and told once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from thetanet.data.source import Source
from thetanet.errors import InputError


@dataclass
class Skipped:
    """What a part has skipped when it was read last.

    Attributes
    ----------
    count : int
        How many rows.
    first : str
        Where the first is, e.g. "line 17".
    why : str
        What is wrong with it.
    """

    count: int = 0
    first: str = ""
    why: str = ""


def skipped_by(source: Source) -> dict[str, list[Any]]:
    """Return for each file how many rows its parts have skipped, where the first was, and why."""
    found: dict[str, list[Any]] = {}
    for part in [*source.parts, *getattr(source, "unpacked", ())]:
        skipped: Skipped | None = getattr(part, "skipped", None)
        if skipped is not None and skipped.count:
            file = getattr(part, "file", source.name)
            if file in found:
                found[file][0] += skipped.count
            else:
                found[file] = [skipped.count, skipped.first, skipped.why]
    return found


def no_samples(source: Source) -> InputError:
    """Return the error that a source holds no samples, or none that could be read."""
    message, skipped = f"{source.name}: there are no samples in it", skipped_by(source)
    for file, (_, first, why) in skipped.items():
        total = sum(count for count, _, _ in skipped.values())
        message = f"{source.name}: no samples are left, {total:,} bad rows were skipped"
        return InputError(f"{message}, the first at {first} of {file}: {why}")
    return InputError(message)


def warn_of(skipped: dict[str, list[Any]]) -> None:
    """Warn of skipped rows, one warning a file."""
    for file, (count, first, why) in skipped.items():
        rows = "1 bad row" if count == 1 else f"{count:,} bad rows"
        warnings.warn(f"{file}: {rows} skipped, the first at {first}: {why}", stacklevel=3)
