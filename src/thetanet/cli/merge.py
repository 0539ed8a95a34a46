"""The command that makes one network of several."""

from __future__ import annotations

import json
from pathlib import Path

from typer import Argument, Option

from thetanet.cli.options import JSON
from thetanet.cli.program import check_output_file, command, out


@command
def merge(
    models: list[Path] = Argument(help="Files written by `thetanet train`"),
    to: Path = Option(Path("merged.safetensors"), "--out", help="Where to write the model"),
    as_json: bool = JSON,
) -> None:
    """Make one network of several: its A2 is the mean of theirs, exactly, its hidden units are all theirs."""
    from thetanet.models.committee import merge_models
    from thetanet.models.model_file import load_model, save_model

    check_output_file(to)
    merged = merge_models([load_model(path) for path in models])
    save_model(to, merged)
    D_I, D_H, D_O = merged.theta.shape
    if as_json:
        print(json.dumps({"model": str(to), "members": len(models), "D_I": D_I, "D_H": D_H, "D_O": D_O}))
    else:
        out.print(f"{len(models)} networks as one: {D_I} inputs, {D_H} hidden units, {D_O} outputs")
        out.print(f"model: {to}")
