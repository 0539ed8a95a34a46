"""What a fitted network does on data: figures and pictures, for the command line and reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.classifier.fitted import FittedNetwork
from thetanet.data.dataset import Dataset
from thetanet.errors import InputError
from thetanet.network import cross_entropy


@dataclass(frozen=True)
class Answers:
    """What a network says about labelled samples, and whether it is right; from one forward propagation.

    Attributes
    ----------
    y, predicted : arrays of shape (M,), or (M, D_O) for multi-label
        True labels and answers.
    wrong : array of shape (M,)
        For multi-label, whether any label is wrong.
    probability : array of shape (M, n_classes)
        As of `predict_proba`.
    confidence : array of shape (M,)
        As of `confidence`.
    error : float
        E per sample.
    """

    y: NDArray[Any]
    predicted: NDArray[Any]
    wrong: NDArray[np.bool_]
    probability: NDArray[Any]
    confidence: NDArray[Any]
    error: float

    @classmethod
    def of(cls, net: FittedNetwork, X: Any, y: Any) -> Answers:
        """Ask a fitted network about each row of X.

        Raises
        ------
        InputError
            If the data has another number of inputs, or labels that the network does not know.
        """
        if X.shape[1] != net.theta_.D_I:
            raise InputError(
                f"the data has {X.shape[1]} inputs, but the model takes {net.theta_.D_I}: give data like it "
                "was trained on"
            )
        labels, y = net._labels, np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1 and not labels.multilabel:  # as training takes it
            y = y[:, 0]
        targets = labels.targets(y)
        if len(targets) != X.shape[0]:
            raise InputError(f"X has {X.shape[0]} samples, but y has {len(y)}: give one label a sample")
        A2 = net.decision_function(X).reshape(len(y), -1)
        L = targets if targets.ndim == 2 else targets[:, None] == np.arange(labels.D_O)
        predicted = labels.decide(A2)
        return cls(
            y=y,
            predicted=predicted,
            wrong=(predicted != y).reshape(len(y), -1).any(axis=1),
            probability=labels.probabilities(A2),
            confidence=labels.confidence(A2),
            error=float(cross_entropy(A2.astype(np.float64), L.astype(np.float64)).sum()) / len(y),
        )


@dataclass(frozen=True)
class Evaluation:
    """Figures of a network on labelled data.

    `error` is E per sample. `confusion` (rows true, columns predicted), `worst` (the mistakes made with the
    highest probability), `calibration_error` (the expected calibration error of `predict_proba`, 15 bins;
    Guo et al. 2017) are None and empty for multi-label. `answered` and `accuracy_answered` are about the
    samples whose confidence is not below `reject_below`.
    """

    samples: int
    accuracy: float
    mistakes: int
    error: float
    labels: list[Any]
    confusion: list[list[int]] | None
    worst: list[dict[str, Any]]
    calibration_error: float | None = None
    reject_below: float = 0.0
    answered: int = 0
    accuracy_answered: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict of JSON types."""
        return asdict(self)


