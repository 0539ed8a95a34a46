"""Figures of a network on labelled samples: accuracy, E, calibration, confusion matrix, worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from thetanet.data.door import make_source
from thetanet.data.skipping import warn_of_skipped
from thetanet.data.source import Progress, Rows
from thetanet.models.fitted import FittedNetwork, network_of
from thetanet.network import cross_entropy

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Answers:
    """The answers of a network to some labelled samples, from one forward propagation.

    Attributes
    ----------
    rows : Rows
        The samples.
    predicted : array of shape (M,), or (M, D_O) for multi-label
        As of `predict`.
    wrong : array of shape (M,)
        Whether each answer is wrong; for multi-label, whether any label is.
    probability : array of shape (M, n_classes)
        As of `predict_proba`.
    confidence : array of shape (M,)
        As of `confidence`.
    error : float
        E, summed over the samples.
    """

    rows: Rows
    predicted: NDArray[Any]
    wrong: NDArray[np.bool_]
    probability: NDArray[Any]
    confidence: NDArray[Any]
    error: float


def iter_answers(net: Any, X: Any, y: Any = None, progress: Progress | None = None) -> Iterator[Answers]:
    """Yield the answers of a network to labelled samples, a part of the source at a time.

    Malformed rows that were left out are warned of at the end.

    Parameters
    ----------
    net, X, y, progress
        As for `evaluate`.

    Raises
    ------
    DataFileError, InputError
        As `evaluate`.
    """
    network = network_of(net)
    source = network.align(make_source(X, y))
    empty = True
    for rows in source.iter_rows(progress):
        empty = False
        yield _compute_answers(network, network.check_rows(rows, source.name))
    if empty:
        raise source.empty_error()
    warn_of_skipped(source.skipped_rows())


def _compute_answers(network: FittedNetwork, rows: Rows) -> Answers:
    labels = network.labels
    if labels.multilabel and rows.y.ndim == 1:  # a single column of labels
        rows = rows._replace(y=rows.y[:, None])
    targets = labels.targets(rows.y)
    L = targets if targets.ndim == 2 else targets[:, None] == np.arange(labels.D_O)
    A2 = network.propagate(rows.X, "A2")
    predicted = labels.decide(A2)
    return Answers(
        rows=rows,
        predicted=predicted,
        wrong=(predicted != rows.y).reshape(rows.M, -1).any(axis=1),
        probability=labels.probabilities(A2),
        confidence=labels.confidence(A2),
        error=float(cross_entropy(A2.astype(np.float64), L.astype(np.float64)).sum()),
    )


@dataclass(frozen=True)
class Evaluation:
    """Figures of a network on labelled samples.

    Attributes
    ----------
    samples, mistakes : int
        Number of samples, and of wrong answers.
    accuracy, error : float
        Fraction of correct answers, and E per sample.
    labels : list
        The classes.
    confusion : list of lists of int, or None
        Numbers of samples: rows are true, columns predicted classes. None for multi-label.
    worst : list of dict
        The mistakes with the highest probability: row (from 0, in the order of the source), true, predicted,
        probability, probability_of_true. Empty for multi-label.
    calibration_error : float or None
        See `compute_calibration_error`. None for multi-label.
    reject_below : float
        Samples of a lower confidence are rejected.
    answered : int
        Number of samples that are not rejected.
    accuracy_answered : float or None
        Accuracy on these; None without any.
    worst_inputs : array of shape (len(worst), D_I), or None
        The inputs of the worst mistakes, where `evaluate` was asked to keep them.
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
    worst_inputs: NDArray[Any] | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as a dict of JSON types."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "worst_inputs"}


