"""The contract of mini-batch rules, and the layout of the coefficients that an engine passes to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

COEFFICIENTS = 10
"""Room for the numbers that change from step to step: `coefficients` returns at most so many, minus one."""

AVERAGE_INDEX = COEFFICIENTS - 1
"""Index of the coefficient that is the decay of a running average of Theta."""

AVERAGE_SLOT = -1
"""Slot of the state that is the running average of Theta."""

MAX_SLOTS = 3


class MiniBatchRule(ABC):
    """Base class of mini-batch rules: element-wise, so that any part of Theta can update itself.

    A rule is a pure pair of functions. `coefficients(step, rate)` returns the numbers that change from step
    to step; `update(theta, gradient, state, c)` returns the new theta and the new state. The gradient is the
    mean over the mini-batch.

    Attributes
    ----------
    learning_rate : float
        Peak rate.
    schedule : str or callable
        "constant", "warmup-linear", "cosine", or a function of progress in [0, 1).
    slots : int
        Number of vectors as long as Theta in the state, at most 3.
    lazy : bool
        Nothing changes where the gradient is zero; engines may then skip such parameters.
    decay_index : int or None
        Index of the coefficient by which weights shrink before the update, W <- W - c[decay_index] W. A rule
        cannot know which elements are biases; the engine can, and spares them.
    averaged : bool
        The last slot is a running average of Theta, and that average is the result of the descent.
    rule : MiniBatchRule or None
        The rule that a wrapper goes around. The engine compiles its `update`, and keeps the average itself.
    largest_norm : float or None
        The engine scales gradients of a larger Euclidean norm down to it before it calls `update`.
    """

    whole_passes: ClassVar[bool] = False

    learning_rate: float = 0.01
    schedule: str | Callable[[float], float] = "warmup-linear"
    slots: int = 1
    lazy: bool = False
    decay_index: int | None = None
    averaged: bool = False
    rule: MiniBatchRule | None = None
    largest_norm: float | None = None

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return the numbers that `update` receives as `c` in this step (counted from 0) at this rate."""
        return (rate,)

    @staticmethod
    @abstractmethod
    def update(theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return (new theta, tuple of the new state) of one element.

        Written with +, -, *, / and NumPy's element-wise functions alone, so that it also works on arrays and
        in compiled loops.
        """

    def result(self, theta: Any, state: Any) -> Any:
        """Return the vector in which a descent results: theta, or the running average of it."""
        return state[AVERAGE_SLOT] if self.averaged else theta
