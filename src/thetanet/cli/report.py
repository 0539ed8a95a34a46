"""The command that writes a report: one HTML file about a model."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from typer import Option

from thetanet.cli.options import JSON, ROBUSTNESS, DataOptions, ModelOptions
from thetanet.cli.program import check_output_file, command, out
from thetanet.errors import InputError


@command
def report(
    model: ModelOptions,
    data: DataOptions,
    to: Path = Option(Path("report.html"), "--out", help="Where to write the report"),
    history: Path | None = Option(
        None, help="What `thetanet train --json` printed, for the learning curve [none]"
    ),
    shape: tuple[int, int] | None = Option(None, help="Height and width of the images [square]"),
    robust: bool = ROBUSTNESS,
    as_json: bool = JSON,
) -> None:
    """Write a report on a model: one HTML file with figures, curves, mistakes and hidden units."""
    from thetanet.models.fitted import FittedNetwork
    from thetanet.report.report import About, html_report
    from thetanet.training.progress import show_status

    check_output_file(to)
    learning = None if history is None else _read_history(history)
    loaded = model.load_model()
    network = FittedNetwork.from_model(loaded)
    dataset = data.open_dataset(network)
    file: Any = model.model or resources.files("thetanet.models.pretrained") / "mnist.safetensors"
    with file.open("rb") as stream:
        digest, size = hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
    about = About(
        name=model.name if model.model else "The model in the package",
        data=data.data[0].name if data.data and len(data.data) == 1 else dataset.name,
        tested=dataset.test is not None, model=loaded, size=size, sha256=digest,
    )  # fmt: skip
    with show_status() as show:
        made = html_report(
            network, dataset.test_or_training, about=about, history=learning, shape=shape, robust=robust,
            tell=show,
        )  # fmt: skip
    written = made.save(to)
    evaluation = made.evaluation
    if as_json:
        answer = {"report": str(to), "bytes": written, "model": about.name, "sha256": digest}
        for name in ("samples", "accuracy", "mistakes", "error", "calibration_error"):
            answer[name] = getattr(evaluation, name)
        print(json.dumps(answer))
        return
    accuracy, samples = evaluation.accuracy, evaluation.samples
    out.print(f"{about.name}: accuracy {accuracy:.2%} on {samples:,} samples of {dataset.name}")
    out.print(f"report: {to}  ({written / 1e6:.1f} MB)")


def _read_history(path: Path) -> dict[str, Any]:
    """Return the history that `thetanet train --json` has printed."""
    try:
        history = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"--history {path}: cannot be read as JSON ({problem})") from None
    history = history.get("history", history) if isinstance(history, dict) else None
    if not isinstance(history, dict) or not all(isinstance(values, list) for values in history.values()):
        raise InputError(f"--history {path}: holds no history; give what `thetanet train --json` printed")
    return history
