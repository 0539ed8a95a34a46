"""The command that reads numbers in pictures: read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from thetanet.cli.shared import JsonOption, RejectOption, app, load_network, out
from thetanet.errors import DataFileError, InputError


@app.command()
def read(
    pictures: Annotated[
        list[Path], typer.Argument(help="Photographs or scans of handwritten numbers", show_default=False)
    ],
    model: Annotated[
        Path | None, typer.Option(help="A file written by `thetanet train` [the model in the package]")
    ] = None,
    annotated: Annotated[
        Path | None,
        typer.Option(
            "--annotate", help="Write the picture with what was read: a PNG, or a folder for several"
        ),
    ] = None,
    reject_below: RejectOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Read the numbers in pictures: strings of handwritten digits, in one or several lines."""
    from thetanet.data.formats.picture import read_picture
    from thetanet.models.model_file import is_model
    from thetanet.reading import read_numbers
    from thetanet.reading.annotate import annotate

    for path in pictures:
        if is_model(path):
            raise InputError(f"{path}: is a model, not a picture; give it by --model {path}")
    drawings = _drawings(pictures, annotated)
    net = load_network(model)
    if net.theta_.D_I != 784:
        raise InputError(f"{model}: takes {net.theta_.D_I} inputs; pictures need a network for 28x28 images")
    answers: list[dict[str, Any]] = []
    problems = []
    for path, drawing in zip(pictures, drawings, strict=True):
        try:
            grey = read_picture(path)
            reading = read_numbers(grey, net, reject_below=reject_below)
        except InputError as problem:  # the other pictures are none the worse for it
            said = str(problem) if isinstance(problem, DataFileError) else f"{path}: {problem}"
            problems.append(said)
            answers.append({"image": str(path), "error": said})
            continue
        if drawing is not None:
            drawing.parent.mkdir(parents=True, exist_ok=True)
            annotate(grey, reading, drawing)
        if as_json:
            drawn = None if drawing is None else str(drawing)
            answers.append({"image": str(path), **reading.as_dict(), "annotated": drawn})
            continue
        if len(pictures) > 1:
            out.print(f"{path}:", markup=False)
        if not reading.lines:
            out.print("nothing is written there")
        for number, line in enumerate(reading.lines):
            sure = " ".join(f"{d.label}:{d.confidence:.2f}" for d in reading.digits if d.line == number)
            out.print(f"{line}    ({sure})", markup=False)
        if drawing is not None:
            out.print(f"picture: {drawing}", markup=False)
    if as_json:
        print(json.dumps(answers))
    if problems:
        raise InputError("; ".join(problems))


def _drawings(pictures: list[Path], annotated: Path | None) -> list[Path | None]:
    """Return where each picture's drawing goes: the file itself for one picture, else files in a folder."""
    if annotated is None:
        return [None] * len(pictures)
    if annotated.is_dir() or (len(pictures) > 1 and not annotated.suffix):
        drawings: list[Path | None] = []
        for path in pictures:
            drawing, again = annotated / f"{path.stem}.png", 2
            while drawing in drawings:
                drawing, again = annotated / f"{path.stem}-{again}.png", again + 1
            drawings.append(drawing)
    elif len(pictures) > 1:
        raise InputError(f"--annotate {annotated}: is a file, for {len(pictures)} pictures; name a folder")
    else:
        drawings = [annotated]
    originals = {path.resolve() for path in pictures}
    for place in drawings:
        if place is not None and place.resolve() in originals:
            raise InputError(f"--annotate {place}: would overwrite the picture itself; choose another name")
    return drawings
