"""What a fitted network does on data: figures and pictures, for the command line and reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thetanet.data.files import Dataset
from thetanet.errors import InputError
from thetanet.fitted import FittedNetwork


@dataclass(frozen=True)
class Evaluation:
    """Figures of a network on labelled data.

    `error` is E per sample. `confusion` (rows true, columns predicted) and `worst` (the mistakes made with
    the highest confidence) are None and empty for multi-label.
    """

    samples: int
    accuracy: float
    mistakes: int
    error: float
    labels: list[Any]
    confusion: list[list[int]] | None
    worst: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict of JSON types."""
        return asdict(self)


def evaluation(net: FittedNetwork, X: Any, y: Any, worst: int = 10) -> Evaluation:
    """Measure a fitted network on labelled data.

    Raises
    ------
    InputError
        If the data has another number of inputs, or labels that the network does not know.
    """
    if X.shape[1] != net.theta_.D_I:
        raise InputError(
            f"the data has {X.shape[1]} inputs, but the model takes {net.theta_.D_I}: give data like it was "
            "trained on"
        )
    measure, predicted = net.measure(X, y), net.predict(X)
    y = np.asarray(y)
    wrong = (predicted != y).reshape(len(y), -1).any(axis=1)
    labels = net.classes_.tolist()
    confusion, mistakes = None, []
    if y.ndim == 1:
        pairs = np.searchsorted(net.classes_, y) * len(labels) + np.searchsorted(net.classes_, predicted)
        confusion = np.bincount(pairs, minlength=len(labels) ** 2).reshape(-1, len(labels)).tolist()
        rows = np.flatnonzero(wrong)
        shares = net.predict_proba(X[rows]) if len(rows) else np.empty((0, len(labels)))
        for place in np.argsort(-shares.max(axis=1, initial=0), kind="stable")[:worst]:
            row = int(rows[place])
            mistakes.append(
                {
                    "row": row,
                    "true": y[row].item(),
                    "predicted": predicted[row].item(),
                    "probability": float(shares[place].max()),
                    "probability_of_true": float(shares[place][labels.index(y[row].item())]),
                }
            )
    return Evaluation(
        samples=len(y),
        accuracy=1 - int(wrong.sum()) / len(y),
        mistakes=int(wrong.sum()),
        error=measure.error / measure.weight,
        labels=labels,
        confusion=confusion,
        worst=mistakes,
    )


def draw_pictures(net: FittedNetwork, dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the learning curve, the hidden units (if inputs are square images), and the confusion matrix."""
    from thetanet import plots

    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"learning-curve.png": plots.plot_learning_curve(net.history_)}
    side = int(np.sqrt(net.theta_.D_I))
    if side > 1 and side * side == net.theta_.D_I:
        drawn["hidden-units.png"] = plots.plot_hidden_units(net.theta_, shape=(side, side))
    if dataset.X_test is not None:
        found = evaluation(net, dataset.X_test, dataset.y_test)
        if found.confusion is not None:
            drawn["confusion.png"] = plots.plot_confusion(np.array(found.confusion), found.labels)
    for name, axes in drawn.items():
        axes.figure.savefig(folder / name)
    return [folder / name for name in drawn]
