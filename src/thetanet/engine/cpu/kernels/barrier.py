"""A barrier for threads in compiled code, which neither holds the GIL nor burns a core for long."""

from __future__ import annotations

import platform
import sys
from typing import Any

from numba import njit, types

from thetanet.engine.cpu.kernels.instructions import add_atomic, read_atomic

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},  # nothing that changes NaN or infinity
    "boundscheck": False,
    "no_cpython_wrapper": True,  # called from compiled code only
    "no_cfunc_wrapper": True,
}

# Where the kernel can wake a sleeper (Linux), waiting threads sleep; elsewhere they give way again and again.
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0
_syscall = types.ExternalFunction("syscall", types.int64(*[types.int64] * 5))
_yield = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


@njit(**OPTIONS)
def wait_for_all(barrier, everyone):
    """Count an arrival, and wait until `everyone` arrivals were counted. barrier: (arrived, asleep).

    Threads spin for some microseconds and then sleep, so that a core is free for the thread that is late
    should another process occupy its core. The last to arrive wakes the others.
    """
    now = add_atomic(barrier, 0, 1) + 1
    address = barrier.ctypes.data
    if _FUTEX and now == everyone and read_atomic(barrier, 1) > 0:
        _syscall(_FUTEX, address, 129, 2147483647, 0)  # wake all, private
    spins = 0
    while now < everyone:
        spins += 1
        if spins > 8000:
            if _FUTEX:
                add_atomic(barrier, 1, 1)
                _syscall(_FUTEX, address, 128, now, 0)  # sleep as long as the counter stands at `now`
                add_atomic(barrier, 1, -1)
            else:
                _yield()
        now = read_atomic(barrier, 0)
