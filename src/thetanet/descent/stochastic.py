"""The mini-batch rules: SGD, Adagrad, RMSprop, Adam and AdamW; `rule.py` has their contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thetanet.checks import check_number
from thetanet.descent.rule import MiniBatchRule
from thetanet.descent.schedules import Schedule, resolve_schedule


@dataclass(frozen=True)
class SGD(MiniBatchRule):
    """Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's momentum (Sutskever et al. 2013).

    v <- momentum v + g;  Theta <- Theta - rate v, or Theta - rate (g + momentum v) for Nesterov.

    Parameters
    ----------
    learning_rate : float
        Peak rate.
    momentum : float in [0, 1)
        0 is plain stochastic gradient descent.
    nesterov : bool
        Look ahead along the momentum.
    schedule : str or callable
        "constant", "warmup-linear", "cosine", or a function of progress in [0, 1).
    """

    learning_rate: float = 0.5
    momentum: float = 0.9
    nesterov: bool = True
    schedule: str | Schedule = "warmup-linear"

    slots = 1

    @property
    def lazy(self) -> bool:  # type: ignore[override]
        """Whether nothing changes where the gradient is zero."""
        return self.momentum == 0

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, least=0, above=True)
        check_number("momentum", self.momentum, least=0, most=np.nextafter(1, 0))
        resolve_schedule(self.schedule)

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return (momentum, rate of g, rate of v) for this step."""
        if self.nesterov:
            return self.momentum, rate, rate * self.momentum
        return self.momentum, 0.0, rate

    @staticmethod
    def update(theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return the new theta and (v,)."""
        v = c[0] * state[0] + gradient
        return theta - c[1] * gradient - c[2] * v, (v,)


@dataclass(frozen=True)
class Adagrad(MiniBatchRule):
    """Adagrad (Duchi, Hazan & Singer 2011): rates that shrink with what a parameter has already moved.

    s <- s + g^2;  Theta <- Theta - rate g / (sqrt(s) + epsilon).

    Where the gradient is zero nothing changes, so on very wide sparse inputs a step costs only the
    non-zeros of its mini-batch.

    Parameters
    ----------
    learning_rate : float
        Peak rate.
    epsilon : float
        Keeps the division finite.
    schedule : str or callable
        "constant", "warmup-linear", "cosine", or a function of progress in [0, 1).
    """

    learning_rate: float = 0.1
    epsilon: float = 1e-8
    schedule: str | Schedule = "warmup-linear"

    slots = 1
    lazy = True

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, least=0, above=True)
        check_number("epsilon", self.epsilon, least=0, above=True)
        resolve_schedule(self.schedule)

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return (rate, epsilon)."""
        return rate, self.epsilon

    @staticmethod
    def update(theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return the new theta and (s,)."""
        s = state[0] + gradient * gradient
        return theta - c[0] * gradient / (np.sqrt(s) + c[1]), (s,)


@dataclass(frozen=True)
class RMSprop(MiniBatchRule):
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5), with momentum if wanted.

    s <- rho s + (1 - rho) g^2;  v <- momentum v + g / (sqrt(s) + epsilon);  Theta <- Theta - rate v.

    Parameters
    ----------
    learning_rate : float
        Peak rate.
    rho : float in [0, 1)
        Decay of the running mean of the squared gradient (0.9 in the lecture).
    momentum : float in [0, 1)
        0 is the lecture's rule.
    epsilon : float
        Keeps the division finite.
    schedule : str or callable
        "constant", "warmup-linear", "cosine", or a function of progress in [0, 1).
    """

    learning_rate: float = 0.02
    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    schedule: str | Schedule = "warmup-linear"

    slots = 2

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, least=0, above=True)
        check_number("rho", self.rho, least=0, most=np.nextafter(1, 0))
        check_number("momentum", self.momentum, least=0, most=np.nextafter(1, 0))
        check_number("epsilon", self.epsilon, least=0, above=True)
        resolve_schedule(self.schedule)

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return (rho, 1 - rho, momentum, rate, epsilon)."""
        return self.rho, 1 - self.rho, self.momentum, rate, self.epsilon

    @staticmethod
    def update(theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return the new theta and (s, v)."""
        s = c[0] * state[0] + c[1] * gradient * gradient
        v = c[2] * state[1] + gradient / (np.sqrt(s) + c[4])
        return theta - c[3] * v, (s, v)


@dataclass(frozen=True)
class Adam(MiniBatchRule):
    """Adam (Kingma & Ba 2015, algorithm 1).

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;
    Theta <- Theta - rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).

    The defaults differ from the paper's (rate 0.001, beta2 0.999): sigmoid units learn slowly at those.

    Parameters
    ----------
    learning_rate : float
        Peak rate.
    beta1, beta2 : float in [0, 1)
        Decay of the running means of the gradient and of its square.
    epsilon : float
        Keeps the division finite.
    schedule : str or callable
        "constant", "warmup-linear", "cosine", or a function of progress in [0, 1).
    """

    learning_rate: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    schedule: str | Schedule = "warmup-linear"

    slots = 2

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, least=0, above=True)
        check_number("beta1", self.beta1, least=0, most=np.nextafter(1, 0))
        check_number("beta2", self.beta2, least=0, most=np.nextafter(1, 0))
        check_number("epsilon", self.epsilon, least=0, above=True)
        resolve_schedule(self.schedule)

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return (beta1, 1 - beta1, beta2, 1 - beta2, corrected rate, correction of v, epsilon)."""
        t = step + 1
        return (
            self.beta1,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            rate / (1 - self.beta1**t),
            1 / (1 - self.beta2**t),
            self.epsilon,
        )

    @staticmethod
    def update(theta: Any, gradient: Any, state: Sequence[Any], c: Sequence[Any]) -> Any:
        """Return the new theta and (m, v)."""
        m = c[0] * state[0] + c[1] * gradient
        v = c[2] * state[1] + c[3] * gradient * gradient
        return theta - c[4] * m / (np.sqrt(c[5] * v) + c[6]), (m, v)


@dataclass(frozen=True)
class AdamW(Adam):
    """AdamW (Loshchilov & Hutter 2019, algorithm 2): Adam, and weights decay apart from its step.

    W <- W - rate weight_decay W, biases excepted, then Adam's update with the gradient of the error alone.
    Unlike a penalty (`alpha`), the decay does not depend on the size of a weight's gradients.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon, schedule
        As for `Adam`. The schedule scales the decay too, as in the paper.
    weight_decay : float
        Times the rate: the fraction by which a step shrinks the weights.
    """

    weight_decay: float = 0.01

    decay_index = 7  # after the seven of Adam

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("weight_decay", self.weight_decay, least=0)

    def coefficients(self, step: int, rate: float) -> tuple[float, ...]:
        """Return the coefficients of Adam, and the factor by which weights decay."""
        return (*super().coefficients(step, rate), rate * self.weight_decay)
