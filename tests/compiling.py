"""One compilation of each kernel for all processes of a test run: the others wait for it and load it."""

import fcntl
import functools
import getpass
import hashlib
import tempfile
from pathlib import Path

from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher


def compile_once() -> None:
    """Make numba, in this process, hold a lock on a kernel that is cached on disk while it is compiled.

    Without it, two workers of pytest-xdist compile the same kernels side by side, 10 seconds each.
    """
    compile_kernel = Dispatcher.compile
    folder = Path(tempfile.gettempdir()) / f"thetanet-compiling-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)

    @functools.wraps(compile_kernel)
    def compile_locked(self, signature):
        if isinstance(self._cache, NullCache):
            return compile_kernel(self, signature)
        name = hashlib.sha256(f"{self.py_func.__qualname__} {signature}".encode()).hexdigest()
        with open(folder / name, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            return compile_kernel(self, signature)

    Dispatcher.compile = compile_locked
