"""Steps that must see the whole gradient before they use any of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.descent.rule import MiniBatchRule
from thetanet.engine import Chunk, Engine, Stepper
from thetanet.theta import Theta


class _KeepGradient(MiniBatchRule):
    """A rule that leaves Theta alone and keeps the gradient as its state."""

    @staticmethod
    def update(theta: Any, gradient: Any, state: Any, c: Any) -> Any:
        return theta, (gradient,)


class ClippedStepper(Stepper):
    """Computes the gradient by the engine, clips it, and lets the rule update Theta as a whole."""

    def __init__(
        self,
        engine: Engine,
        theta: Theta,
        rule: MiniBatchRule,
        batch_size: int,
        decay: float,
        state: NDArray[Any] | None,
    ) -> None:
        self.rule = rule
        self._largest_norm = float("inf") if rule.largest_norm is None else rule.largest_norm
        self._theta, self._batch = theta.copy(), batch_size
        self._state = np.zeros((rule.slots, theta.flat.size), theta.dtype)
        if state is not None:
            self._state[...] = state
        self._gradients = engine.stepper(theta, _KeepGradient(), batch_size, decay)

    def run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """Take one step for each row of `coefficients`, over consecutive batches of `order`."""
        if not len(coefficients):  # warming up
            return np.asarray(self._gradients.run(chunk, order, coefficients))
        decay_index = self.rule.decay_index
        measures = []
        for step, c in enumerate(coefficients):
            rows = order[step * self._batch : (step + 1) * self._batch]
            self._gradients.restart(self._theta)
            measures.append(self._gradients.run(chunk, rows, np.zeros((1, 1))))
            gradient = self._gradients.state()[0]
            norm = float(np.sqrt(np.sum(np.square(gradient), dtype=np.float64)))
            if norm > self._largest_norm:
                gradient *= gradient.dtype.type(self._largest_norm / norm)
            if decay_index is not None:
                for W in (self._theta.W1, self._theta.W2):
                    W -= W.dtype.type(c[decay_index]) * W
            numbers = tuple(gradient.dtype.type(number) for number in c)
            flat, after = self.rule.update(self._theta.flat, gradient, tuple(self._state), numbers)
            self._theta.flat[...] = flat
            for slot, new in zip(self._state, after, strict=True):
                slot[...] = new
        return np.concatenate(measures)

    def restart(self, theta: Theta) -> None:
        """Start again at another Theta, with a state of zeros."""
        self._theta.flat[...] = theta.flat
        self._state[...] = 0

    def theta(self) -> Theta:
        """Return a copy of the present Theta."""
        return self._theta.copy()

    def state(self) -> NDArray[Any]:
        """Return a copy of the rule's state: shape (slots, size of Theta)."""
        return self._state.copy()
