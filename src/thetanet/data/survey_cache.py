"""Surveys of sources in small files, kept for as long as the source stays what it is.

A cached survey saves time and nothing else: one that cannot be written, found or read is done without.
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

MOST_FILES = 200  # those that were not used for longest are removed
_BYTES = 256 << 20  # of all of them: one on a million inputs takes 60 MB
_NAME = re.compile(r"[0-9a-f]{128}\.(json|\d+\.tmp)")  # the folder may be one that holds other files too
# No home, no permission, no such folder; a note that is damaged or was written by another version.
_FAILS = (OSError, RuntimeError, ValueError, KeyError, TypeError)

T = TypeVar("T")


def load(source: Source, folder: Path | None, from_json: Callable[[Any], T]) -> T | None:
    """Return what `from_json` makes of the cached survey of a source; None if none can be read."""
    with contextlib.suppress(*_FAILS):
        if (key := _cache_key(source)) is not None:
            path = (folder or _default_folder()) / f"{key}.json"
            survey = from_json(json.loads(path.read_text()))
            with contextlib.suppress(OSError):
                path.touch()
            return survey
    return None


def store(source: Source, folder: Path | None, fields: dict[str, Any]) -> None:
    """Write the survey of a source."""
    with contextlib.suppress(*_FAILS):
        if (key := _cache_key(source)) is not None:
            text, where = json.dumps(fields), folder or _default_folder()
            where.mkdir(parents=True, exist_ok=True)
            passing = where / f"{key}.{os.getpid()}.tmp"
            passing.write_text(text)
            passing.replace(where / f"{key}.json")
            _trim(where)


def _trim(folder: Path) -> None:
    """Remove the surveys that were not used for longest, if there are many."""
    files = [(each.stat(), each.path) for each in os.scandir(folder) if _NAME.fullmatch(each.name)]
    total = 0
    for n, (status, path) in enumerate(sorted(files, key=lambda each: -each[0].st_mtime_ns)):
        total += status.st_size
        if n >= MOST_FILES or (n and total > _BYTES):
            os.unlink(path)


def _default_folder() -> Path:
    chosen = os.environ.get("THETANET_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "thetanet" / "surveys"


def _cache_key(source: Source) -> str | None:
    """Return the name of a file; None if it could never be found again, or nothing tells when it is old."""
    if source.one_shot:
        return None
    hashed = hashlib.blake2b(b"4", digest_size=64)
    for part in source.parts:
        fingerprint = part.fingerprint
        if fingerprint is None:
            return None
        hashed.update(repr((type(part).__name__, fingerprint)).encode())
    return hashed.hexdigest()
