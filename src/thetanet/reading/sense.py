"""What of the digits that were found is writing: numbers as strong as the others, and as sure."""

from __future__ import annotations

import numpy as np

from thetanet.reading.recognition import Found

_SPACE = 0.75  # a gap of this share of a line's height separates two numbers
_FAINT = 0.6  # numbers of one or two digits fainter than this share of the page's digits are stains
_FAINTER = 0.7  # and so is a number fainter than this share of the digits beside it in its line
_SIZES = 0.4, 2.2  # of one or two digits, in heights of the page's digits: others are stains
_DOUBTFUL = 0.3  # numbers, and pages, less sure than this are no writing

Number = list[Found]


def writing(lines: list[Number]) -> list[list[Number]]:
    """Divide lines into numbers, and leave out those that are no writing."""
    divided = [_numbers(line) for line in lines if line]
    every = [found for line in divided for number in line for found in number]
    if not every or np.median([found.confidence for found in every]) < _DOUBTFUL:
        return []
    strength = float(np.median([found.strength for found in every]))
    height = float(np.median([found.box.height for found in every]))
    kept = []
    for line in divided:
        own = [
            number
            for number in line
            if np.mean([found.confidence for found in number]) >= _DOUBTFUL
            and not _is_stain(number, line, strength, height, len(every))
        ]
        if own:
            kept.append(own)
    return kept


def _numbers(line: Number) -> list[Number]:
    tall = float(np.median([found.box.height for found in line]))
    numbers: list[Number] = [[]]
    right = line[0].box.left
    for found in line:
        if numbers[-1] and found.box.left - right > _SPACE * tall:
            numbers.append([])
        numbers[-1].append(found)
        right = found.box.right
    return numbers


def _is_stain(number: Number, line: list[Number], strength: float, height: float, digits: int) -> bool:
    if len(number) > 2 or digits < 5:
        return False
    own = float(np.mean([found.strength for found in number]))
    tall = float(np.median([found.box.height for found in number]))
    beside = [found.strength for other in line if other is not number for found in other]
    if len(beside) > 2 and own < _FAINTER * float(np.median(beside)):
        return True
    return own < _FAINT * strength or not _SIZES[0] * height <= tall <= _SIZES[1] * height
