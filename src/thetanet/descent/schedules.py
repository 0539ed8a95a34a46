"""Schedules: how the rate of a mini-batch rule changes from the first step to the last.

A schedule maps progress t in [0, 1) (the share of all steps taken) to a factor of the rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from thetanet.errors import InputError

Schedule = Callable[[float], float]

WARMUP = 0.1  # share of the steps in which "warmup-linear" rises to the full rate


def constant(t: float) -> float:
    """The rate never changes."""  # noqa: D401
    return 1.0


def warmup_linear(t: float) -> float:
    """Rise linearly over the first tenth of the steps, then fall linearly to zero."""
    return t / WARMUP if t < WARMUP else (1 - t) / (1 - WARMUP)


def cosine(t: float) -> float:
    """Fall from the full rate to zero along half a cosine (Loshchilov & Hutter 2017, SGDR, no restarts)."""
    return 0.5 * (1 + math.cos(math.pi * t))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "warmup-linear": warmup_linear, "cosine": cosine}


def resolve_schedule(schedule: str | Schedule) -> Schedule:
    """Return the schedule of this name, or the callable itself.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if callable(schedule):
        return schedule
    if schedule not in SCHEDULES:
        raise InputError(f"schedule={schedule!r}: must be one of {', '.join(SCHEDULES)}, or a function")
    return SCHEDULES[schedule]
