"""scikit-learn's scorers on held-out samples, in memory or in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from thetanet.data.source import Source, read_rows
from thetanet.models.fitted import FittedNetwork

Scorer = Callable[[Any, Source], float]


def scorer_for(scoring: Any) -> Scorer | None:
    """Return what scores a fitted classifier on a source; None without `scoring`.

    Samples in memory are given to the scorer as they are. Those that are read in parts do not fit there: the
    scorer gets their numbers in place of X, and a classifier that knows the network's answers to them.

    Parameters
    ----------
    scoring : str, callable or None
        A scikit-learn scorer.
    """
    if scoring is None:
        return None
    if isinstance(scoring, str):
        from sklearn.metrics import get_scorer

        scoring = get_scorer(scoring)
    scorer = scoring

    def score(net: Any, source: Source) -> float:
        if source.in_memory:
            rows = read_rows(source.parts[0])
            return float(scorer(net, rows.X, rows.y))
        answers, y = [], []
        for rows in source.iter_rows():
            answers.append(net.network_.propagate(rows.X, "A2"))
            y.append(rows.y)
        known = AnsweredRows(net.network_, np.concatenate(answers))
        return float(scorer(known, np.arange(len(known.A2))[:, None], np.concatenate(y)))

    return score


class AnsweredRows(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that knows a network's answers to some rows; its X is a column of their numbers."""

    def __init__(self, network: FittedNetwork, A2: NDArray[Any]) -> None:
        self.network, self.A2 = network, A2
        self.classes_ = network.classes

    def fit(self, X: Any, y: Any) -> AnsweredRows:
        """Return the classifier as it is."""
        return self

    def _rows(self, X: Any) -> NDArray[Any]:
        A2: NDArray[Any] = self.A2[np.asarray(X, dtype=np.intp).ravel()]
        return A2

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return A2."""
        A2 = self._rows(X)
        return A2[:, 0] if self.network.labels.binary else A2

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return probabilities."""
        return self.network.labels.probabilities(self._rows(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels."""
        return self.network.labels.decide(self._rows(X))
