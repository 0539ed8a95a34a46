"""Plausibility of recognised numbers: those unlike the others in ink, size or confidence are rejected."""

from __future__ import annotations

import numpy as np

from thetanet.reading.recognition import RecognisedDigit

_SPACE = 0.75  # a gap of this fraction of a line's height separates two numbers
_FAINT = 0.6  # numbers of one or two digits fainter than this fraction of the page's digits are stains
_FAINTER = 0.7  # and so is a number fainter than this fraction of the digits beside it in its line
_SIZES = 0.4, 2.2  # of one or two digits, in heights of the page's digits: others are stains
_DOUBTFUL = 0.3  # numbers, and pages, of a lower confidence are no writing

Number = list[RecognisedDigit]


def extract_numbers(lines: list[Number]) -> list[list[Number]]:
    """Return the numbers of each line, without implausible ones and without empty lines."""
    line_numbers = [_split_at_spaces(line) for line in lines if line]
    digits = [digit for line in line_numbers for number in line for digit in number]
    if not digits or np.median([digit.confidence for digit in digits]) < _DOUBTFUL:
        return []
    strength = float(np.median([digit.strength for digit in digits]))
    height = float(np.median([digit.box.height for digit in digits]))
    plausible = []
    for line in line_numbers:
        numbers = [
            number
            for number in line
            if np.mean([digit.confidence for digit in number]) >= _DOUBTFUL
            and not _is_stain(number, line, strength, height, len(digits))
        ]
        if numbers:
            plausible.append(numbers)
    return plausible


def _split_at_spaces(line: Number) -> list[Number]:
    """Return the numbers of a line, separated by wide gaps."""
    height = float(np.median([digit.box.height for digit in line]))
    numbers: list[Number] = [[]]
    right = line[0].box.left
    for digit in line:
        if numbers[-1] and digit.box.left - right > _SPACE * height:
            numbers.append([])
        numbers[-1].append(digit)
        right = digit.box.right
    return numbers


def _is_stain(number: Number, line: list[Number], strength: float, height: float, n_digits: int) -> bool:
    """Return whether a short number differs in ink or size from the page's and the line's other digits."""
    if len(number) > 2 or n_digits < 5:
        return False
    ink = float(np.mean([digit.strength for digit in number]))
    tall = float(np.median([digit.box.height for digit in number]))
    beside = [digit.strength for other in line if other is not number for digit in other]
    if len(beside) > 2 and ink < _FAINTER * float(np.median(beside)):
        return True
    return ink < _FAINT * strength or not _SIZES[0] * height <= tall <= _SIZES[1] * height
