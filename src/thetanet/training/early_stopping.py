"""Early stopping: which epoch was the best on the validation data, and whether it is time to stop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Best:
    """The best Theta so far.

    Parameters
    ----------
    patience : int
        Epochs without a better score after which to stop.
    kept : dict
        What `state` returned when the training was interrupted; empty at a fresh start.
    """

    def __init__(self, patience: int, kept: dict[str, Any]) -> None:
        self.patience = patience
        self.theta: NDArray[Any] | None = kept.get("best_theta")
        self.score: float = kept.get("best_score", -np.inf)
        self.epoch: int = kept.get("best_epoch", 0)

    def look(self, score: float, epoch: int, theta: NDArray[Any]) -> bool:
        """Remember Theta if its score is the highest so far; tell whether to stop."""
        if score > self.score or self.theta is None:
            # A score that is no number is none: any other is higher.
            score = -np.inf if np.isnan(score) else float(score)
            self.theta, self.score, self.epoch = theta.copy(), score, epoch
        return epoch - self.epoch >= self.patience

    def state(self) -> dict[str, Any]:
        """Return what has to be kept to go on later."""
        if self.theta is None:
            return {}
        return {"best_theta": self.theta, "best_score": self.score, "best_epoch": self.epoch}
