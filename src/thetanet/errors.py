"""Every error that thetanet raises on purpose.

Each message names the argument, the value received, and what to do about it.
"""


class ThetanetError(Exception):
    """Base of all errors raised by thetanet."""


class InputError(ThetanetError, ValueError):
    """An argument (array, number, name) cannot be used as it is."""


class DataFileError(InputError):
    """A data file is malformed, truncated, or not of the kind that was expected."""


class NoWeightColumnError(DataFileError):
    """A table has no column of the name that sample weights were said to have."""


class ModelFileError(InputError):
    """A model file is truncated, of another kind, or was tampered with."""


class CheckpointError(InputError):
    """A checkpoint does not belong to this training, or none can be read."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or was passed over because it is damaged; training goes on."""


class DivergedError(ThetanetError, ArithmeticError):
    """E grew without bound. The network keeps the last Theta that was healthy.

    Attributes
    ----------
    epoch : int
        The epoch in which it happened, counted from 1.
    learning_rate : float or None
        The method's rate, if it has one.
    """

    def __init__(self, epoch: int, error: float, rate: float | None, method: object) -> None:
        self.epoch, self.error, self.learning_rate = epoch, error, rate
        remedy = "scale the inputs" if rate is None else f"try learning_rate={rate / 5:.2g}"
        super().__init__(
            f"descent diverged in epoch {epoch} with {method}: E per sample is {error:.3g}; {remedy}. "
            "The network keeps the last healthy Theta"
        )


class ClusterError(ThetanetError, RuntimeError):
    """A cluster cannot be reached any more, or cannot do the work; the message says how to go on."""


class MissingExtraError(ThetanetError, ImportError):
    """An optional library is needed; the message says which `pip install` brings it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs an optional library that is not installed: pip install 'thetanet[{extra}]'"
        )
