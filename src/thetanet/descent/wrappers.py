"""Wrappers of mini-batch rules: a running average of Theta, and a limit for the norm of the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thetanet.checks import check_number
from thetanet.descent.rule import AVERAGE_INDEX, AVERAGE_SLOT, MAX_SLOTS, MiniBatchRule
from thetanet.errors import InputError


@dataclass(frozen=True)
class _Wrapper(MiniBatchRule):
    """What all wrappers take from the rule that they go around."""

    rule: MiniBatchRule

    def __post_init__(self) -> None:
        if not isinstance(self.rule, MiniBatchRule):
            raise InputError(
                f"rule={self.rule!r}: {type(self).__name__} goes around a mini-batch rule, e.g. Adam()"
            )

    @property
    def learning_rate(self) -> float:  # type: ignore[override]
        """Peak rate of the rule."""
        return self.rule.learning_rate

    @property
    def schedule(self) -> Any:  # type: ignore[override]
        """Schedule of the rule."""
        return self.rule.schedule

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Vectors in the state of the rule."""
        return self.rule.slots

    @property
    def decay_index(self) -> int | None:  # type: ignore[override]
        """Index of the coefficient by which weights shrink."""
        return self.rule.decay_index

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return those of the rule."""
        return tuple(self.rule.coefficients(step, rate))


@dataclass(frozen=True)
class Averaged(_Wrapper):
    """Descent by a rule, whose result is a running average of Theta (Polyak & Juditsky 1992, exponential).

    average <- d average + (1 - d) Theta after each step, where d = min(decay, t / (10 + t)) forgets the start
    quickly. The average of the last part of training lies lower than the noisy path of a mini-batch
    rule with a rate that stays high, so a smaller or constant schedule may be used.

    Parameters
    ----------
    rule : mini-batch rule
        E.g. ``Adam(schedule="constant")``, with at most two vectors in its state.
    decay : float in [0, 1)
        0.998 is an average over about 500 steps.
    """

    decay: float = 0.998

    averaged = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("decay", self.decay, least=0, most=np.nextafter(1, 0))
        room = MAX_SLOTS - 1
        if self.rule.slots > room:
            raise InputError(
                f"rule={self.rule!r}: remembers {self.rule.slots} vectors; there is room for {room}"
            )
        if self.rule.rule is not None:
            raise InputError(
                f"rule={self.rule!r}: put the other wrapper outside, as in Clipped(Averaged(Adam()))"
            )

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Vectors in the state of the rule, and the average."""
        return self.rule.slots + 1

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return those of the rule, and the decay of the average at its index."""
        own = super().coefficients(step, rate)
        return (*own, *(0.0,) * (AVERAGE_INDEX - len(own)), min(self.decay, step / (10 + step)))

    def update(  # type: ignore[override]
        self, theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]
    ) -> Any:
        """Return the new theta, and the new state with the average at the end."""
        new, after = self.rule.update(theta, gradient, tuple(state[:AVERAGE_SLOT]), c)
        d = c[AVERAGE_INDEX]
        return new, (*after, d * state[AVERAGE_SLOT] + (1 - d) * new)


@dataclass(frozen=True)
class Clipped(_Wrapper):
    """Descent by a rule that sees no gradient longer than `norm` (Pascanu, Mikolov & Bengio 2013).

    g <- g min(1, norm / |g|), with |g| over all of Theta. The gradient is the mean over the mini-batch.

    The whole gradient must be known before any of it is used, so steps take several times as long as without.

    Parameters
    ----------
    rule : mini-batch rule
        E.g. ``SGD(learning_rate=1.0)``.
    norm : float
        The largest norm.
    """

    norm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("norm", self.norm, least=0, above=True)

    @property
    def averaged(self) -> bool:  # type: ignore[override]
        """Whether the rule averages Theta."""
        return self.rule.averaged

    @property
    def largest_norm(self) -> float:  # type: ignore[override]
        """The norm as engines look for it: they compute the whole gradient before they call `update`."""
        return float(self.norm)

    def update(  # type: ignore[override]
        self, theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]
    ) -> Any:
        """Return what the rule makes of a gradient that was clipped before."""
        return self.rule.update(theta, gradient, state, c)
