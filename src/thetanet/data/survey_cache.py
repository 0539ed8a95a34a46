"""Notes on sources: what a first pass found, in a small file, for as long as the source stays what it is.

A note saves time and nothing else: one that cannot be written, found or read is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from thetanet.data.source import Source

KEPT = 200  # notes; those that were not used for longest go
_BYTES = 256 << 20  # of all of them: one on a million inputs takes 60 MB
_NAME = re.compile(r"[0-9a-f]{128}\.(json|\d+\.tmp)")  # the folder may be one that holds other files too
# No home, no permission, no such folder; a note that is damaged or was written by another version.
_FAILS = (OSError, RuntimeError, ValueError, KeyError, TypeError)

T = TypeVar("T")


def recalled(source: Source, folder: Path | None, made_of: Callable[[Any], T]) -> T | None:
    """Return what `made_of` makes of the note on a source; None if there is none that can be read."""
    with contextlib.suppress(*_FAILS):
        if (key := _key(source)) is not None:
            path = (folder or _folder()) / f"{key}.json"
            found = made_of(json.loads(path.read_text()))
            with contextlib.suppress(OSError):
                path.touch()
            return found
    return None


def note(source: Source, folder: Path | None, said: dict[str, Any]) -> None:
    """Write a note on a source."""
    with contextlib.suppress(*_FAILS):
        if (key := _key(source)) is not None:
            text, where = json.dumps(said), folder or _folder()
            where.mkdir(parents=True, exist_ok=True)
            passing = where / f"{key}.{os.getpid()}.tmp"
            passing.write_text(text)
            passing.replace(where / f"{key}.json")
            _trim(where)


def _trim(folder: Path) -> None:
    """Remove the notes that were not used for longest, if there are many."""
    notes = [(each.stat(), each.path) for each in os.scandir(folder) if _NAME.fullmatch(each.name)]
    total = 0
    for n, (status, path) in enumerate(sorted(notes, key=lambda each: -each[0].st_mtime_ns)):
        total += status.st_size
        if n >= KEPT or (n and total > _BYTES):
            os.unlink(path)


def _folder() -> Path:
    own = os.environ.get("THETANET_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "thetanet" / "surveys"


def _key(source: Source) -> str | None:
    """Return a name for a note; None if it could never be found again, or nothing tells when it is old."""
    if getattr(source, "fleeting", False):
        return None
    hashed = hashlib.blake2b(b"3", digest_size=64)
    for part in source.parts:
        state = getattr(part, "state", None)
        if state is None:
            return None
        hashed.update(repr((type(part).__name__, state)).encode())
    return hashed.hexdigest()
