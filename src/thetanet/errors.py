"""Every error that thetanet raises on purpose.

Each message names the argument, the value received, and what to do about it.
"""


class ThetanetError(Exception):
    """Base of all errors raised by thetanet."""


class InputError(ThetanetError, ValueError):
    """An argument (array, number, name) cannot be used as it is."""


class DataFileError(InputError):
    """A data file is malformed, truncated, or not of the kind that was expected."""


class ModelFileError(InputError):
    """A model file is truncated, of another kind, or was tampered with."""


class MissingExtraError(ThetanetError, ImportError):
    """An optional library is needed; the message says which `pip install` brings it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs an optional library that is not installed: pip install 'thetanet[{extra}]'"
        )
