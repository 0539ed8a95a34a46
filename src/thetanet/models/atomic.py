"""Atomic writes of files: no reader ever sees an incomplete one."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress


def write_atomically(path: str, parts: list[bytes | memoryview]) -> None:
    """Write a temporary file in the same folder, flush it to disk, and rename it to `path`.

    At every moment the file at `path` is either the old one or the complete new one. A file that is replaced
    keeps its mode.

    Raises
    ------
    OSError
        If the folder or the file cannot be written.
    """
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".thetanet-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        # 0o666 less the umask, as for any new file; tempfile would give 0o600.
        with open(os.open(temporary, flags, 0o666), "wb") as file:
            with suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    # The new name is on disk once the folder is. Windows cannot do this, nor can some file systems.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
