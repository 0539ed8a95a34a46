"""Temporary folders for what must be unpacked before it can be read in parts."""

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
    """A folder for what is unpacked, in TMPDIR, which is removed with this object or at the end."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="thetanet-")
        weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)


@contextmanager
def room_for(name: str) -> Iterator[None]:
    """Say that there was no room to unpack something of this name, which may be without fault.

    Raises
    ------
    InputError
        If what is done within ends for lack of room.
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
