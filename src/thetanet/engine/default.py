"""The engine that computes where none is named."""

from __future__ import annotations

from functools import cache

from thetanet.engine import Engine
from thetanet.engine.cpu.engine import CPUEngine


@cache
def default_engine() -> Engine:
    """Return this machine's processor, in float32."""
    return CPUEngine()
