"""Callbacks: what looks on at the end of each epoch, and may end a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thetanet.models.fitted import FittedNetwork
from thetanet.training.record import Record


class Callback:
    """Looks on at the end of each epoch; override what is needed.

    What a callback remembers is kept in checkpoints by `state` and comes back by `restore`.
    """

    def on_epoch_end(self, record: Record, network: FittedNetwork) -> bool:
        """Take notice of an epoch, and return whether to end the training."""
        return False

    def result(self) -> FittedNetwork | None:
        """Return the network that the training results in, if it is not that of the last epoch."""
        return None

    def state(self) -> dict[str, Any]:
        """Return arrays and numbers from which `restore` goes on."""
        return {}

    def restore(self, state: dict[str, Any], network: FittedNetwork) -> None:
        """Go on from a state, for networks like this one."""


class FunctionCallback(Callback):
    """A function of the user's, which ends the training by returning True."""

    def __init__(self, function: Callable[[Record], Any]) -> None:
        self.function = function

    def on_epoch_end(self, record: Record, network: FittedNetwork) -> bool:
        """Call the function."""
        return bool(self.function(record))
