"""What can be put around any mini-batch rule: an average of Theta, and a limit for the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thetanet.checks import check_number
from thetanet.errors import InputError

AVERAGE = 9  # the coefficient that is the decay of the average


@dataclass(frozen=True)
class Averaged:
    """Descent by a rule, whose result is a running average of Theta (Polyak & Juditsky 1992, exponential).

    average <- d average + (1 - d) Theta after each step, where d = min(decay, t / (10 + t)) forgets the start
    quickly. The average of the last part of training lies lower than the noisy path of a mini-batch
    rule with a rate that stays high, so a smaller or constant schedule may be used.

    Parameters
    ----------
    rule : mini-batch rule
        E.g. ``Adam(schedule="constant")``; it remembers at most two vectors.
    decay : float in [0, 1)
        0.998 is an average over about 500 steps.
    """

    rule: Any
    decay: float = 0.998

    averaged: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_rule(self, self.rule)
        check_number("decay", self.decay, least=0, most=np.nextafter(1, 0))
        if self.rule.slots > 2:
            raise InputError(f"rule={self.rule!r}: remembers {self.rule.slots} vectors; there is room for 2")
        if hasattr(self.rule, "rule"):
            raise InputError(
                f"rule={self.rule!r}: put the other wrapper outside, as in Clipped(Averaged(Adam()))"
            )

    @property
    def rate(self) -> float:
        """Peak rate of the rule."""
        return float(self.rule.learning_rate)

    @property
    def schedule(self) -> Any:
        """Schedule of the rule."""
        return self.rule.schedule

    @property
    def slots(self) -> int:
        """What the rule remembers, and the average."""
        return int(self.rule.slots) + 1

    @property
    def decoupled(self) -> int | None:
        """The coefficient that weights lose, if the rule names one."""
        return getattr(self.rule, "decoupled", None)

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return those of the rule, and the decay of the average as the tenth."""
        own = tuple(self.rule.coefficients(step, rate))
        return (*own, *(0.0,) * (AVERAGE - len(own)), min(self.decay, step / (10 + step)))

    def update(self, theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return the new theta, and the new state with the average at the end."""
        new, after = self.rule.update(theta, gradient, tuple(state[:-1]), c)
        return new, (*after, c[AVERAGE] * state[-1] + (1 - c[AVERAGE]) * new)


@dataclass(frozen=True)
class Clipped:
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

    rule: Any
    norm: float = 1.0

    def __post_init__(self) -> None:
        _check_rule(self, self.rule)
        check_number("norm", self.norm, least=0, above=True)

    @property
    def rate(self) -> float:
        """Peak rate of the rule."""
        return float(self.rule.learning_rate)

    @property
    def schedule(self) -> Any:
        """Schedule of the rule."""
        return self.rule.schedule

    @property
    def slots(self) -> int:
        """What the rule remembers."""
        return int(self.rule.slots)

    @property
    def decoupled(self) -> int | None:
        """The coefficient that weights lose, if the rule names one."""
        return getattr(self.rule, "decoupled", None)

    @property
    def averaged(self) -> bool:
        """Whether the rule averages Theta."""
        return bool(getattr(self.rule, "averaged", False))

    @property
    def largest_norm(self) -> float:
        """What engines look for: they have to compute the whole gradient before they call `update`."""
        return float(self.norm)

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return those of the rule."""
        return tuple(self.rule.coefficients(step, rate))

    def update(self, theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return what the rule makes of a gradient that was clipped before."""
        return self.rule.update(theta, gradient, state, c)


def _check_rule(wrapper: Any, rule: Any) -> None:
    if not (hasattr(rule, "update") and hasattr(rule, "coefficients")):
        raise InputError(
            f"rule={rule!r}: {type(wrapper).__name__} goes around a mini-batch rule, e.g. Adam()"
        )
