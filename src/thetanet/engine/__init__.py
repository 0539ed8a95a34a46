"""Engines compute the numbers of network.py fast: on the processor, a cluster, an accelerator.

A contract in three parts. A `Chunk` is what an engine reads, an `Engine` computes sums over chunks,
a `Stepper` holds Theta and the descent state in whatever layout is quickest while mini-batches pass.
Engines know arrays and Theta; they know no files, no epochs and no estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from thetanet.theta import Theta


class Chunk(Protocol):
    """Labelled samples in memory, rows are samples (`thetanet.data.arrays.Samples`)."""

    @property
    def X(self) -> Any: ...  # noqa: D102  array or CSR matrix (M, D_I)
    @property
    def L(self) -> NDArray[Any]: ...  # noqa: D102  (M, D_O), or class indices (M,)
    @property
    def D_O(self) -> int: ...  # noqa: D102
    @property
    def weight(self) -> NDArray[Any] | None: ...  # noqa: D102  (M,)
    @property
    def scaling(self) -> Any: ...  # noqa: D102  x -> (x - shift) * factor, with fields of these names


class Measure(NamedTuple):
    """Sums over samples, so those of tiles, files and machines add up.

    `error` is E, `right` the (weighted) number of samples with the right answer, `weight` the sum of weights.
    """

    error: float
    right: float
    weight: float

    @classmethod
    def of(cls, measures: NDArray[Any]) -> Measure:
        """Return the sum of the measures of mini-batches, rows of (error, right, weight)."""
        error, right, weight = measures.sum(axis=0).tolist()
        return cls(error, right, weight)

    def plus(self, other: Measure) -> Measure:
        """Return the measure of both sets of samples together."""
        return Measure(self.error + other.error, self.right + other.right, self.weight + other.weight)


class Rule(Protocol):
    """A mini-batch descent rule, as engines see it: element-wise, so any part of Theta can update itself.

    Two attributes may be left out. `lazy`: nothing changes where the gradient is zero. `decoupled`: the index
    of the coefficient that is the share each weight loses before the update, biases excepted.
    """

    @property
    def slots(self) -> int:
        """How many vectors as long as Theta the rule remembers, at most three."""

    def update(self, theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return (new theta, new state) of one element or an array of them; `c` changes with the step."""


class Stepper(Protocol):
    """Theta on its way down, mini-batch after mini-batch."""

    def run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[Any]:
        """Take one step for each row of `coefficients`, over consecutive batches of `order`.

        Returns
        -------
        array of shape (steps, 3)
            E, right answers and weight of each mini-batch before its step. Their sum must not depend on how
            the steps of an epoch are spread over calls, so that training can be interrupted and resumed.
        """

    def theta(self) -> Theta:
        """Return a copy of the present Theta."""

    def state(self) -> NDArray[Any]:
        """Return a copy of the rule's state: shape (slots, size of Theta)."""


class Engine(Protocol):
    """Everything that training and prediction ask for."""

    @property
    def dtype(self) -> Any:
        """Floating-point type in which training computes."""

    def error_and_gradient(self, theta: Theta, chunk: Chunk) -> tuple[Measure, Theta]:
        """Return the sums of E and dE/dTheta over all samples of the chunk."""

    def measure(self, theta: Theta, chunk: Chunk) -> Measure:
        """Return E and the number of right answers, without the gradient."""

    def hessian_product(self, theta: Theta, direction: Theta, chunk: Chunk) -> Theta:
        """Return H v: the Hessian matrix of E, summed over all samples of the chunk, times a direction."""

    def stepper(
        self, theta: Theta, rule: Rule, batch_size: int, decay: float = 0.0, state: NDArray[Any] | None = None
    ) -> Stepper:
        """Begin mini-batch descent at `theta`; `decay` * W joins the mean gradient, biases excepted."""

    def propagate(self, theta: Theta, X: Any, to: str = "Y") -> NDArray[Any]:
        """Return Z (M, D_H), A2 or Y (M, D_O) of the rows of X, in Theta's own floating-point type."""


@cache
def default_engine() -> Engine:
    """Return this machine's processor, in float32."""
    from thetanet.engine.cpu.engine import CPUEngine

    return CPUEngine()
