"""The contract of whole-pass methods, which know neither network nor data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

from numpy.typing import NDArray

Vector = NDArray[Any]
Objective = Callable[[Vector], tuple[float, Vector]]
"""objective(theta) -> (E / M, its gradient): means over samples, so step sizes do not depend on M.

A method with `needs_hessian = True` also calls `objective.hessian_product(theta, v)`, the product H v of the
Hessian matrix of E / M at theta and a vector.
"""

State = dict[str, Any]
"""Arrays, floats, ints and None by name. Methods never change an array that they have given away."""


class Pass(NamedTuple):
    """One iteration of a whole-pass method."""

    theta: Vector
    error: float
    learning_rate: float
    passes: int  # evaluations of the objective, and Hessian-vector products, in this iteration
    state: State  # descend(objective, theta, state) goes on from here, bit for bit


class WholePassMethod(ABC):
    """Base class of methods that evaluate error and gradient over all samples for every step.

    Attributes
    ----------
    learning_rate : float or None
        First trial of the first iteration, where a method has one.
    needs_hessian : bool
        The method calls `objective.hessian_product(theta, v)`.
    """

    whole_passes: ClassVar[bool] = True

    learning_rate: float | None = None
    needs_hessian: bool = False

    @abstractmethod
    def descend(self, objective: Objective, theta: Vector, state: State | None = None) -> Iterator[Pass]:
        """Yield one `Pass` an iteration, without end unless it cannot lower the error any more.

        With the theta and the state of a `Pass` it continues as if it had never stopped, and evaluates
        nothing again. With no state, or that of another method or size of theta, it starts afresh.
        """
