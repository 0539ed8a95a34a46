"""The command line: parses, calls and shows. What it calls is the Python interface."""

from __future__ import annotations

import json
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import thetanet
from thetanet.descent import METHODS, resolve
from thetanet.errors import DivergedError, InputError, ThetanetError

app = typer.Typer(
    name="thetanet",
    help="A network with one hidden layer of sigmoid units: train, measure and use it, check its gradient.",
    add_completion=False,
    rich_markup_mode=None,
)

Method = StrEnum("Method", ["auto", *METHODS])  # type: ignore[misc]
AUTO = Method("auto")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="An .npz file (X, y, maybe X_test, y_test) or folder of IDX files [MNIST]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text")]
ModelArgument = Annotated[Path, typer.Argument(help="A file written by `thetanet train`", show_default=False)]

out = Console(highlight=False, soft_wrap=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 fine, 1 a check failed, 2 wrong usage or bad input."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = app(arguments or ["--help"], prog_name="thetanet", standalone_mode=False)
    except (ThetanetError, ValueError, OSError) as problem:
        return _complain(str(problem))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as problem:
        if hasattr(problem, "format_message"):  # the parser's own errors
            return _complain(f"{problem.format_message()} (see thetanet --help)")
        raise
    return code if isinstance(code, int) else 0


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    _complain(f"warning: {message}")


def _complain(message: str) -> int:
    print("thetanet: " + " ".join(message.split()), file=sys.stderr)
    return 2


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version")] = False) -> None:
    if version:
        print(thetanet.__version__)
        raise typer.Exit


@app.command()
def train(
    data: DataOption = None,
    hidden: Annotated[int, typer.Option(help="Hidden units, D_H")] = 300,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data [chosen by its size]")
    ] = None,
    batch: Annotated[int, typer.Option(help="Samples in a mini-batch")] = 128,
    descent: Annotated[Method, typer.Option(help="Descent method")] = AUTO,
    rate: Annotated[float | None, typer.Option(help="Peak rate of descent [the method's own]")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="L2 penalty on weights [by the size of the data]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same network")] = 0,
    to: Annotated[Path, typer.Option("--out", help="Where to write the model")] = Path("model.safetensors"),
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for pictures: learning curve, hidden units, confusion")
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Share of the samples to hold out and measure after each epoch")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better validation; keep the best")
    ] = None,
    class_weight: Annotated[str | None, typer.Option(help="'balanced': every class weighs the same")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints: where the training stands")
    ] = None,
    every: Annotated[int | None, typer.Option(help="Steps between checkpoints [about half a minute]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what was chosen for this data, and why")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network and write it to a file."""
    from thetanet.checkpoints import Checkpoints
    from thetanet.data.files import load_data
    from thetanet.progress import TrainingProgress
    from thetanet.report import evaluation
    from thetanet.trainable import TrainableNetwork

    if not to.absolute().parent.is_dir():
        raise InputError(f"--out {to}: the folder does not exist; make it first")
    method = resolve(str(descent), **({} if rate is None else {"rate": rate}))
    net = TrainableNetwork(
        hidden=hidden, descent=str(descent) if rate is None else method, epochs=epochs or "auto", batch=batch,
        alpha="auto" if alpha is None else alpha, random_state=seed,
        validation_fraction=validation, patience=patience, class_weight=class_weight,
    )  # fmt: skip
    if checkpoint is None and (resume or every is not None):
        raise InputError("--resume and --every need --checkpoint FOLDER")
    checkpoints = None if checkpoint is None else Checkpoints(checkpoint, every)
    dataset = load_data(data)
    M, D_I = dataset.X.shape
    if not as_json:
        shown = net.method_for(dataset.X, min(batch, M))[0]
        out.print(f"{dataset.name}: {M:,} samples of {D_I} inputs; {hidden} hidden units; {shown}")
    stopped = False
    with TrainingProgress(epochs, Console(stderr=as_json)) as display:
        records = net.iter_fit(
            dataset.X, dataset.y, checkpoint=checkpoints, resume=resume, progress=display.advance
        )
        try:
            for record in records:
                display.epoch(record)
        except KeyboardInterrupt:  # the network keeps what it has learnt
            stopped = True
        except DivergedError as problem:
            net.save(to)
            raise InputError(f"{problem}, which was written to {to}") from None
    net.save(to)
    seconds = net.history_["seconds"][-1] if net.history_["seconds"] else None
    report: dict[str, Any] = {
        "data": dataset.name, "M": M, "D_I": D_I, "D_H": hidden, "D_O": net.theta_.D_O,
        "descent": repr(net.method_), "explanation": net.explanation_,
        "seed": seed, "stopped": stopped, "seconds": seconds,
        "history": net.history_, "model": str(to), "pictures": [],
    }  # fmt: skip
    if dataset.X_test is not None:
        found = evaluation(net, dataset.X_test, dataset.y_test)
        report |= {"test_accuracy": found.accuracy, "test_error": found.error}
    if pictures is not None:
        from thetanet.report import draw_pictures

        report["pictures"] = [str(path) for path in draw_pictures(net, dataset, pictures)]
    if as_json:
        print(json.dumps(report))
        return
    if explain:
        out.print(f"chosen: {net.explanation_}")
    if stopped:
        out.print("stopped by Ctrl-C; the network is kept as it was then")
    if seconds is not None:
        out.print(f"trained in {seconds:.1f} s")
    if "test_accuracy" in report:
        out.print(
            f"test accuracy {report['test_accuracy']:.2%}  (E per sample {report['test_error']:.4f}, "
            f"{len(dataset.X_test):,} samples)"  # type: ignore[arg-type]
        )
    out.print(f"model: {to}")
    for path in report["pictures"]:
        out.print(f"picture: {path}")


@app.command()
def evaluate(
    model: ModelArgument,
    data: DataOption = None,
    worst: Annotated[int, typer.Option(help="How many of the worst mistakes to list")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on test data: accuracy, E, confusion matrix, worst mistakes."""
    from thetanet.data.files import load_data
    from thetanet.report import evaluation
    from thetanet.trainable import TrainableNetwork

    net = TrainableNetwork.load(model)
    dataset = load_data(data)
    X, y = (dataset.X, dataset.y) if dataset.X_test is None else (dataset.X_test, dataset.y_test)
    found = evaluation(net, X, y, worst)
    if as_json:
        print(json.dumps({"model": str(model), "data": dataset.name, **found.as_dict()}))
        return
    out.print(f"{dataset.name}: {found.samples:,} samples")
    out.print(f"accuracy {found.accuracy:.2%}   errors {found.mistakes:,}   E per sample {found.error:.4f}")
    if found.confusion is not None:
        table = Table(title="confusion (rows: true, columns: predicted)")
        table.add_column("")
        for label in found.labels:
            table.add_column(str(label), justify="right")
        for label, row in zip(found.labels, found.confusion, strict=True):
            table.add_row(str(label), *(f"{n:,}" if n else "·" for n in row))
        out.print(table)
    if found.worst:
        table = Table(title="worst mistakes", caption="probability: of the predicted and of the true label")
        for heading in ("row", "true", "predicted", "probability", "of the true"):
            table.add_column(heading, justify="right")
        for mistake in found.worst:
            table.add_row(
                str(mistake["row"]), str(mistake["true"]), str(mistake["predicted"]),
                f"{mistake['probability']:.3f}", f"{mistake['probability_of_true']:.1e}",
            )  # fmt: skip
        out.print(table)


@app.command()
def predict(
    model: ModelArgument,
    images: Annotated[list[Path], typer.Argument(help="Pictures of one digit each", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Say what a picture shows: one digit, any size, dark on light or light on dark."""
    import numpy as np

    from thetanet.picture import read_picture, to_mnist_frame
    from thetanet.trainable import TrainableNetwork

    net = TrainableNetwork.load(model)
    if net.theta_.D_I != 784:
        raise InputError(f"{model}: takes {net.theta_.D_I} inputs; pictures need a network for 28x28 images")
    frames = []
    for path in images:
        try:
            frames.append(to_mnist_frame(read_picture(path)).ravel())
        except InputError as problem:
            raise InputError(
                f"{path}: {problem}" if str(path) not in str(problem) else str(problem)
            ) from None
    probabilities = net.predict_proba(np.array(frames))
    answers = []
    for path, label, shares in zip(images, net.predict(np.array(frames)), probabilities, strict=True):
        answers.append({"image": str(path), "label": str(label), "probability": float(shares.max())})
    if as_json:
        print(json.dumps(answers))
        return
    for answer in answers:
        out.print(f"{answer['image']}: {answer['label']}  (probability {answer['probability']:.3f})")


@app.command()
def check(
    cases: Annotated[int, typer.Option(help="Random problems", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Of the random problems")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the numeric with the analytic gradient, of the mathematics and of the engine."""
    from thetanet.gradient_check import PARTS, TOLERANCE, engine_gradient, largest_differences

    network = largest_differences(cases, seed)
    engine = largest_differences(cases, seed, engine_gradient)
    passed = max(*network.values(), *engine.values()) < TOLERANCE
    if as_json:
        print(json.dumps({"passed": passed, "tolerance": TOLERANCE, "network": network, "engine": engine}))
    else:
        table = Table(
            title=f"largest relative difference, numeric against analytic ({cases} random problems)"
        )
        table.add_column("")
        table.add_column("network.py", justify="right")
        table.add_column("engine (float64)", justify="right")
        for part in PARTS:
            table.add_row(part, f"{network[part]:.1e}", f"{engine[part]:.1e}")
        out.print(table)
        out.print(f"{'passed' if passed else 'FAILED'}: tolerance {TOLERANCE:.0e}")
    if not passed:
        raise typer.Exit(1)


@app.command()
def inspect(model: ModelArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Look for what is wrong in a network: norms, saturated and dead units, dead inputs, largest weights."""
    from thetanet.data.files import load_data
    from thetanet.inspection import inspect as look
    from thetanet.trainable import TrainableNetwork

    net = TrainableNetwork.load(model)
    X = None
    if data is not None or net.theta_.D_I == 784:
        dataset = load_data(data)
        X = dataset.X if dataset.X_test is None else dataset.X_test
    found = look(net, X)
    if as_json:
        print(json.dumps({"model": str(model), **found.as_dict()}))
        return
    table = Table(title=f"{found.D_I} inputs, {found.D_H} hidden units, {found.D_O} outputs")
    for heading in ("", "norm", "root mean square", "largest"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, row in found.norms.items():
        table.add_row(name, f"{row['norm']:.4g}", f"{row['rms']:.4g}", f"{row['largest']:.4g}")
    out.print(table)
    if found.saturation is None:
        out.print("give --data to see which hidden units are saturated")
    else:
        out.print(f"on {found.samples:,} samples {found.saturation:.1%} of the activations are saturated")
        out.print(f"stuck units (saturated at 99% of the samples): {_listed(found.stuck_units)}")
        out.print(f"still units (hardly vary): {_listed(found.still_units)}")
    out.print(f"units that no output hears: {_listed(found.unheard_units)}")
    out.print(f"inputs without influence: {_listed(found.dead_inputs)}")
    for weight in found.largest:
        origin, target = ("input", "hidden unit") if weight["layer"] == 1 else ("hidden unit", "output")
        out.print(f"weight {weight['value']:+.4g}: {origin} {weight['from']} to {target} {weight['to']}")


def _listed(numbers: list[int] | None) -> str:
    shown = ", ".join(str(n) for n in (numbers or [])[:12])
    more = len(numbers or []) - 12
    return f"{len(numbers or [])}" + (f"  ({shown}{', ...' if more > 0 else ''})" if shown else "")


def run() -> None:
    """Entry point of the `thetanet` command."""
    sys.exit(main())


if __name__ == "__main__":
    run()
