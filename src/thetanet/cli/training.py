"""Commands that make models: train, merge."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from thetanet.cli.converting import (
    DtypeOption,
    How,
    SizeOption,
    SkipBadOption,
    TargetOption,
    ZeroOption,
    measured,
    surveyed,
)  # fmt: skip
from thetanet.cli.shared import DataOption, JsonOption, app, out
from thetanet.data.dataset import Dataset
from thetanet.descent import METHODS, resolve
from thetanet.errors import DivergedError, InputError
from thetanet.training.recipes import RECIPES

Method = StrEnum("Method", ["auto", *METHODS])  # type: ignore[misc]
Recipe = StrEnum("Recipe", list(RECIPES))  # type: ignore[misc]


@app.command()
def train(
    context: typer.Context,
    data: DataOption = None,
    recipe: Annotated[
        Recipe | None, typer.Option(help="Named settings, which the other options change [quick]")
    ] = None,
    hidden: Annotated[int | None, typer.Option(help="Hidden units, D_H [300]")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data [chosen by its size]")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a mini-batch [128]")] = None,
    descent: Annotated[Method | None, typer.Option(help="Descent method [auto]")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak rate of descent [the method's own]")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="L2 penalty on weights [by the size of the data]")
    ] = None,
    deform: Annotated[
        bool | None, typer.Option("--deform/--no-deform", help="Deform images anew in each epoch [no]")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="A model whose outputs to learn instead of the labels")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same network")] = 0,
    to: Annotated[Path, typer.Option("--out", help="Where to write the model")] = Path("model.safetensors"),
    float16: Annotated[
        bool, typer.Option("--float16", help="Write a file half as large, rounded to 16 bits")
    ] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Folder for pictures: learning curve, hidden units, confusion, deformed samples"),
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
    validation_data: Annotated[
        Path | None, typer.Option(help="Data to measure after each epoch instead, of any kind")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Data to measure in the end [what --data has]")] = None,
    target: TargetOption = None,
    skip_bad: SkipBadOption = False,
    size: SizeOption = None,
    dtype: DtypeOption = None,
    zero_based: ZeroOption = None,
    every: Annotated[int | None, typer.Option(help="Steps between checkpoints [about half a minute]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint")] = False,
    cluster: Annotated[
        str | None, typer.Option(help="Train on a cluster of Dask: local:N processes, or tcp://host:port")
    ] = None,
    groups: Annotated[
        int, typer.Option(min=1, help="Groups of samples on a cluster: as many as its threads, or more")
    ] = 16,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what was chosen for this data, and why")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network and write it to a file."""
    from thetanet.classifier.trainable import TrainableNetwork
    from thetanet.training.checkpoints import Checkpoints
    from thetanet.training.progress import TrainingProgress

    if not to.absolute().parent.is_dir():
        raise InputError(f"--out {to}: the folder does not exist; make it first")
    if to.is_dir():
        raise InputError(f"--out {to}: is a folder; name a file in it")
    if test is not None and not test.exists():
        raise InputError(f"--test {test}: there is no such file or folder; check the path")
    if checkpoint is None and (resume or every is not None):
        raise InputError("--resume and --every need --checkpoint FOLDER")
    settings = _settings(
        recipe,
        deform,
        descent,
        learning_rate,
        hidden=hidden,
        epochs=epochs,
        batch_size=batch_size,
        alpha=alpha,
    )
    engine = None if cluster is None else _engine(cluster, groups, context)
    net = TrainableNetwork(
        **settings, engine=engine, random_state=seed, validation_fraction=validation, patience=patience,
        class_weight=class_weight, teacher=None if teacher is None else TrainableNetwork.load(teacher),
    )  # fmt: skip
    checkpoints = None if checkpoint is None else Checkpoints(checkpoint, every)
    how = How(target, skip_bad, size, dtype, zero_based)
    how.must_have(data, test, validation_data)
    given = _given(data, how, validation, validation_data, test)
    dataset, M, D_I = given.dataset, given.M, given.dataset.X.shape[1]
    if not as_json:
        shown = net.method_for(dataset.X, min(net.batch_size, M))[0]
        deformed = "" if net.deform is None else "; deformed images"
        out.print(
            f"{dataset.name}: {M:,} samples of {D_I} inputs; {net.hidden} hidden units; {shown}{deformed}"
        )
    stopped = False
    with TrainingProgress(
        None if isinstance(net.epochs, str) else net.epochs, Console(stderr=as_json)
    ) as display:
        records = net.iter_fit(
            *given.samples, **given.validation, checkpoint=checkpoints, resume=resume,
            progress=display.advance,
        )  # fmt: skip
        try:
            for record in records:
                display.epoch(record)
        except KeyboardInterrupt:  # the network keeps what it has learnt
            stopped = True
            if not hasattr(net, "theta_"):  # not even the first step was taken
                raise
        except DivergedError as problem:
            net.save(to)
            raise InputError(f"{problem}, which was written to {to}") from None
    net.save(to, "float16" if float16 else None)
    seconds = net.history_["seconds"][-1] if net.history_["seconds"] else None
    report: dict[str, Any] = {
        "data": dataset.name, "M": M, "D_I": D_I, "D_H": net.hidden, "D_O": net.theta_.D_O,
        "descent": repr(net.method_), "explanation": net.explanation_,
        "seed": seed, "stopped": stopped, "seconds": seconds,
        "history": net.history_, "model": str(to), "pictures": [],
    }  # fmt: skip
    found = _tested(net, given, data, test, how)  # test samples are read now, for the first time
    if found is not None:
        report |= {"test_accuracy": found.accuracy, "test_error": found.error}
    if pictures is not None:
        from thetanet.evaluation.figures import draw_pictures

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
    if found is not None:
        out.print(
            f"test accuracy {found.accuracy:.2%}  (E per sample {found.error:.4f}, {found.samples:,} samples)"
        )
    out.print(f"model: {to}")
    for path in report["pictures"]:
        out.print(f"picture: {path}")


