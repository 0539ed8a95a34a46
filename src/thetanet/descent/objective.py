"""What a whole-pass method gets and gives. It knows neither network nor data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

Vector = NDArray[Any]
Objective = Callable[[Vector], tuple[float, Vector]]
"""objective(theta) -> (E / M, its gradient): means over samples, so step sizes do not depend on M."""


class Pass(NamedTuple):
    """One iteration of a whole-pass method."""

    theta: Vector
    error: float
    rate: float
    passes: int  # evaluations of the objective in this iteration


class WholePass(Protocol):
    """A method that evaluates error and gradient over all samples for every step."""

    def descend(self, objective: Objective, theta: Vector) -> Iterator[Pass]:
        """Yield one `Pass` an iteration, without end unless it cannot lower the error any more."""
