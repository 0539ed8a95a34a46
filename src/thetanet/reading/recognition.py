"""Recognition of the digits of a line: two networks score the candidates, the best path segments the line.

The first network classifies digits. The second (`load_single_digit_network`) rejects what is not one complete
digit: parts of one, two of them, stains. The confidence of a digit is that of the first network times the
square root of the second's output (many parts of digits look like another digit, so the output itself is too
severe).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.data.formats.picture import Grey
from thetanet.errors import ModelFileError
from thetanet.models.fitted import FittedNetwork
from thetanet.models.model_file import read_model
from thetanet.reading.binarisation import Page
from thetanet.reading.box import Box
from thetanet.reading.components import Component, crop_ink, estimate_height, make_frame
from thetanet.reading.cuts import Cut, find_cuts
from thetanet.reading.segmentation import Candidate, find_best_path, generate_candidates, list_boundaries

_NARROW = 0.3  # a component narrower than this fraction of its line's height is not cut
_GOOD = 0.8  # nor is a component that is a digit of this confidence
_MANY, _HARDLY = 30, 0.05  # of more components at least this fraction are digits, or the page is no writing
_UNSURE = 0.03  # digits of a lower confidence are rejected as scribble


@dataclass(frozen=True, eq=False)
class RecognisedDigit:
    """A digit of a line: its box on the rotated page, frame, label, confidence, probability, and mean ink."""

    box: Box
    frame: Grey
    label: str
    confidence: float
    probability: float
    strength: float


@cache
def load_single_digit_network() -> FittedNetwork:
    """Return the network that tells frames of one complete digit, its second class, from all others.

    Raises
    ------
    ModelFileError
        If its file in the package is missing or damaged.
    """
    file = resources.files("thetanet.reading") / "single_digit.safetensors"
    try:
        with file.open("rb") as stream:
            return FittedNetwork.from_model(read_model(stream))  # type: ignore[arg-type]
    except OSError as problem:
        raise ModelFileError(f"{file}: cannot be read ({problem.strerror}); install thetanet again") from None


@dataclass(eq=False)
class _Line:
    """A line and its candidates; their scores are those of the page from `start` on."""

    components: Sequence[Component]
    height: float
    cuts: list[list[Cut]]
    candidates: list[Candidate]
    start: int = 0

    @property
    def boundaries(self) -> int:
        return sum(map(len, self.cuts)) + len(self.components) + 1


@dataclass(frozen=True, eq=False)
class _Scores:
    """The frames of all candidates of a page, and the networks' scores."""

    frames: npt.NDArray[np.uint8]
    labels: npt.NDArray[Any]
    confidence: npt.NDArray[np.float64]
    probability: npt.NDArray[np.float64]


def read_lines(
    page: Page, lines: Sequence[Sequence[Component]], net: FittedNetwork, most: int
) -> list[list[RecognisedDigit]]:
    """Return the digits of each line from left to right.

    In the first pass candidates are components, alone and with their neighbours. In the second pass
    components that are no digit are also cut. At most `most` candidates are scored in a pass; further lines
    are left out. Where hardly any of many components is a digit there is no second pass: it is a picture of
    something else.
    """
    rows = _add_candidates(
        [
            _Line(components, estimate_height(components), [[] for _ in components], [])
            for components in lines
        ],
        most,
    )
    scores = _score_candidates(page, rows, net)
    good = large = 0
    for row in rows:
        for k, candidate in enumerate(row.candidates, row.start):
            component = row.components[min(candidate.first, len(row.components) - 1)]
            if candidate.last == candidate.first + 1 and may_be_touching(component, row.height):
                large += 1
                good += scores.confidence[k] >= 0.3
                if scores.confidence[k] < _GOOD:
                    row.cuts[candidate.first] = find_cuts(component.mask, row.height, page.stroke)
    if large > _MANY and good < _HARDLY * large:
        return []
    cut_rows = _add_candidates([row for row in rows if any(row.cuts)], most)
    second = _score_candidates(page, cut_rows, net)
    return [_decode_line(page, row, second if any(row.cuts) else scores) for row in rows]


def _add_candidates(rows: list[_Line], most: int) -> list[_Line]:
    """Give each line its candidates, at most `most` in all."""
    start = 0
    for row in rows:
        row.candidates = generate_candidates(
            row.components, list_boundaries(row.cuts), row.height, most - start
        )
        row.start = start
        start += len(row.candidates)
    return rows


def _decode_line(page: Page, row: _Line, scores: _Scores) -> list[RecognisedDigit]:
    """Return the digits on the best path of a line."""
    stop = row.start + len(row.candidates)
    digits = []
    for k in find_best_path(row.candidates, scores.confidence[row.start : stop], row.boundaries):
        candidate, index = row.candidates[k], row.start + k
        if scores.confidence[index] < _UNSURE:
            continue
        digits.append(
            RecognisedDigit(
                candidate.box,
                scores.frames[index],
                str(scores.labels[index]),
                float(scores.confidence[index]),
                float(scores.probability[index]),
                float(crop_ink(page, candidate.box)[candidate.mask].mean()),
            )
        )
    return sorted(digits, key=lambda digit: digit.box.left + digit.box.right)


def _score_candidates(page: Page, rows: Sequence[_Line], net: FittedNetwork) -> _Scores:
    """Return the frames of all candidates and the scores of both networks."""
    candidates = [candidate for row in rows for candidate in row.candidates]
    n = len(candidates)
    frames = np.zeros((n, 28, 28), dtype=np.uint8)
    labels = np.full(n, "", dtype=object)
    confidence, probability = np.zeros(n), np.zeros(n)
    possible = [k for k, candidate in enumerate(candidates) if np.isfinite(candidate.cost)]
    for k in possible:
        frames[k] = make_frame(page, candidates[k].box, candidates[k].mask)
    if possible:
        X = frames[possible].reshape(len(possible), -1)
        labels[possible], probability[possible], of_digit = _classify(net, X)
        confidence[possible] = of_digit * np.sqrt(load_single_digit_network().outputs(X)[:, 0])
    return _Scores(frames, labels, confidence, probability)


def _classify(net: FittedNetwork, X: npt.NDArray[np.uint8]) -> tuple[Any, Any, Any]:
    """Return labels, their probabilities and `confidence(X)`, by one forward pass."""
    if net.theta.D_O == 1:  # two classes
        return net.predict(X), net.predict_proba(X).max(axis=1), net.confidence(X)
    Y = np.clip(net.outputs(X).astype(np.float64), 1e-12, 1 - 1e-7)
    best = Y.argmax(axis=1)
    top = Y[np.arange(len(Y)), best]
    confidence = top * np.exp(np.log1p(-Y).sum(axis=1) - np.log1p(-top))
    return net.classes[best], top / Y.sum(axis=1), confidence


def may_be_touching(component: Component, height: float) -> bool:
    """Return whether a component is wide and tall enough to be several touching digits."""
    return component.box.width >= _NARROW * height and component.box.height >= 0.4 * height
