"""The command that measures a model on labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from typer import Option

from thetanet.cli.options import JSON, REJECT_BELOW, ROBUSTNESS, DataOptions, ModelOptions
from thetanet.cli.program import command, evaluate_with_progress, out, print_table

if TYPE_CHECKING:
    from thetanet.evaluation.figures import Evaluation


@command
def evaluate(
    model: ModelOptions,
    data: DataOptions,
    worst: int = Option(10, help="How many of the worst mistakes to list"),
    reject_below: float = REJECT_BELOW,
    robust: bool = ROBUSTNESS,
    pictures: Path | None = Option(None, help="Folder for pictures: confusion, reliability, mistakes [none]"),
    as_json: bool = JSON,
) -> None:
    """Measure a model on test data: accuracy, E, calibration, confusion matrix, worst mistakes."""
    from thetanet.evaluation.robustness import robustness

    network = model.load_network()
    dataset = data.open_dataset(network)
    source = dataset.test_or_training
    evaluation = evaluate_with_progress(network, source, worst=worst, reject_below=reject_below)
    errors = dict(robustness(network, source)) if robust else {}
    drawn: list[Path] = []
    if pictures is not None:
        from thetanet.report.pictures import draw_answers

        drawn = draw_answers(network, source, folder=pictures)
    if as_json:
        report = {"model": str(model.model or model.name), "data": dataset.name, **evaluation.as_dict()}
        report |= {"robustness": errors} if robust else {}
        print(json.dumps(report | {"pictures": [str(path) for path in drawn]}))
        return
    out.print(f"{dataset.name}: {evaluation.samples:,} samples")
    _print_evaluation(evaluation)
    if errors:
        rows = [(change, f"{fraction:.2%}") for change, fraction in errors.items()]
        print_table("errors on changed images", ["", "errors"], rows)
    for path in drawn:
        out.print(f"picture: {path}")


def _print_evaluation(evaluation: Evaluation) -> None:
    """Print the figures, the confusion matrix and the worst mistakes."""
    accuracy, answered = evaluation.accuracy, evaluation.accuracy_answered
    out.print(
        f"accuracy {accuracy:.2%}   errors {evaluation.mistakes:,}   E per sample {evaluation.error:.4f}"
    )
    if evaluation.calibration_error is not None:
        out.print(f"expected calibration error {evaluation.calibration_error:.2%}")
    if evaluation.reject_below:
        wrong = "" if answered is None else f", {1 - answered:.2%} of them wrong"
        fraction = evaluation.answered / evaluation.samples
        out.print(f"at least {evaluation.reject_below:g} sure of {fraction:.2%}{wrong}")
    if evaluation.confusion is not None:
        labels = [str(label) for label in evaluation.labels]
        counts = ([f"{n:,}" if n else "·" for n in row] for row in evaluation.confusion)
        rows = ([label, *row] for label, row in zip(labels, counts, strict=True))
        print_table("confusion (rows: true, columns: predicted)", ["", *labels], rows)
    if evaluation.worst:
        headings = ["row", "true", "predicted", "probability", "of the true"]
        formats = "{row}", "{true}", "{predicted}", "{probability:.3f}", "{probability_of_true:.1e}"
        rows = ([each.format(**mistake) for each in formats] for mistake in evaluation.worst)
        caption = "probability: of the predicted and of the true label"
        print_table("worst mistakes", headings, rows, caption)
