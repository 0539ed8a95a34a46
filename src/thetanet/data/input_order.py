"""Further data with named inputs, in the order that a network takes them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.formats.columns import in_order

if TYPE_CHECKING:
    from thetanet.data.source import Part, Source


@dataclass(frozen=True)
class Reordered:
    """A part whose inputs come in another order: `places` says where each is found."""

    part: Any
    places: tuple[int, ...]

    @property
    def where(self) -> str:
        """Say which file and rows."""
        return str(self.part.where)

    @property
    def state(self) -> tuple[Any, ...] | None:
        """What a note on this part is good for."""
        state = getattr(self.part, "state", None)
        return None if state is None else (type(self.part).__name__, state, self.places)

    @property
    def skipped(self) -> Any:
        """What was skipped when it was read last."""
        return getattr(self.part, "skipped", None)

    @property
    def file(self) -> str:
        """The file."""
        return str(getattr(self.part, "file", self.part.where))

    def read(self) -> tuple[Any, NDArray[Any]]:
        """Read it."""
        return _reordered(self.places, self.part.read())


def ordered_like(source: Source, names: Sequence[str] | None) -> Source:
    """Return further data with its inputs in the order of these names, where both have names.

    Raises
    ------
    DataFileError
        If the inputs have other names.
    """
    if names is None or source.feature_names is None:
        return source
    wanted = in_order(source.name, source.feature_names, [str(name) for name in names])
    if list(wanted) == list(source.feature_names):
        return source
    place = {name: n for n, name in enumerate(source.feature_names)}
    places = tuple(place[name] for name in wanted)
    found = copy.copy(source)  # with the temporary folder that it may hold
    object.__setattr__(found, "parts", [_part(part, places) for part in source.parts])
    object.__setattr__(found, "feature_names", list(wanted))
    return found


def _part(part: Any, places: tuple[int, ...]) -> Part:
    # What a cluster computes is changed there.
    changed: Part = (
        part.then(partial(_reordered, places)) if hasattr(part, "then") else Reordered(part, places)
    )
    return changed


def _reordered(places: tuple[int, ...], samples: tuple[Any, NDArray[Any]]) -> tuple[Any, NDArray[Any]]:
    X, y = samples
    return np.take(X, places, axis=1), y
