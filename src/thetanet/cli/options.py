"""Groups of options that commands share: each has a function that opens what its options name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Argument, Option

from thetanet.descent import METHODS, resolve
from thetanet.errors import InputError
from thetanet.training.recipes import RECIPES

if TYPE_CHECKING:
    from thetanet.data.dataset import Dataset
    from thetanet.data.source import Source
    from thetanet.engine import Engine
    from thetanet.models.fitted import FittedNetwork
    from thetanet.models.model_file import Model
    from thetanet.training.checkpoints import Checkpoints
    from thetanet.training.settings import TrainingSettings

Method = StrEnum("Method", ["auto", *METHODS])  # type: ignore[misc]
Recipe = StrEnum("Recipe", list(RECIPES))  # type: ignore[misc]

_MODEL = "A file written by `thetanet train` [the model in the package]"
JSON: Any = Option(False, "--json", help="Print one JSON object instead of text")
REJECT_BELOW: Any = Option(0.0, min=0, max=1, help="Give no answer that is less sure than this")
ROBUSTNESS: Any = Option(
    False, "--robustness", help="Measure on changed images too: shifted, rotated, noisy, ..."
)


@dataclass(frozen=True)
class ModelOptions:
    """A model file."""

    model: Path | None = Argument(None, help=_MODEL, show_default=False)

    @property
    def name(self) -> str:
        """What to call the model."""
        return "the model in the package" if self.model is None else self.model.name

    def load_model(self) -> Model:
        """Load the model."""
        from thetanet.models.model_file import load_model
        from thetanet.models.pretrained import load_pretrained_model

        return load_pretrained_model() if self.model is None else load_model(self.model)

    def load_network(self) -> FittedNetwork:
        """Load the network of the model."""
        from thetanet.models.fitted import FittedNetwork

        return FittedNetwork.from_model(self.load_model())


@dataclass(frozen=True)
class PictureOptions(ModelOptions):
    """Pictures, and the model that is to read them."""

    images: list[Path] = Argument(help="Image files: any size, dark on light or light on dark")
    model: Path | None = Option(None, help=_MODEL)
    reject_below: float = REJECT_BELOW

    def load_network(self) -> FittedNetwork:
        """Load the network, which must be one for images of 28 x 28 pixels."""
        from thetanet.models.model_file import is_model

        for path in self.images:
            if is_model(path):
                raise InputError(f"{path}: is a model, not a picture; give it by --model {path}")
        network = super().load_network()
        D_I = network.theta.D_I
        if D_I != 784:
            raise InputError(f"{self.model}: takes {D_I} inputs; pictures need a network for 28x28 images")
        return network


@dataclass(frozen=True)
class FormatOptions:
    """What the files of a data set do not say themselves."""

    target: str | None = Option(None, help="Column of labels in a table [label, target, class or y]")
    weight: str | None = Option(None, help="Column of sample weights in a table [none]")
    skip_bad: bool = Option(False, "--skip-bad", help="Leave malformed rows and images out, and say how many")
    size: tuple[int, int] | None = Option(None, help="Height and width of images in a folder [the files']")
    dtype: str | None = Option(
        None, help="Type of the inputs of a table: uint8, float32, float64 [by the columns' types]"
    )
    zero_based: bool | None = Option(
        None, "--zero-based/--one-based", help="Where indices of svmlight begin [at 0 where one is 0]"
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """The options as arguments of `open_source`."""
        return {each.name: getattr(self, each.name) for each in fields(FormatOptions)}

    def open(self, paths: Sequence[Path], D_I: int | None = None) -> Dataset:
        """Open training and test data; svmlight as having D_I inputs, if that is known."""
        from thetanet.data.dataset import open_dataset
        from thetanet.data.open import FORMATS, check_paths, detect_format

        known = FORMATS[detect_format(check_paths(paths))[0]].options
        return open_dataset(paths, **self.arguments, n_features=D_I if "n_features" in known else None)


@dataclass(frozen=True)
class DataOptions(FormatOptions):
    """A data set."""

    data: list[Path] | None = Option(
        None,
        help="An .npz file (X, y, maybe X_test, y_test), a table or a folder (docs/data.md); repeat it for "
        "several files of one kind [MNIST]",
    )

    def open_dataset(self, network: FittedNetwork | None = None) -> Dataset:
        """Open training and test data, for a network if it has learnt already."""
        from thetanet.data.dataset import open_dataset

        self.check_path_given(self.data)
        D_I = None if network is None else network.theta.D_I
        return open_dataset() if self.data is None else self.open(self.data, D_I)

    def check_path_given(self, *paths: Any) -> None:
        """Check that there is some data that the options of formats are about."""
        names = [
            "--one-based" if value is False else f"--{name.replace('_', '-')}"
            for name, value in self.arguments.items()
            if value is not None and (value or name == "zero_based")
        ]
        if names and all(path is None for path in paths):
            raise InputError(
                f"{', '.join(names)}: say how data is read, but there is no --data; give --data PATH"
            )


@dataclass(frozen=True)
class TrainingDataOptions(DataOptions):
    """A data set, and further data to measure a training on."""

    validation_data: Path | None = Option(
        None, help="Data of any kind to measure after each epoch, instead of --validation [none]"
    )
    test: Path | None = Option(None, help="Data of any kind to measure in the end [what --data has]")

    def open_dataset(self, network: FittedNetwork | None = None) -> Dataset:
        """Open training and test data, those of --test at once: what does not fit is refused early."""
        for name, path in (("--test", self.test), ("--validation-data", self.validation_data)):
            if path is not None and not path.exists():
                raise InputError(f"{name} {path}: there is no such file or folder; check the path")
        dataset = super().open_dataset(network)
        test = self.open_further(self.test, dataset.training)
        return dataset if test is None else replace(dataset, open_test=lambda: test)

    def open_further(self, path: Path | None, training: Source) -> Source | None:
        """Open data with inputs like those of a training; None if there is no path."""
        from thetanet.data.alignment import align_source
        from thetanet.data.open import open_further_source

        if path is None:
            return None
        D_I = training.read_head(1).X.shape[1]
        source = open_further_source(path, self.arguments, D_I, training.parts[0].zero_based)
        return align_source(source, training.feature_names)

    def check_path_given(self, *paths: Any) -> None:
        """Check that there is some data that the options of formats are about."""
        super().check_path_given(*paths, self.test, self.validation_data)


@dataclass(frozen=True)
class TrainingOptions:
    """The settings of a training."""

    recipe: Recipe | None = Option(None, help="Named settings, which the other options change [quick]")
    hidden: int | None = Option(None, help="Hidden units, D_H [300]")
    epochs: int | None = Option(None, min=1, help="Passes over the data [chosen by its size]")
    batch_size: int | None = Option(None, help="Samples in a mini-batch [128]")
    descent: Method | None = Option(None, help="Descent method [auto]")
    learning_rate: float | None = Option(None, help="Peak learning rate [by the method]")
    alpha: float | None = Option(None, help="L2 penalty on weights [by the size of the data]")
    deform: bool | None = Option(
        None, "--deform/--no-deform", help="Deform images anew in each epoch [by the recipe, or no]"
    )
    teacher: Path | None = Option(None, help="A model whose outputs to learn instead of the labels [none]")
    seed: int = Option(0, min=0, max=2**32 - 1, help="Same seed, same network")
    validation: float | None = Option(
        None, help="Fraction of the samples to hold out and measure after each epoch [0; 0.1 with --patience]"
    )
    patience: int | None = Option(
        None, help="Stop after so many epochs without a better validation; keep the best network [never]"
    )
    class_weight: str | None = Option(
        None, help="'balanced': every class weighs the same [by its number of samples]"
    )

    def to_settings(self) -> TrainingSettings:
        """Return the settings of the recipe, changed by the options that are set."""
        from thetanet.models.fitted import FittedNetwork
        from thetanet.training.settings import TrainingSettings

        settings = {} if self.recipe is None else dict(RECIPES[str(self.recipe)].settings)
        for name in ("hidden", "epochs", "batch_size", "alpha", "patience", "class_weight"):
            if getattr(self, name) is not None:
                settings[name] = getattr(self, name)
        if self.deform is not None:
            from thetanet.images.deform import Deform

            settings["deform"] = settings.get("deform") or Deform() if self.deform else None
        if (rate := self.learning_rate) is not None:
            if self.recipe is not None and self.descent is None:
                raise InputError(f"--learning-rate {rate}: is of one method; say which, by --descent")
            settings["descent"] = resolve(str(self.descent or "auto"), learning_rate=rate)
        elif self.descent is not None:
            settings["descent"] = str(self.descent)
        if self.teacher is not None:
            settings["teacher"] = FittedNetwork.load(self.teacher)
        return TrainingSettings(**settings, validation_fraction=self.validation, random_state=self.seed)


@dataclass(frozen=True)
class CheckpointOptions:
    """Where a training writes checkpoints, and whether it goes on from one."""

    checkpoint: Path | None = Option(None, help="Folder for checkpoints: where the training stands [none]")
    every: int | None = Option(None, help="Steps between checkpoints [about half a minute]")
    resume: bool = Option(False, "--resume", help="Go on from the newest checkpoint")

    def open_checkpoints(self) -> Checkpoints | None:
        """Return the folder of checkpoints; None if the option is not set."""
        from thetanet.training.checkpoints import Checkpoints

        if self.checkpoint is None and (self.resume or self.every is not None):
            raise InputError("--resume and --every need --checkpoint FOLDER")
        return None if self.checkpoint is None else Checkpoints(self.checkpoint, self.every)


@dataclass(frozen=True)
class ClusterOptions:
    """A cluster to compute on."""

    cluster: str | None = Option(
        None, help="Train on a cluster of Dask: local:N processes, or tcp://host:port [this processor]"
    )
    groups: int = Option(16, min=1, help="Groups of samples on a cluster: as many as its threads, or more")

    def open_engine(self) -> AbstractContextManager[Engine | None]:
        """Return the engine on the cluster, which is left in the end; None if the option is not set."""
        if self.cluster is None:
            return nullcontext()
        from thetanet.engine.dask import connect

        return closing(connect(self.cluster, self.groups))
