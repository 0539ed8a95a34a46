"""Temporary folders for data that must be unpacked before it can be read in parts."""

from __future__ import annotations

import errno
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from thetanet.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TemporaryFolder:
    """A folder in TMPDIR that is removed with this object, or when the interpreter exits."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="thetanet-")
        weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)


@contextmanager
def explain_full_disk(name: str) -> Iterator[None]:
    """Turn errors of a full disk into one that names what was being unpacked, and the remedy.

    Raises
    ------
    InputError
        If the block ends because the disk, or a quota, is full.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno not in _FULL:
            raise
        raise InputError(
            f"{name}: there is no room for it in {tempfile.gettempdir()} ({problem.strerror}); set TMPDIR to "
            "a folder with more"
        ) from problem
