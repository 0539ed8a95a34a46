"""Pictures of a training and of the answers of a network, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from thetanet.data.dataset import Dataset
from thetanet.errors import InputError
from thetanet.evaluation.figures import EvaluationSums, evaluate, iter_answers
from thetanet.images.deform import Deform
from thetanet.models.fitted import network_of

_GALLERY = 200  # mistakes


def draw_training(
    net: Any,
    history: Mapping[str, Sequence[Any]],
    dataset: Dataset,
    folder: str | PathLike[str],
    deform: Deform | None = None,
) -> list[Path]:
    """Draw learning curve, hidden units (of square images), deformed images and confusion matrix.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        The network that was trained.
    history : dict of lists
        Of its training.
    dataset : Dataset
        What it was trained on; the confusion matrix is that of its test samples, if there are any.
    folder : path
        Where to write the pictures; is made if it is missing.
    deform : Deform, optional
        How images were deformed.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    from thetanet import plots

    network = network_of(net)
    drawings = {"learning-curve.png": plots.plot_learning_curve(history)}
    side = int(np.sqrt(network.theta.D_I))
    if side > 1 and side * side == network.theta.D_I:
        drawings["hidden-units.png"] = plots.plot_hidden_units(network.theta, shape=(side, side))
    if deform is not None:
        images = dataset.training.read_head(10).X
        drawings["deformed.png"] = plots.plot_images(
            np.vstack([images, *(deform(images, seed=seed) for seed in range(9))]),
            deform.shape_of(images), columns=10, title="The first images, and as training sees them at first",
        )  # fmt: skip
    if dataset.test is not None:
        evaluation = evaluate(network, dataset.test)
        if evaluation.confusion is not None:
            drawings["confusion.png"] = plots.plot_confusion(
                np.array(evaluation.confusion), evaluation.labels
            )
    return _save_drawings(drawings, Path(folder))


def draw_answers(net: Any, X: Any, y: Any = None, *, folder: str | PathLike[str]) -> list[Path]:
    """Draw confusion matrix, reliability of the answers, and (of square images) the worst mistakes.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        The network.
    X : Source, or array, sparse matrix or frame of shape (M, D_I)
        Samples, one label each. A source is read once.
    y : array of shape (M,)
        Labels; a source has them itself.
    folder : path
        Where to write the pictures; is made if it is missing.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    DataFileError, InputError
        As `thetanet.evaluation.figures.evaluate`, and for several labels a sample.
    MissingExtraError
        If matplotlib is not installed.
    """
    from thetanet import plots

    network = network_of(net)
    if network.multilabel:
        raise InputError("pictures of the answers: are of one label a sample, not of multi-label data")
    sums = EvaluationSums(network, _GALLERY, keep_inputs=True)
    probability, correct = [], []
    for answers in iter_answers(network, X, y):
        sums.add(answers)
        probability.append(answers.probability.max(axis=1))
        correct.append(~answers.wrong)
    evaluation = sums.result()
    drawings = {
        "confusion.png": plots.plot_confusion(np.array(evaluation.confusion), evaluation.labels),
        "reliability.png": plots.plot_reliability(np.concatenate(probability), np.concatenate(correct)),
    }
    side = int(np.sqrt(network.theta.D_I))
    if evaluation.worst_inputs is not None and side * side == network.theta.D_I:
        drawings["mistakes.png"] = plots.plot_images(
            evaluation.worst_inputs,
            (side, side),
            [f"{mistake['true']}, not {mistake['predicted']}" for mistake in evaluation.worst],
            columns=12,
            title=f"{evaluation.mistakes:,} of {evaluation.samples:,} wrong, the surest first",
        )
    return _save_drawings(drawings, Path(folder))


def _save_drawings(drawings: Mapping[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, axes in drawings.items():
        axes.figure.savefig(folder / name)
    return [folder / name for name in drawings]
