"""Further data like the training data: inputs in the order of their names, labels of the same type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.feature_names import order_names
from thetanet.data.source import Rows, Source


def align_source(
    source: Source, feature_names: Sequence[str] | None, classes: NDArray[Any] | None = None
) -> Source:
    """Return further data with its inputs in the order of these names and labels of these classes' type.

    Names are compared if both have some. The type of labels is inferred for each data set separately: where
    training data has the classes 0, 1 and other, which are texts, test data with 0 and 1 only seems to have
    integers; so its labels are read as texts too.

    Raises
    ------
    DataFileError
        If the inputs have other names.
    """
    if classes is not None and classes.dtype.kind == "U":
        source = replace(source, parts=[part.with_text_labels() for part in source.parts])
    if feature_names is None or source.feature_names is None:
        return source
    names = order_names(source.name, source.feature_names, [str(name) for name in feature_names])
    if list(names) == list(source.feature_names):
        return source
    place = {name: n for n, name in enumerate(source.feature_names)}
    reordered = source.map(_TakeInputs(tuple(place[name] for name in names)))
    return replace(reordered, feature_names=list(names))


@dataclass(frozen=True)
class _TakeInputs:
    """A function that returns samples with the inputs at these places."""

    places: tuple[int, ...]

    def __call__(self, rows: Rows) -> Rows:
        X = rows.X
        taken = np.take(X, self.places, axis=1) if isinstance(X, np.ndarray) else X[:, list(self.places)]
        return rows._replace(X=taken)
