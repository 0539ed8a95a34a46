"""The command that writes a report: one HTML file about a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from threading import Timer
from typing import Annotated, Any

import typer
from rich.console import Console

from thetanet.cli.shared import ArraysOption, JsonOption, ModelArgument, app, out
from thetanet.errors import InputError

_PATIENCE = 2.0  # seconds without a sign of life


@app.command()
def report(
    model: ModelArgument = None,
    data: ArraysOption = None,
    to: Annotated[Path, typer.Option("--out", help="Where to write the report")] = Path("report.html"),
    history: Annotated[
        Path | None,
        typer.Option(help="What `thetanet train --json` printed, for the learning curve", show_default=False),
    ] = None,
    shape: Annotated[
        tuple[int, int] | None, typer.Option(help="Height and width of the images, if not square")
    ] = None,
    robust: Annotated[
        bool, typer.Option("--robustness", help="Measure on changed images too: shifted, rotated, noisy, ...")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a report on a model: one HTML file with figures, curves, mistakes and hidden units."""
    from thetanet.classifier.trainable import TrainableNetwork
    from thetanet.data.dataset import load_data
    from thetanet.models.model_file import load_model
    from thetanet.models.pretrained import load_pretrained_model
    from thetanet.report.report import About, html_report

    if not to.absolute().parent.is_dir():
        raise InputError(f"--out {to}: the folder does not exist; make it first")
    if to.is_dir():
        raise InputError(f"--out {to}: is a folder; name the file to write")
    learnt = None if history is None else _history(history)
    known = load_pretrained_model() if model is None else load_model(model)
    net = TrainableNetwork.from_model(known)
    dataset = load_data(data)
    tested = dataset.X_test is not None
    X, y = (dataset.X_test, dataset.y_test) if tested else (dataset.X, dataset.y)
    source: Any = model or resources.files("thetanet.models.pretrained") / "mnist.safetensors"
    with source.open("rb") as stream:
        digest, size = hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
    about = About(
        name="The model in the package" if model is None else model.name,
        data=dataset.name if data is None else data.name,
        tested=tested, model=known, size=size, sha256=digest,
    )  # fmt: skip
    with _sign_of_life() as tell:
        made = html_report(net, X, y, about, history=learnt, shape=shape, robust=robust, tell=tell)
    written = made.save(to)
    found = made.evaluation
    if as_json:
        names = "samples", "accuracy", "mistakes", "error", "calibration_error"
        figures = {name: getattr(found, name) for name in names}
        print(
            json.dumps(
                {"report": str(to), "bytes": written, "model": about.name, "sha256": digest, **figures}
            )
        )
        return
    out.print(f"{about.name}: accuracy {found.accuracy:.2%} on {found.samples:,} samples of {dataset.name}")
    out.print(f"report: {to}  ({written / 1e6:.1f} MB)")


def _history(path: Path) -> dict[str, Any]:
    """Return the history that `thetanet train --json` has printed."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"--history {path}: cannot be read as JSON ({problem})") from None
    found = found.get("history", found) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not all(isinstance(values, list) for values in found.values()):
        raise InputError(f"--history {path}: holds no history; give what `thetanet train --json` printed")
    return found


@contextmanager
def _sign_of_life() -> Iterator[Callable[[str], None]]:
    """Show what is being done, once that takes longer than one likes to wait; in a terminal only."""
    console = Console(stderr=True)
    status = console.status("")
    timer = Timer(_PATIENCE if console.is_terminal else 1e6, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda what: status.update(f"{what} ...")
    finally:
        timer.cancel()
        if console.is_terminal:
            timer.join()
            status.stop()