def evaluation(
    net: FittedNetwork,
    X: Any,
    y: Any,
    worst: int = 10,
    reject_below: float = 0.0,
    answers: Answers | None = None,
) -> Evaluation:
    """Measure a fitted network on labelled data.

    With `reject_below`, no answer is given where `net.confidence` is lower. `answers` are the network's to X,
    if they are known already.

    Raises
    ------
    InputError
        If the data has another number of inputs, or labels that the network does not know.
    """
    answers = Answers.of(net, X, y) if answers is None else answers
    y, predicted, wrong = answers.y, answers.predicted, answers.wrong
    labels = net.classes_.tolist()
    confusion, mistakes, calibration = None, [], None
    answered = answers.confidence >= reject_below
    if y.ndim == 1:
        calibration = calibration_error(answers.probability.max(axis=1), ~wrong)
        pairs = np.searchsorted(net.classes_, y) * len(labels) + np.searchsorted(net.classes_, predicted)
        confusion = np.bincount(pairs, minlength=len(labels) ** 2).reshape(-1, len(labels)).tolist()
        rows = np.flatnonzero(wrong)
        true, said = y.tolist(), predicted.tolist()
        shares = answers.probability[rows]
        for place in np.argsort(-shares.max(axis=1, initial=0), kind="stable")[:worst]:
            row = int(rows[place])
            mistakes.append(
                {
                    "row": row,
                    "true": true[row],
                    "predicted": said[row],
                    "probability": float(shares[place].max()),
                    "probability_of_true": float(shares[place][labels.index(true[row])]),
                }
            )
    return Evaluation(
        samples=len(y),
        accuracy=1 - int(wrong.sum()) / len(y),
        mistakes=int(wrong.sum()),
        error=answers.error,
        labels=labels,
        confusion=confusion,
        worst=mistakes,
        calibration_error=calibration,
        reject_below=reject_below,
        answered=int(answered.sum()),
        accuracy_answered=float(1 - wrong[answered].mean()) if answered.any() else None,
    )


def calibration_error(probability: Any, right: Any, bins: int = 15) -> float:
    """Return the expected calibration error: in bins, how far probability and share of right differ."""
    place = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    distance = np.bincount(place, weights=probability) - np.bincount(place, weights=right)
    return float(np.abs(distance).sum() / len(place))


def draw_pictures(net: FittedNetwork, dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the learning curve, hidden units (of square images), deformed samples, the confusion matrix."""
    from thetanet import plots

    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"learning-curve.png": plots.plot_learning_curve(net.history_)}
    side = int(np.sqrt(net.theta_.D_I))
    if side > 1 and side * side == net.theta_.D_I:
        drawn["hidden-units.png"] = plots.plot_hidden_units(net.theta_, shape=(side, side))
    deform = getattr(net, "deform", None)
    if deform is not None:
        shape = deform.shape_of(dataset.X)
        drawn["deformed.png"] = plots.plot_images(
            np.vstack([dataset.X[:10], *(deform(dataset.X[:10], seed=seed) for seed in range(9))]),
            shape, columns=10, title="The first images, and as training sees them at first",
        )  # fmt: skip
    if dataset.X_test is not None:
        found = evaluation(net, dataset.X_test, dataset.y_test)
        if found.confusion is not None:
            drawn["confusion.png"] = plots.plot_confusion(np.array(found.confusion), found.labels)
    for name, axes in drawn.items():
        axes.figure.savefig(folder / name)
    return [folder / name for name in drawn]


def draw_answers(net: FittedNetwork, X: Any, y: Any, folder: Path) -> list[Path]:
    """Draw the confusion matrix, the reliability of the answers, and (of square images) the mistakes."""
    from thetanet import plots

    folder.mkdir(parents=True, exist_ok=True)
    answers = Answers.of(net, X, y)
    found = evaluation(net, X, y, worst=len(answers.y), answers=answers)
    if found.confusion is None:
        raise InputError("pictures of the answers: are of one label a sample, not of multi-label data")
    drawn = {"confusion.png": plots.plot_confusion(np.array(found.confusion), found.labels)}
    drawn["reliability.png"] = plots.plot_reliability(answers.probability.max(axis=1), ~answers.wrong)
    side = int(np.sqrt(X.shape[1]))
    if found.worst and side * side == X.shape[1]:
        some = found.worst[:200]
        drawn["mistakes.png"] = plots.plot_images(
            X[[mistake["row"] for mistake in some]],
            (side, side),
            [f"{mistake['true']}, not {mistake['predicted']}" for mistake in some],
            columns=12,
            title=f"{found.mistakes:,} of {found.samples:,} wrong, the surest first",
        )
    for name, axes in drawn.items():
        axes.figure.savefig(folder / name)
    return [folder / name for name in drawn]
