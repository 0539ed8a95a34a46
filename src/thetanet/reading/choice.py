"""Which neighbouring pieces are a digit each: the division of a line that the network is most sure of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thetanet.reading.pieces import Piece, around

MOST_CANDIDATES = 6000  # on a page
_LONGEST = 5  # pieces in a digit
_WIDEST = 1.5  # a digit's width, in heights of its line


@dataclass(frozen=True, eq=False)
class Candidate:
    """Pieces `first` to `last` of a line, taken together as a digit; `price` is what speaks against it."""

    first: int
    last: int
    price: float


def candidates_of(pieces: list[Piece], height: float) -> list[Candidate]:
    """Return the runs of pieces that may be digits, by their size and their gaps."""
    found = []
    for first in range(len(pieces)):
        for last in range(first, min(first + _LONGEST, len(pieces))):
            run = pieces[first : last + 1]
            box = around(run)
            if box.width > _WIDEST * height and last > first:
                break
            if max(box.height, box.width) < 0.3 * height:
                continue
            found.append(Candidate(first, last, _price(pieces, first, last, height)))
    return found


def divided(
    pieces: list[Piece],
    candidates: list[Candidate],
    sure: npt.NDArray[np.float64],
    height: float,
) -> list[int]:
    """Return the candidates (indices) whose sum of prices and -ln(confidence) is least; some pieces are left."""
    n = len(pieces)
    best, choice = np.full(n + 1, np.inf), np.full(n + 1, -1)
    best[0] = 0.0
    ending: list[list[int]] = [[] for _ in range(n)]
    for k, candidate in enumerate(candidates):
        ending[candidate.last].append(k)
    for end in range(n):
        best[end + 1] = best[end] + _left_out(pieces[end], height)
        for k in ending[end]:
            total = best[candidates[k].first] + candidates[k].price - np.log(max(sure[k], 1e-3))
            if total < best[end + 1]:
                best[end + 1], choice[end + 1] = total, k
    chosen, end = [], n
    while end:
        k = int(choice[end])
        if k >= 0:
            chosen.append(k)
            end = candidates[k].first
        else:
            end -= 1
    return chosen[::-1]


def _left_out(piece: Piece, height: float) -> float:
    """Return the price of calling a piece a speck: nothing for a small one."""
    size = max(piece.box.height, piece.box.width) / height
    return 5.0 * min(1.0, size / 0.6) ** 1.5


def _price(pieces: list[Piece], first: int, last: int, height: float) -> float:
    run = pieces[first : last + 1]
    box = around(run)
    tall, wide = box.height / height, box.width / height
    price = 10 * max(0.0, 0.6 - tall) + 5 * max(0.0, tall - 1.5) + 5 * max(0.0, wide - 1.2)
    for edge in (first - 1, last):  # what had to be cut, half at either side
        if 0 <= edge < len(pieces) - 1 and pieces[edge].cut is not None:
            price += 0.3 + 0.4 * (pieces[edge].cut or 0.0)
    for a, b in zip(run, run[1:], strict=False):
        if a.cut is None:
            across = max(0, b.box.left - a.box.right) / height
            down = max(0, b.box.top - a.box.bottom, a.box.top - b.box.bottom) / height
            price += 4 * across + 2 * down
    return price
