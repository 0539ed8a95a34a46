"""Names of inputs: checked to be unique, and brought into an order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from thetanet.errors import DataFileError, InputError


def order_names(source: str, names: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of inputs in the order of `wanted`, or that of the source if it is None.

    Raises
    ------
    DataFileError
        If the source has other inputs than those.
    """
    if wanted is None:
        return tuple(names)
    missing, surplus = subtract_names(wanted, names), subtract_names(names, wanted)
    if missing or surplus:
        lacks = [f"lacks {quote_names(missing)}"] if missing else []
        has = [f"has {quote_names(surplus)} besides"] if surplus else []
        raise DataFileError(
            f"{source}: its columns of inputs must be {quote_names(wanted)}; it {' and '.join(lacks + has)}"
        )
    return tuple(wanted)


def subtract_names(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the names that are not among the others."""
    known = set(others)
    return [name for name in names if name not in known]


def check_unique(source: str, names: Sequence[str]) -> None:
    """Check that no two columns have one name."""
    if len(set(names)) < len(names):
        name = _first_repeated(names)
        raise DataFileError(f"{source}: has {names.count(name)} columns named {name!r}; rename all but one")


def check_inputs(inputs: Sequence[str] | None) -> None:
    """Check the names of inputs that the user wants."""
    if inputs is not None and (isinstance(inputs, str) or not all(isinstance(each, str) for each in inputs)):
        raise InputError(f"inputs={inputs!r}: must be the names of columns in a list, or None")
    if inputs is not None and len(set(inputs)) < len(inputs):
        raise InputError(f"inputs: names {_first_repeated(inputs)!r} more than once")


def quote_names(names: Sequence[str]) -> str:
    """Return names as a text for messages, at most twelve of them."""
    shown = ", ".join(repr(name) for name in names[:12])
    return shown + (f", ... ({len(names)} columns)" if len(names) > 12 else "")


def _first_repeated(names: Sequence[str]) -> str:
    return next(name for name, times in Counter(names).items() if times > 1)
