"""Digits of a line: what the two networks say of the candidates decides between them.

One network knows digits, the other (`whole_in_package`) knows whether a frame shows one whole digit at all,
and no part of one, no two of them and no stain. Its square root is taken (many parts of digits look just like
another digit, so it is too severe), times what the first says: that is the confidence of a digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from thetanet.errors import ModelFileError
from thetanet.images.picture import Grey
from thetanet.models.fitted import FittedNetwork
from thetanet.models.model_file import read_model
from thetanet.reading.choice import Candidate, borders_of, candidates_of, divided
from thetanet.reading.cuts import Cut, cuts_of
from thetanet.reading.lines import Box
from thetanet.reading.paper import Page
from thetanet.reading.pieces import Mark, frame_of, ink_of, usual_height

_NARROW = 0.3  # a mark narrower than this share of its line's height is not cut
_GOOD = 0.8  # nor is a mark that is a digit so surely
_MANY, _HARDLY = 30, 0.05  # of so many marks at least this share are digits, or the page is no writing
_UNSURE = 0.03  # digits less sure than this are taken for scribble


@dataclass(frozen=True, eq=False)
class Found:
    """A digit that was found: its box on the turned page, its mean ink, and what was said of it."""

    box: Box
    frame: Grey
    label: str
    confidence: float
    probability: float
    strength: float


@cache
def whole_in_package() -> FittedNetwork:
    """Return the network that says whether a frame shows one whole digit; its second class means yes."""
    file = resources.files("thetanet.reading") / "whole.safetensors"
    try:
        with file.open("rb") as stream:
            return FittedNetwork.from_model(read_model(stream))  # type: ignore[arg-type]
    except OSError as problem:
        raise ModelFileError(f"{file}: cannot be read ({problem.strerror}); install thetanet again") from None


@dataclass(eq=False)
class _Line:
    """A line and its candidates; the networks' answers are those of the page, from `start` on."""

    marks: Sequence[Mark]
    height: float
    cuts: list[list[Cut]]
    candidates: list[Candidate]
    start: int = 0

    @property
    def borders(self) -> int:
        return sum(map(len, self.cuts)) + len(self.marks) + 1


@dataclass(frozen=True, eq=False)
class _Answers:
    frames: npt.NDArray[np.uint8]
    labels: npt.NDArray[Any]
    sure: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]


def read_lines(
    page: Page, lines: Sequence[Sequence[Mark]], net: FittedNetwork, most: int
) -> list[list[Found]]:
    """Return the digits of each line from left to right.

    First every mark is taken as it is, alone and with its neighbours. Only marks that are no digit then are
    cut. At most `most` candidates are looked at each time; lines beyond are left out. Where hardly any of
    many marks is a digit there is no second time: it is a picture of something else.
    """
    rows = _with_candidates(
        [_Line(marks, usual_height(marks), [[] for _ in marks], []) for marks in lines], most
    )
    answers = _asked(page, rows, net)
    good = large = 0
    for row in rows:
        for k, candidate in enumerate(row.candidates, row.start):
            mark = row.marks[min(candidate.first, len(row.marks) - 1)]
            if candidate.last == candidate.first + 1 and may_be_several(mark, row.height):
                large += 1
                good += answers.sure[k] >= 0.3
                if answers.sure[k] < _GOOD:
                    row.cuts[candidate.first] = cuts_of(mark.mask, row.height, page.stroke)
    if large > _MANY and good < _HARDLY * large:
        return []
    cut = _with_candidates([row for row in rows if any(row.cuts)], most)
    again = _asked(page, cut, net)
    return [_found(page, row, again if any(row.cuts) else answers) for row in rows]


def _with_candidates(rows: list[_Line], most: int) -> list[_Line]:
    start = 0
    for row in rows:
        row.candidates = candidates_of(row.marks, borders_of(row.cuts), row.height, most - start)
        row.start = start
        start += len(row.candidates)
    return rows


def _found(page: Page, row: _Line, answers: _Answers) -> list[Found]:
    """Return the digits of the best division of a line."""
    stop = row.start + len(row.candidates)
    found = []
    for k in divided(row.candidates, answers.sure[row.start : stop], row.borders):
        candidate, place = row.candidates[k], row.start + k
        if answers.sure[place] < _UNSURE:
            continue
        found.append(
            Found(
                candidate.box,
                answers.frames[place],
                str(answers.labels[place]),
                float(answers.sure[place]),
                float(answers.shares[place]),
                float(ink_of(page, candidate.box)[candidate.mask].mean()),
            )
        )
    return sorted(found, key=lambda one: one.box.left + one.box.right)


def _asked(page: Page, rows: Sequence[_Line], net: FittedNetwork) -> _Answers:
    """Return the frames of all candidates and what the networks say of them."""
    candidates = [candidate for row in rows for candidate in row.candidates]
    n = len(candidates)
    frames = np.zeros((n, 28, 28), dtype=np.uint8)
    labels = np.full(n, "", dtype=object)
    sure, shares = np.zeros(n), np.zeros(n)
    real = [k for k, candidate in enumerate(candidates) if np.isfinite(candidate.price)]
    for k in real:
        frames[k] = frame_of(page, candidates[k].box, candidates[k].mask)
    if real:
        X = frames[real].reshape(len(real), -1)
        labels[real], shares[real], confidence = _said(net, X)
        sure[real] = confidence * np.sqrt(whole_in_package().outputs(X)[:, 0])
    return _Answers(frames, labels, sure, shares)


def _said(net: FittedNetwork, X: npt.NDArray[np.uint8]) -> tuple[Any, Any, Any]:
    """Return labels, their shares and `confidence(X)` by one propagation."""
    if net.theta.D_O == 1:  # two classes
        return net.predict(X), net.predict_proba(X).max(axis=1), net.confidence(X)
    Y = np.clip(net.outputs(X).astype(np.float64), 1e-12, 1 - 1e-7)
    best = Y.argmax(axis=1)
    top = Y[np.arange(len(Y)), best]
    confidence = top * np.exp(np.log1p(-Y).sum(axis=1) - np.log1p(-top))
    return net.classes[best], top / Y.sum(axis=1), confidence


def may_be_several(mark: Mark, height: float) -> bool:
    """Whether a mark is wide and tall enough to be more than one digit."""
    return mark.box.width >= _NARROW * height and mark.box.height >= 0.4 * height
