"""The command that converts data to the files that are read fastest."""

from __future__ import annotations

import json
from pathlib import Path

from typer import Argument, Option

from thetanet.cli.options import JSON, FormatOptions
from thetanet.cli.program import command, out


@command
def convert(
    formats: FormatOptions,
    source: list[Path] = Argument(help="A file, several of one kind, or a folder"),
    to: Path = Option(..., "--out", help="Folder to write X.npy and y.npy into"),
    as_json: bool = JSON,
) -> None:
    """Write data of any kind as .npy files, which are read fastest."""
    from thetanet.data.convert import convert as write_npy
    from thetanet.training.progress import show_progress

    dataset = formats.open(source)
    with show_progress(f"converting {dataset.name}", "parts") as advance:
        M, D_I = write_npy(dataset.training, to, dataset.test, advance)
    if as_json:
        print(json.dumps({"out": str(to), "M": M, "D_I": D_I}))
    else:
        out.print(f"{dataset.name}: {M:,} samples of {D_I} inputs")
        out.print(f"converted: {to}")
