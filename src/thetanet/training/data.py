"""The data of a training: labels, samples, validation samples and names, from whatever the user has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from thetanet.data.alignment import align_source
from thetanet.data.hold_out import hold_out
from thetanet.data.labels import Labels
from thetanet.data.samples import Samples, TrainingSamples
from thetanet.data.scaling import Scaling
from thetanet.data.source import Progress, Source
from thetanet.data.survey import Survey, survey_source
from thetanet.engine import Engine
from thetanet.errors import InputError
from thetanet.training.settings import TrainingSettings
from thetanet.training.transformed import DeformedSamples, targets_of_rows, teacher_targets

Surveyor = Callable[[Source, Progress | None], Survey]


@dataclass(frozen=True)
class TrainingData:
    """What a training learns from, and what it is measured on.

    Attributes
    ----------
    labels : Labels
        The classes.
    samples : TrainingSamples
        To learn from.
    validation : TrainingSamples, optional
        To be measured after each epoch.
    held_out : Source, optional
        The labelled samples that `validation` is made of, for scorers.
    feature_names : tuple of str, optional
        Names of the inputs.
    """

    labels: Labels
    samples: TrainingSamples
    validation: TrainingSamples | None = None
    held_out: Source | None = None
    feature_names: tuple[str, ...] | None = None

    @classmethod
    def from_source(
        cls,
        source: Source,
        settings: TrainingSettings,
        *,
        validation: Source | None = None,
        engine: Engine | None = None,
        verbose: bool = False,
    ) -> Self:
        """Return the data of a source, some of it held out if the settings say so.

        Parameters
        ----------
        source : Source
            Labelled samples.
        settings : TrainingSettings
            Scaling, weights of classes, deformation, teacher, the share to hold out.
        validation : Source, optional
            Labelled samples to be measured after each epoch.
        engine : Engine, optional
            One on a cluster surveys the source on its workers.
        verbose : bool
            Show how far the survey is.

        Raises
        ------
        DataFileError, InputError
            If a source cannot be read, or its samples do not fit together.
        """
        survey = partial(_survey_with_bar, surveyor_for(engine), verbose)
        known = survey(source)
        labels = known.labels()
        if validation is None and settings.held_out_fraction:
            fraction = settings.held_out_fraction
            source, validation = hold_out(source, known, fraction, settings.draw_seed())
            known = survey(source)
        teacher = targets_of_rows(settings.teacher, labels) if settings.deform is None else None
        samples: TrainingSamples = known.samples(labels, settings.scaling, settings.class_weight, teacher)
        names = None if source.feature_names is None else tuple(source.feature_names)
        measured = None
        if validation is not None:
            validation = align_source(validation, names, labels.classes)
            found = survey(validation)
            if found.schema.D_I != samples.D_I:
                raise InputError(
                    f"X_val has {found.schema.D_I} inputs, but X has {samples.D_I}: give the same columns"
                )
            measured = found.samples(labels, samples.scaling)
        if settings.deform is not None:
            samples = _deform(samples, settings, labels)
        return cls(labels, samples, measured, validation, names)

    @classmethod
    def from_targets(
        cls,
        X: Any,
        L: Any,
        settings: TrainingSettings,
        *,
        classes: Any = None,
        weight: Any = None,
        X_val: Any = None,
        L_val: Any = None,
        feature_names: tuple[str, ...] | None = None,
    ) -> Self:
        """Return the data of soft labels L (M, D_O) for the rows of X, which are checked before.

        Raises
        ------
        InputError
            If L holds no targets, or a setting needs labels.
        """
        labels, targets = Labels.of_targets(L, classes)
        if settings.teacher is not None:
            raise InputError("teacher: fit_targets has its targets in L; use fit, or teacher=None")
        for name in ("class_weight", "validation_fraction"):
            if getattr(settings, name):
                raise InputError(
                    f"{name}: needs labels, but fit_targets has targets; use fit, or {name}=None"
                )
        if settings.patience is not None and X_val is None:
            raise InputError(f"patience={settings.patience}: needs X_val and L_val in fit_targets")
        scaling = Scaling.of(X, settings.scaling, weight)
        samples: TrainingSamples = Samples(X, targets, labels.D_O, scaling, weight)
        if settings.deform is not None:
            samples = _deform(samples, settings, labels)
        validation = None
        if X_val is not None:
            validation = Samples(X_val, Labels.of_targets(L_val, classes)[1], labels.D_O, scaling)
        return cls(labels, samples, validation, None, feature_names)


def _deform(samples: TrainingSamples, settings: TrainingSettings, labels: Labels) -> DeformedSamples:
    assert settings.deform is not None
    targets = None if settings.teacher is None else partial(teacher_targets, settings.teacher, labels)
    return DeformedSamples(samples, settings.deform, targets)


def surveyor_for(engine: Engine | None) -> Surveyor:
    """Return what surveys sources: this machine, or the workers of a cluster."""
    if engine is not None and engine.distributed:
        from thetanet.training import cluster

        return partial(cluster.survey_on_workers, engine)
    return survey_source


def _survey_with_bar(survey: Surveyor, verbose: bool, source: Source) -> Survey:
    with _progress_bar(source, verbose) as progress:
        return survey(source, progress)


@contextmanager
def _progress_bar(source: Source, verbose: bool) -> Iterator[Progress | None]:
    """Show how far a survey is."""
    if not verbose:
        yield None
        return
    from thetanet.training.progress import show_progress

    with show_progress(f"looking through {source.name}", "parts") as advance:
        yield advance
