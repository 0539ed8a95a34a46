"""The command that trains a network and writes it to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from typer import Option

from thetanet.cli.options import JSON, CheckpointOptions, ClusterOptions, TrainingDataOptions, TrainingOptions
from thetanet.cli.program import check_output_file, command, evaluate_with_progress, out
from thetanet.errors import DivergedError, InputError

if TYPE_CHECKING:
    from thetanet.training.data import TrainingData
    from thetanet.training.trainer import Trainer


@command
def train(
    data: TrainingDataOptions,
    training: TrainingOptions,
    checkpointing: CheckpointOptions,
    computing: ClusterOptions,
    to: Path = Option(Path("model.safetensors"), "--out", help="Where to write the model"),
    float16: bool = Option(False, "--float16", help="Write a file half as large, rounded to 16 bits"),
    pictures: Path | None = Option(
        None, help="Folder for pictures: learning curve, hidden units, confusion, deformed samples [none]"
    ),
    explain: bool = Option(False, "--explain", help="Say what was chosen for this data, and why"),
    as_json: bool = JSON,
) -> None:
    """Train a network and write it to a file."""
    from thetanet.training.data import TrainingData
    from thetanet.training.trainer import Trainer

    check_output_file(to)
    if training.validation is not None and data.validation_data is not None:
        raise InputError("--validation and --validation-data: give one of them")
    settings, checkpoints = training.to_settings(), checkpointing.open_checkpoints()
    with computing.open_engine() as engine:
        dataset = data.open_dataset()
        validation = data.open_further(data.validation_data, dataset.training)
        samples = TrainingData.from_source(
            dataset.training, settings, validation=validation, engine=engine, verbose=True
        )
        M = samples.samples.M + (0 if samples.validation is None or validation else samples.validation.M)
        trainer = Trainer(settings, engine)
        if not as_json:
            out.print(f"{dataset.name}: {M:,} samples of {_describe(trainer, samples)}")
        stopped = _run(
            trainer, samples, to, Console(stderr=as_json),
            checkpoints=checkpoints, resume=checkpointing.resume,
        )  # fmt: skip
        network, history = trainer.network, trainer.history
        network.save(to, "float16" if float16 else None)
        D_I, D_H, D_O = network.theta.shape
        report: dict[str, Any] = {
            "data": dataset.name, "M": M, "D_I": D_I, "D_H": D_H, "D_O": D_O,
            "descent": repr(trainer.method), "explanation": trainer.explanation,
            "seed": training.seed, "stopped": stopped, "seconds": (history["seconds"] or [None])[-1],
            "history": history, "model": str(to), "pictures": [],
        }  # fmt: skip
        # Test data are read now, for the first time.
        measured = None if dataset.test is None else evaluate_with_progress(network, dataset.test)
        if measured is not None:
            report |= {"test_accuracy": measured.accuracy, "test_error": measured.error}
        if pictures is not None:
            from thetanet.report.pictures import draw_training

            drawn = draw_training(network, history, dataset, pictures, settings.deform)
            report["pictures"] = [str(path) for path in drawn]
    _print_report(report, None if measured is None else measured.samples, explain, as_json)


def _describe(trainer: Trainer, data: TrainingData) -> str:
    """Return what is trained on what inputs, as far as that is known before."""
    settings, samples = trainer.settings, data.samples
    method = settings.method_for(samples, min(settings.batch_size, samples.M))[0]
    deformed = "" if settings.deform is None else "; deformed images"
    return f"{samples.D_I} inputs; {settings.hidden} hidden units; {method}{deformed}"


def _run(trainer: Trainer, data: TrainingData, to: Path, console: Console, **options: Any) -> bool:
    """Run a training with a progress bar, and return whether Ctrl-C has ended it."""
    from thetanet.training.progress import TrainingProgress

    epochs = trainer.settings.epochs
    with TrainingProgress(None if isinstance(epochs, str) else epochs, console) as display:
        try:
            for record in trainer.run(data, progress=display.advance, **options):
                display.epoch(record)
        except KeyboardInterrupt:  # the network keeps what it has learnt
            if not trainer.started:
                raise
            return True
        except DivergedError as problem:  # the network is that of the last healthy epoch
            trainer.network.save(to)
            raise InputError(f"{problem}, which was written to {to}") from None
    return False


def _print_report(report: dict[str, Any], tested: int | None, explain: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    if explain:
        out.print(f"chosen: {report['explanation']}")
    if report["stopped"]:
        out.print("stopped by Ctrl-C; the network is kept as it was then")
    if report["seconds"] is not None:
        out.print(f"trained in {report['seconds']:.1f} s")
    if tested is not None:
        accuracy, error = report["test_accuracy"], report["test_error"]
        out.print(f"test accuracy {accuracy:.2%}  (E per sample {error:.4f}, {tested:,} samples)")
    out.print(f"model: {report['model']}")
    for path in report["pictures"]:
        out.print(f"picture: {path}")
