"""The contract of engines, which compute the numbers of network.py fast, on whatever hardware.

In three parts: a `Chunk` is what an engine reads, an `Engine` computes sums over chunks, and a `Stepper`
holds Theta and the state of a mini-batch rule in whatever layout is quickest while mini-batches pass.
Engines know arrays and Theta; they know no files, no epochs and no estimator. `tests/engine/conformance.py`
checks any engine against network.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

from numpy.typing import NDArray

from thetanet.descent.rule import AVERAGE_SLOT, MiniBatchRule
from thetanet.theta import Theta


class Chunk(Protocol):
    """Labelled samples in memory, rows are samples (`thetanet.data.samples.Samples`)."""

    @property
    def X(self) -> Any:
        """Inputs: array or CSR matrix of shape (M, D_I)."""

    @property
    def L(self) -> NDArray[Any]:
        """Targets of shape (M, D_O), or class indices of shape (M,)."""

    @property
    def D_O(self) -> int:
        """Number of outputs."""

    @property
    def weight(self) -> NDArray[Any] | None:
        """Sample weights of shape (M,)."""

    @property
    def scaling(self) -> Any:
        """The map x -> (x - shift) * factor, with fields of these names (shift may be None)."""

    @property
    def active_inputs(self) -> NDArray[Any] | None:
        """Indices of the inputs that are not zero everywhere, where the chunk is one of many; else None."""


class Measure(NamedTuple):
    """Sums over samples, so that those of tiles, files and machines add up.

    `error` is E, `correct` the (weighted) number of correct answers, `weight` the sum of weights.
    """

    error: float
    correct: float
    weight: float

    @classmethod
    def of(cls, measures: NDArray[Any]) -> Measure:
        """Return the sum of the measures of mini-batches, rows of (error, correct, weight)."""
        error, correct, weight = measures.sum(axis=0).tolist()
        return cls(error, correct, weight)

    def plus(self, other: Measure) -> Measure:
        """Return the measure of both sets of samples together."""
        return Measure(self.error + other.error, self.correct + other.correct, self.weight + other.weight)


class Stepper(ABC):
    """Theta on its way down, mini-batch after mini-batch, by a `rule`."""

    rule: MiniBatchRule

    @abstractmethod
    def run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[Any]:
        """Take one step for each row of `coefficients`, over consecutive batches of `order`.

        Parameters
        ----------
        chunk : Chunk
            The samples.
        order : array of int
            Rows of the chunk; the last batch may be smaller.
        coefficients : array of shape (steps, n)
            Those of the rule. With no rows the engine prepares the chunk, and compiles what it needs.

        Returns
        -------
        array of shape (steps, 3)
            E, correct samples and weight of each mini-batch before its step. Their sum must not depend on how
            the steps of an epoch are spread over calls, so that training can be interrupted and resumed.
        """

    @abstractmethod
    def restart(self, theta: Theta) -> None:
        """Start again at another Theta of the same shape, with a state of zeros."""

    @abstractmethod
    def theta(self) -> Theta:
        """Return a copy of the present Theta."""

    @abstractmethod
    def state(self) -> NDArray[Any]:
        """Return a copy of the rule's state: shape (slots, size of Theta)."""

    def result(self) -> NDArray[Any]:
        """Return the vector in which the descent results: Theta, or its average if the rule keeps one."""
        flat: NDArray[Any] = self.state()[AVERAGE_SLOT] if self.rule.averaged else self.theta().flat
        return flat


class Engine(ABC):
    """Base class of engines; methods with a body are optional.

    Attributes
    ----------
    distributed : bool
        The engine computes on groups of samples that other machines hold (as `engine.dask.DaskEngine`).
    dtype : numpy.dtype
        Floating-point type in which training computes.
    """

    distributed: ClassVar[bool] = False

    dtype: Any

    @abstractmethod
    def error_and_gradient(self, theta: Theta, chunk: Chunk) -> tuple[Measure, Theta]:
        """Return the sums of E and dE/dTheta over all samples of the chunk."""

    @abstractmethod
    def measure(self, theta: Theta, chunk: Chunk) -> Measure:
        """Return E and the number of correct samples, without the gradient."""

    @abstractmethod
    def hessian_product(self, theta: Theta, direction: Theta, chunk: Chunk) -> Theta:
        """Return H v: the Hessian matrix of E, summed over all samples of the chunk, times a direction."""

    @abstractmethod
    def stepper(
        self,
        theta: Theta,
        rule: MiniBatchRule,
        batch_size: int,
        decay: float = 0.0,
        state: NDArray[Any] | None = None,
    ) -> Stepper:
        """Begin mini-batch descent at `theta`; `decay` * W joins the mean gradient, biases excepted.

        `state` is that of another stepper, which this one continues.
        """

    @abstractmethod
    def propagate(self, theta: Theta, X: Any, to: str = "Y") -> NDArray[Any]:
        """Return Z (M, D_H), A2 or Y (M, D_O) of the rows of X, in Theta's own floating-point type."""

    def warm_up(self, theta: Theta, chunk: Chunk, method: Any, batch_size: int, decay: float = 0.0) -> None:  # noqa: B027
        """Prepare the chunk and compile for its kind of data, so that the first step is not the slowest.

        `method` is a mini-batch rule or a whole-pass method. By default there is nothing to do.
        """

    def preparation_for(self, method: Any = None, decay: float = 0.0) -> Callable[[Chunk], Any] | None:
        """Return a function that prepares chunks for a method, in whatever thread; None if there is none.

        Where chunks come from disk, it is called before they are needed. Without a method, they are prepared
        for `measure`.
        """
        return None

    def explain(self, theta: Theta, chunk: Chunk, batch_size: int) -> str:
        """Return a description of how steps of `batch_size` samples of this chunk are computed."""
        return repr(self)
