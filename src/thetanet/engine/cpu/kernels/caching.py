"""Compilations on disk, loaded without what only compiling needs."""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.runtime import rtsys

_OPTIONS = {"nopython": True, "error_model": "numpy"}


class _Cache(FunctionCache):
    """numba's cache; but before it loads, numba fills its registries, which takes half a second and 25 MB.

    A function that was compiled before needs none of them, only the runtime that it is linked with; should
    there be nothing to load, numba fills them before it compiles.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if not hasattr(self, "_load_overload"):  # another numba: its own way
            return super().load_overload(sig, target_context)
        rtsys.initialize(target_context)
        try:
            return self._load_overload(sig, target_context)
        except OSError:  # a folder that went away or may not be read: compile anew
            return None


def cached(function: Any) -> Any:
    """Compile a function for whatever it is called with; calls release the GIL."""
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    compiled._cache = _Cache(function)
    return compiled


def cached_callback(signature: Any, function: Any) -> Any:
    """Compile a C function; its `address` is where it is."""
    options = _OPTIONS | {"fastmath": {"contract", "nsz", "arcp"}}
    compiled: Any = CFunc(function, (signature.args, signature.return_type), locals={}, options=options)
    compiled._cache = _Cache(function)
    compiled.compile()
    return compiled
