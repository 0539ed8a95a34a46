"""Early stopping: which epoch was the best on the validation data, and whether it is time to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from thetanet.models.fitted import FittedNetwork
from thetanet.training.callbacks import Callback
from thetanet.training.record import Record


class EarlyStopping(Callback):
    """Keeps the best network so far, and ends a training that has not improved for long.

    An epoch is judged by its `val_score`, or by -`val_error` where there is none.

    Parameters
    ----------
    patience : int
        Epochs without a better score after which to stop.

    Attributes
    ----------
    best_network : FittedNetwork or None
        The network of the best epoch.
    best_epoch, best_score : int, float
        That epoch, and its score.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_network: FittedNetwork | None = None
        self.best_epoch, self.best_score = 0, -np.inf

    def on_epoch_end(self, record: Record, network: FittedNetwork) -> bool:
        """Keep the network if its score is the highest so far; return whether to stop."""
        score = record.val_score
        if score is None:
            assert record.val_error is not None
            score = -record.val_error
        if score > self.best_score or self.best_network is None:
            # A score that is no number is none: any other is higher.
            self.best_score = -np.inf if np.isnan(score) else float(score)
            self.best_network, self.best_epoch = network, record.epoch
        return record.epoch - self.best_epoch >= self.patience

    def result(self) -> FittedNetwork | None:
        """Return the best network."""
        return self.best_network

    def state(self) -> dict[str, Any]:
        """Return the best network and its score."""
        if self.best_network is None:
            return {}
        flat = self.best_network.theta.flat
        return {"best_theta": flat, "best_score": self.best_score, "best_epoch": self.best_epoch}

    def restore(self, state: dict[str, Any], network: FittedNetwork) -> None:
        """Go on from a state."""
        if "best_theta" in state:
            self.best_network = replace(network, theta=network.theta.like(state["best_theta"]))
            self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]
