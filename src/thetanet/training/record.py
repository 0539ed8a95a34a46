"""What is known at the end of an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Record:
    """What is known at the end of an epoch (for whole-pass methods: of an iteration).

    Attributes
    ----------
    epoch : int
        Counted from 1.
    samples : int
        Samples seen since the start.
    seconds : float
        Time spent since the start of the descent, validation included. What an engine compiles for a new kind
        of data, once on a machine, comes before.
    error : float
        E per sample on the training data. For mini-batches the mean over the epoch, each batch before its
        step; for whole passes at the new Theta.
    accuracy : float
        Share of correct answers on the training data, measured like `error`. For several labels all of
        them must be correct.
    val_error, val_accuracy : float or None
        The same on the validation data, at the end of the epoch.
    learning_rate : float
        The last rate of descent.
    val_score : float or None
        What `scoring` says of the validation data.
    """

    epoch: int
    samples: int
    seconds: float
    error: float
    accuracy: float
    val_error: float | None
    val_accuracy: float | None
    learning_rate: float
    val_score: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return dict(self.__dict__)


def empty_history() -> dict[str, list[Any]]:
    """Return a history of no epochs: a list for each field of a record."""
    return {name: [] for name in Record.__dataclass_fields__}
