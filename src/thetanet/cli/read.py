"""The command that reads numbers in pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Option

from thetanet.cli.options import JSON, PictureOptions
from thetanet.cli.program import command, out
from thetanet.errors import DataFileError, InputError

if TYPE_CHECKING:
    from thetanet.reading import Reading


@command
def read(
    pictures: PictureOptions,
    annotate: Path | None = Option(
        None, help="Write the picture with what was read: a PNG, or a folder for several [none]"
    ),
    as_json: bool = JSON,
) -> None:
    """Read the numbers in pictures: strings of handwritten digits, in one or several lines."""
    from thetanet.data.formats.picture import read_picture
    from thetanet.reading import read_numbers
    from thetanet.reading.annotate import annotate as draw_reading

    drawings = _name_drawings(pictures.images, annotate)
    network = pictures.load_network()
    answers: list[dict[str, Any]] = []
    for path, drawing in zip(pictures.images, drawings, strict=True):
        try:
            grey = read_picture(path)
            reading = read_numbers(grey, network, reject_below=pictures.reject_below)
        except InputError as problem:  # the other pictures are none the worse for it
            message = str(problem) if isinstance(problem, DataFileError) else f"{path}: {problem}"
            answers.append({"image": str(path), "error": message})
            continue
        if drawing is not None:
            drawing.parent.mkdir(parents=True, exist_ok=True)
            draw_reading(grey, reading, drawing)
        drawn = None if drawing is None else str(drawing)
        answers.append({"image": str(path), **reading.as_dict(), "annotated": drawn})
        if not as_json:
            _print_reading(reading, path if len(drawings) > 1 else None, drawn)
    if as_json:
        print(json.dumps(answers))
    if problems := [answer["error"] for answer in answers if "error" in answer]:
        raise InputError("; ".join(problems))


def _print_reading(reading: Reading, path: Path | None, drawn: str | None) -> None:
    if path is not None:
        out.print(f"{path}:")
    if not reading.lines:
        out.print("nothing is written there")
    for number, line in enumerate(reading.lines):
        digits = [digit for digit in reading.digits if digit.line == number]
        confidences = " ".join(f"{digit.label}:{digit.confidence:.2f}" for digit in digits)
        out.print(f"{line}    ({confidences})")
    if drawn is not None:
        out.print(f"picture: {drawn}")


def _name_drawings(pictures: list[Path], annotate: Path | None) -> list[Path | None]:
    """Return where each picture's drawing goes: the file itself for one picture, else files in a folder."""
    if annotate is None:
        return [None] * len(pictures)
    drawings: list[Path | None] = [annotate]
    if annotate.is_dir() or (len(pictures) > 1 and not annotate.suffix):
        drawings = []
        for path in pictures:
            drawing, number = annotate / f"{path.stem}.png", 2
            while drawing in drawings:
                drawing, number = annotate / f"{path.stem}-{number}.png", number + 1
            drawings.append(drawing)
    elif len(pictures) > 1:
        raise InputError(f"--annotate {annotate}: is a file, for {len(pictures)} pictures; name a folder")
    originals = {path.resolve() for path in pictures}
    for place in drawings:
        if place is not None and place.resolve() in originals:
            raise InputError(f"--annotate {place}: would overwrite the picture itself; choose another name")
    return drawings
