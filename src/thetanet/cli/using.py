"""Commands that use models: evaluate, predict, inspect; and the check of the gradient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from thetanet.cli.converting import (
    DtypeOption,
    How,
    SizeOption,
    SkipBadOption,
    TargetOption,
    ZeroOption,
    measured,
)  # fmt: skip
from thetanet.cli.shared import (
    ArraysOption,
    DataOption,
    JsonOption,
    ModelArgument,
    RejectOption,
    app,
    load_network,
    out,
)
from thetanet.errors import InputError


@app.command()
def evaluate(
    model: ModelArgument = None,
    data: DataOption = None,
    worst: Annotated[int, typer.Option(help="How many of the worst mistakes to list")] = 10,
    reject_below: RejectOption = 0.0,
    robust: Annotated[
        bool, typer.Option("--robustness", help="Measure on changed images too: shifted, rotated, noisy, ...")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for pictures: confusion, reliability, mistakes")
    ] = None,
    target: TargetOption = None,
    skip_bad: SkipBadOption = False,
    size: SizeOption = None,
    dtype: DtypeOption = None,
    zero_based: ZeroOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on test data: accuracy, E, calibration, confusion matrix, worst mistakes."""
    from thetanet.data.dataset import load_data
    from thetanet.evaluation.figures import draw_answers, evaluation
    from thetanet.evaluation.robustness import robustness

    net = load_network(model)
    how = How(target, skip_bad, size, dtype, zero_based)
    how.must_have(data)
    changed, drawn = {}, []
    if data is not None and how.needed(data):
        if robust or pictures is not None:
            raise InputError(f"--robustness, --pictures: work on samples in memory; {data} is read in parts")
        source = how.test_of(data) or how.open(data, net.theta_.D_I)
        name, found = source.name, measured(net, source, worst=worst, reject_below=reject_below)
    else:
        dataset = load_data(data)
        X, y = (dataset.X, dataset.y) if dataset.X_test is None else (dataset.X_test, dataset.y_test)
        name, found = dataset.name, evaluation(net, X, y, worst, reject_below)
        changed = dict(robustness(net, X, y)) if robust else {}
        drawn = [] if pictures is None else draw_answers(net, X, y, pictures)
    if as_json:
        report = {"model": _name(model), "data": name, **found.as_dict()}
        more = {"robustness": changed} if robust else {}
        print(json.dumps(report | more | {"pictures": [str(path) for path in drawn]}))
        return
    out.print(f"{name}: {found.samples:,} samples")
    out.print(f"accuracy {found.accuracy:.2%}   errors {found.mistakes:,}   E per sample {found.error:.4f}")
    if found.calibration_error is not None:
        out.print(f"expected calibration error {found.calibration_error:.2%}")
    if reject_below:
        wrong = (
            "" if found.accuracy_answered is None else f", {1 - found.accuracy_answered:.2%} of them wrong"
        )
        out.print(f"at least {reject_below:g} sure of {found.answered / found.samples:.2%}{wrong}")
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
    if changed:
        table = Table(title="errors on changed images")
        table.add_column("")
        table.add_column("errors", justify="right")
        for name, share in changed.items():
            table.add_row(name, f"{share:.2%}")
        out.print(table)
    for path in drawn:
        out.print(f"picture: {path}")


def _name(model: Path | None) -> str:
    return "the model in the package" if model is None else str(model)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures of one digit each", show_default=False)],
    model: Annotated[
        Path | None, typer.Option(help="A file written by `thetanet train` [the model in the package]")
    ] = None,
    reject_below: RejectOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Say what a picture shows: one digit, any size, dark on light or light on dark."""
    import numpy as np

    from thetanet.data.formats.picture import read_picture
    from thetanet.images.frame import to_mnist_frame
    from thetanet.models.model_file import is_model

    for path in images:
        if is_model(path):
            raise InputError(f"{path}: is a model, not a picture; give it by --model {path}")
    net = load_network(model)
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
    X = np.array(frames)
    answers: list[dict[str, Any]] = []
    for path, label, shares, sure in zip(
        images, net.predict(X), net.predict_proba(X), net.confidence(X), strict=True
    ):
        answers.append(
            {
                "image": str(path),
                "label": str(label) if sure >= reject_below else None,
                "probability": float(shares.max()),
                "confidence": float(sure),
            }
        )
    if as_json:
        print(json.dumps(answers))
        return
    for answer in answers:
        if answer["label"] is None:
            out.print(f"{answer['image']}: no answer  (confidence {answer['confidence']:.3f})")
        else:
            out.print(f"{answer['image']}: {answer['label']}  (probability {answer['probability']:.3f})")


@app.command()
def check(
    cases: Annotated[int, typer.Option(help="Random problems", min=1)] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the random problems")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the numeric with the analytic gradient, of the mathematics and of the engine."""
    from thetanet.evaluation.gradient_check import PARTS, TOLERANCE, engine_gradient, largest_differences

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
def inspect(model: ModelArgument = None, data: ArraysOption = None, as_json: JsonOption = False) -> None:
    """Look for what is wrong in a network: norms, saturated and dead units, dead inputs, largest weights."""
    from thetanet.data.dataset import load_data
    from thetanet.evaluation.inspection import inspect as look

    net = load_network(model)
    X = None
    if data is not None or net.theta_.D_I == 784:
        dataset = load_data(data)
        X = dataset.X if dataset.X_test is None else dataset.X_test
    found = look(net, X)
    if as_json:
        print(json.dumps({"model": _name(model), **found.as_dict()}))
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
