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
from thetanet.picture import Grey
from thetanet.reading.choice import Candidate, borders_of, candidates_of, divided
from thetanet.reading.cuts import Cut, cuts_of
from thetanet.reading.lines import Box
from thetanet.reading.paper import Page
from thetanet.reading.pieces import Mark, frame_of, ink_of, usual_height

_NARROW = 0.3  # a mark narrower than this share of its line's height is not cut
_GOOD = 0.8  # nor is a mark that is a digit so surely
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
def whole_in_package() -> Any:
    """Return the network that says whether a frame shows one whole digit; its second class means yes."""
    from thetanet.model_file import read_model
    from thetanet.trainable import TrainableNetwork

    file = resources.files("thetanet.reading") / "whole.safetensors"
    try:
        with file.open("rb") as stream:
            return TrainableNetwork.from_model(read_model(stream))  # type: ignore[arg-type]
    except OSError as problem:
        raise ModelFileError(f"{file}: cannot be read ({problem.strerror}); install thetanet again") from None


def read_line(page: Page, marks: Sequence[Mark], net: Any, most: int) -> tuple[list[Found], int]:
    """Return the digits of a line from left to right, and how many candidates were looked at.

    First every mark is taken as it is, alone and with its neighbours. Only marks that are no digit then are
    cut. At most `most` candidates are looked at; a line that has more is left out.
    """
    height = usual_height(marks)
    cuts: list[list[Cut]] = [[] for _ in marks]
    candidates, frames, answers = _asked(page, marks, cuts, height, net, most)
    alone = {borders: k for k, c in enumerate(candidates) if (borders := c.first) == c.last - 1}
    for k, mark in enumerate(marks):
        if (k not in alone or answers.sure[alone[k]] < _GOOD) and may_be_several(mark, height):
            cuts[k] = cuts_of(mark.mask, height, page.stroke)
    examined = len(candidates)
    if any(cuts):
        candidates, frames, answers = _asked(page, marks, cuts, height, net, most - examined)
        examined += len(candidates)
    chosen = divided(candidates, answers.sure, sum(map(len, cuts)) + len(marks) + 1)
    row = [
        Found(
            (candidate := candidates[k]).box,
            frames[k],
            str(answers.labels[k]),
            float(answers.sure[k]),
            float(answers.shares[k]),
            float(ink_of(page, candidate.box)[candidate.mask].mean()),
        )
        for k in chosen
        if answers.sure[k] >= _UNSURE
    ]
    return sorted(row, key=lambda found: found.box.left + found.box.right), examined


@dataclass(frozen=True, eq=False)
class _Answers:
    labels: npt.NDArray[Any]
    sure: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]


def _asked(
    page: Page, marks: Sequence[Mark], cuts: list[list[Cut]], height: float, net: Any, most: int
) -> tuple[list[Candidate], npt.NDArray[np.uint8], _Answers]:
    """Return the candidates of a line, their frames and what the networks say of them."""
    candidates = candidates_of(marks, borders_of(cuts), height, most)
    frames = np.zeros((len(candidates), 28, 28), dtype=np.uint8)
    real = [k for k, candidate in enumerate(candidates) if np.isfinite(candidate.price)]
    labels = np.full(len(candidates), "", dtype=object)
    sure, shares = np.zeros(len(candidates)), np.zeros(len(candidates))
    for k in real:
        frames[k] = frame_of(page, candidates[k].box, candidates[k].mask)
    if real:
        X = frames[real].reshape(len(real), -1)
        whole = whole_in_package().predict_proba(X)[:, 1]
        labels[real], sure[real] = net.predict(X), net.confidence(X) * np.sqrt(whole)
        shares[real] = net.predict_proba(X).max(axis=1)
    return candidates, frames, _Answers(labels, sure, shares)


def may_be_several(mark: Mark, height: float) -> bool:
    """Whether a mark is wide and tall enough to be more than one digit."""
    return mark.box.width >= _NARROW * height and mark.box.height >= 0.4 * height
