"""Surveys of sources in small files, valid for as long as the source does not change.

A cached survey only saves time: errors of writing or reading one are ignored.
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

MAX_FILES = 200  # the least recently used are removed
_MAX_BYTES = 256 << 20  # of all files: one on a million inputs takes 60 MB
_NAME = re.compile(r"[0-9a-f]{128}\.(json|\d+\.tmp)")  # the folder may be one that holds other files too
# No home, no permission, no such folder; a file that is damaged or was written by another version.
_CACHE_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError)

T = TypeVar("T")


def load(source: Source, folder: Path | None, from_json: Callable[[Any], T]) -> T | None:
    """Return the cached survey of a source, converted by `from_json`; None if none can be read."""
    with contextlib.suppress(*_CACHE_ERRORS):
        if (key := _cache_key(source)) is not None:
            path = (folder or _default_folder()) / f"{key}.json"
            survey = from_json(json.loads(path.read_text()))
            with contextlib.suppress(OSError):
                path.touch()
            return survey
    return None


def store(source: Source, folder: Path | None, fields: dict[str, Any]) -> None:
    """Write the survey of a source."""
    with contextlib.suppress(*_CACHE_ERRORS):
        if (key := _cache_key(source)) is not None:
            text, where = json.dumps(fields), folder or _default_folder()
            where.mkdir(parents=True, exist_ok=True)
            temporary = where / f"{key}.{os.getpid()}.tmp"
            temporary.write_text(text)
            temporary.replace(where / f"{key}.json")
            _trim(where)


def _trim(folder: Path) -> None:
    """Remove the least recently used surveys, if there are many."""
    files = [(each.stat(), each.path) for each in os.scandir(folder) if _NAME.fullmatch(each.name)]
    total = 0
    for n, (status, path) in enumerate(sorted(files, key=lambda each: -each[0].st_mtime_ns)):
        total += status.st_size
        if n >= MAX_FILES or (n and total > _MAX_BYTES):
            os.unlink(path)


def _default_folder() -> Path:
    chosen = os.environ.get("THETANET_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(base) / "thetanet" / "surveys"


def _cache_key(source: Source) -> str | None:
    """Return the name of the file of a survey; None if changes of the source cannot be noticed."""
    if source.one_shot:
        return None
    hashed = hashlib.blake2b(b"4", digest_size=64)
    for part in source.parts:
        fingerprint = part.fingerprint
        if fingerprint is None:
            return None
        hashed.update(repr((type(part).__name__, fingerprint)).encode())
    return hashed.hexdigest()