@dataclass(frozen=True)
class _Given:
    """What to train on. Of data that is read in parts, `dataset` holds the first samples.

    `test` is test data that is read in parts: opened before the training, which it might be of no use for.
    """

    dataset: Dataset
    M: int
    samples: tuple[Any, ...]
    validation: dict[str, Any]
    in_parts: bool
    test: Any = None


def _given(
    data: Path | None, how: How, validation: float | None, validation_data: Path | None, test: Path | None
) -> _Given:
    """Open the data: arrays where they fit into memory, else a source."""
    from thetanet.data.dataset import load_data

    if validation is not None and validation_data is not None:
        raise InputError("--validation and --validation-data: give one of them")
    held: dict[str, Any] = {}
    if how.needed(data):
        from thetanet.data.streams import head_of

        if validation is not None:
            raise InputError(
                f"--validation {validation}: {data} is read in parts, of which none can be held out; "
                "give other samples by --validation-data PATH"
            )
        source = how.open(data)  # type: ignore[arg-type]
        found = surveyed(source)
        further = partial(how.as_of(source).open, like=found.kind.D_I, names=source.feature_names)
        if validation_data is not None:
            held["X_val"] = further(validation_data)
        tested = further(test) if how.needed(test) else None  # type: ignore[arg-type]
        return _Given(Dataset(source.name, *head_of(source)), found.M, (source,), held, True, tested)
    dataset = load_data(data)
    further = partial(how.open, like=dataset.X.shape[1])
    if how.needed(validation_data):
        held["X_val"] = further(validation_data)  # type: ignore[arg-type]
    elif validation_data is not None:
        apart = load_data(validation_data)
        held = {"X_val": apart.X, "y_val": apart.y}
    tested = further(test) if how.needed(test) else None  # type: ignore[arg-type]
    return _Given(dataset, dataset.X.shape[0], (dataset.X, dataset.y), held, False, tested)


def _tested(net: Any, given: _Given, data: Path | None, test: Path | None, how: How) -> Any:
    """Measure the network on test data, if there is any."""
    from thetanet.data.dataset import load_data
    from thetanet.evaluation.figures import evaluation

    if given.test is not None:
        return measured(net, given.test)
    if test is not None:
        apart = load_data(test)
        return evaluation(net, apart.X, apart.y)
    if given.in_parts:
        source = how.test_of(data)  # type: ignore[arg-type]
        return None if source is None else measured(net, source)
    if given.dataset.X_test is None:
        return None
    return evaluation(net, given.dataset.X_test, given.dataset.y_test)


def _engine(cluster: str, groups: int, context: typer.Context) -> Any:
    """Return an engine on a cluster, which is left when the command ends."""
    from thetanet.engine.dask import connect

    engine = connect(cluster, groups)
    context.call_on_close(engine.close)
    return engine


def _settings(
    recipe: Any, deform: bool | None, descent: Any, rate: float | None, **own: Any
) -> dict[str, Any]:
    """Return the parameters of the network: those of the recipe, changed by the options that were given."""
    settings = dict(RECIPES[str(recipe)].settings) if recipe is not None else {}
    settings |= {name: value for name, value in own.items() if value is not None}
    if deform is not None:
        from thetanet.images.deform import Deform

        settings["deform"] = settings.get("deform") or Deform() if deform else None
    if descent is not None or rate is not None:
        if recipe is not None and descent is None:
            raise InputError(f"--learning-rate {rate}: is of one method; say which, by --descent")
        given = {} if rate is None else {"learning_rate": rate}
        settings["descent"] = resolve(str(descent or "auto"), **given) if given else str(descent)
    return settings


@app.command()
def merge(
    models: Annotated[
        list[Path], typer.Argument(help="Files written by `thetanet train`", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--out", help="Where to write the model")] = Path("merged.safetensors"),
    as_json: JsonOption = False,
) -> None:
    """Make one network of several: its A2 is the mean of theirs, exactly, its hidden units are all theirs."""
    from thetanet.models.committee import merge_models
    from thetanet.models.model_file import load_model, save_model

    merged = merge_models([load_model(path) for path in models])
    save_model(to, merged)
    D_I, D_H, D_O = merged.theta.shape
    if as_json:
        print(json.dumps({"model": str(to), "members": len(models), "D_I": D_I, "D_H": D_H, "D_O": D_O}))
    else:
        out.print(f"{len(models)} networks as one: {D_I} inputs, {D_H} hidden units, {D_O} outputs")
        out.print(f"model: {to}")