def evaluate(
    net: Any,
    X: Any,
    y: Any = None,
    *,
    worst: int | None = 10,
    reject_below: float = 0.0,
    keep_inputs: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a fitted network on labelled samples.

    A source is read once, one part after the other. All samples count the same: weights are for training.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        The network.
    X : Source, or array, sparse matrix or frame of shape (M, D_I)
        Samples. Where both network and samples have names of inputs, the order of the inputs does not matter.
    y : array of shape (M,), or (M, D_O) for multi-label
        Labels; a source has them itself.
    worst : int or None
        How many of the worst mistakes to list; None lists all.
    reject_below : float
        Samples whose confidence is lower are not answered.
    keep_inputs : bool
        Keep the inputs of the listed mistakes.
    progress : callable, optional
        Called with (parts read, parts) after each part.

    Raises
    ------
    DataFileError
        If a part cannot be read, or its inputs have other names.
    InputError
        If there are no samples, another number of inputs, or labels that the network does not know.
    """
    sums = EvaluationSums(network_of(net), worst, reject_below, keep_inputs)
    for answers in iter_answers(net, X, y, progress):
        sums.add(answers)
    return sums.result()


class EvaluationSums:
    """An evaluation under way: figures are added up part by part.

    Parameters
    ----------
    network : FittedNetwork
        The network whose answers are added.
    worst, reject_below, keep_inputs
        As for `evaluate`.
    """

    def __init__(
        self,
        network: FittedNetwork,
        worst: int | None = 10,
        reject_below: float = 0.0,
        keep_inputs: bool = False,
    ) -> None:
        self.reject_below = reject_below
        self._classes, self._labels = network.classes, network.classes.tolist()
        self._worst, self._keep_inputs = worst, keep_inputs
        self._samples = self._mistakes = self._answered = self._wrong_answered = 0
        self._error = 0.0
        self._confusion: NDArray[np.int64] | None = None
        self._calibration = np.zeros((2, CALIBRATION_BINS))
        self._listed: list[tuple[dict[str, Any], Any]] = []  # mistakes, and their inputs where they are kept

    def add(self, answers: Answers) -> None:
        """Add the answers to the next samples."""
        wrong = answers.wrong
        if answers.rows.y.ndim == 1:
            n = len(self._labels)
            true, predicted = (
                np.searchsorted(self._classes, labels) for labels in (answers.rows.y, answers.predicted)
            )
            counts = np.bincount(true * n + predicted, minlength=n**2).reshape(n, n)
            self._confusion = counts if self._confusion is None else self._confusion + counts
            self._calibration += _sum_by_bin(answers.probability.max(axis=1), ~wrong)
            self._list_mistakes(answers)
        answered = answers.confidence >= self.reject_below
        self._samples += answers.rows.M
        self._mistakes += int(wrong.sum())
        self._answered += int(answered.sum())
        self._wrong_answered += int(wrong[answered].sum())
        self._error += answers.error

    def _list_mistakes(self, answers: Answers) -> None:
        """Merge the worst mistakes of these samples into the list."""
        rows = np.flatnonzero(answers.wrong)
        highest = answers.probability[rows].max(axis=1, initial=0)
        order = rows[np.argsort(-highest, kind="stable")[: self._worst]]
        true, predicted = answers.rows.y[order].tolist(), answers.predicted[order].tolist()
        for place, row in enumerate(order.tolist()):
            probability = answers.probability[row]
            mistake = {
                "row": self._samples + row,
                "true": true[place],
                "predicted": predicted[place],
                "probability": float(probability.max()),
                "probability_of_true": float(probability[self._labels.index(true[place])]),
            }
            self._listed.append((mistake, answers.rows.X[[row]] if self._keep_inputs else None))
        self._listed.sort(key=lambda each: -each[0]["probability"])
        del self._listed[len(self._listed) if self._worst is None else self._worst :]

    def result(self) -> Evaluation:
        """Return the figures of all samples that were added."""
        confusion, samples = self._confusion, self._samples
        calibration = None
        if confusion is not None:
            calibration = _calibration_error(self._calibration, samples)
        inputs = None
        if self._keep_inputs and self._listed:
            inputs = np.concatenate([_as_dense(X) for _, X in self._listed])
        return Evaluation(
            samples=samples,
            accuracy=1 - self._mistakes / samples,
            mistakes=self._mistakes,
            error=self._error / samples,
            labels=self._labels,
            confusion=None if confusion is None else confusion.tolist(),
            worst=[mistake for mistake, _ in self._listed],
            calibration_error=calibration,
            reject_below=self.reject_below,
            answered=self._answered,
            accuracy_answered=1 - self._wrong_answered / self._answered if self._answered else None,
            worst_inputs=inputs,
        )


def _as_dense(X: Any) -> NDArray[Any]:
    return X if isinstance(X, np.ndarray) else np.asarray(X.toarray())


def compute_calibration_error(probability: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """Return the expected calibration error (Guo et al. 2017).

    Answers are put into 15 bins by their probability; the result is the mean over all answers of the distance
    between the mean probability and the fraction of correct answers in their bin.

    Parameters
    ----------
    probability : array of shape (M,)
        Probability of each answer, in [0, 1].
    correct : array of shape (M,)
        Whether each answer is correct.
    """
    probability = np.asarray(probability)
    return _calibration_error(_sum_by_bin(probability, correct), len(probability))


def _sum_by_bin(probability: NDArray[Any], correct: npt.ArrayLike) -> NDArray[np.float64]:
    """Return the sums of probabilities and of correct answers in each bin: shape (2, bins)."""
    place = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return np.stack(
        [
            np.bincount(place, weights=np.asarray(values), minlength=CALIBRATION_BINS)
            for values in (probability, correct)
        ]
    )


def _calibration_error(sums: NDArray[np.float64], samples: int) -> float:
    return float(np.abs(sums[0] - sums[1]).sum() / samples)
