"""Labels and targets: y converted to targets of the network, and its outputs converted to labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.checks import check_number
from thetanet.errors import InputError


@dataclass(frozen=True)
class Labels:
    """The classes of a problem. Two classes have one output together, more classes have one each.

    Attributes
    ----------
    classes : array of shape (n_classes,)
        Sorted labels; for multi-label 0 .. D_O - 1.
    multilabel : bool
        Whether a sample may have several labels, or none.
    """

    classes: NDArray[Any]
    multilabel: bool = False

    @classmethod
    def of(cls, y: Any, classes: Any = None, name: str = "") -> Labels:
        """Return the labels with the classes in y, or with `classes`; `name` of the data is for messages.

        Raises
        ------
        InputError
            If there are fewer than two classes.
        """
        y = check_labels(y)
        if y.ndim == 2:
            return cls(np.arange(y.shape[1]), multilabel=True)
        return cls.of_classes(np.unique(y if classes is None else np.asarray(classes)), name)

    @classmethod
    def of_classes(cls, classes: NDArray[Any], name: str = "") -> Labels:
        """Return the labels with these classes, sorted.

        Raises
        ------
        InputError
            If there are fewer than two.
        """
        if len(classes) < 2:
            raise InputError(
                f"{name}{': ' * bool(name)}y has only one class ({classes.tolist()}); a classifier needs "
                "samples of at least two classes"
            )
        return cls(classes)

    @classmethod
    def of_targets(cls, L: Any, classes: Any = None) -> tuple[Labels, NDArray[Any]]:
        """Return the labels of the columns of soft targets L (M, D_O), and the targets of the outputs.

        Raises
        ------
        InputError
            If L is not a matrix of numbers in [0, 1], or there is another number of classes.
        """
        L = np.asarray(L, dtype=np.float64)
        if L.ndim != 2 or 0 in L.shape:
            raise InputError(f"L has shape {L.shape}: must be (M, D_O), a row of targets for each sample")
        if not ((L >= 0) & (L <= 1)).all():
            raise InputError("L: targets must lie in [0, 1]")
        D_O = L.shape[1]
        if D_O == 1:
            L, exclusive = np.hstack([1 - L, L]), True
        else:
            exclusive = bool((np.abs(L.sum(axis=1) - 1) < 1e-6).all())
        names = np.arange(L.shape[1]) if classes is None else np.asarray(classes)
        if len(names) != L.shape[1]:
            raise InputError(f"classes has {len(names)} labels, but L has {L.shape[1]} columns")
        order = np.argsort(names, kind="stable")  # as everywhere, labels are sorted
        names, L = names[order], L[:, order]
        if (twice := names[1:][names[1:] == names[:-1]]).size:
            raise InputError(
                f"classes has {twice.tolist()[0]!r} twice: give each column of L a label of its own"
            )
        labels = cls(names, multilabel=not exclusive)
        return labels, L[:, 1:] if labels.binary else L

    def check_same(self, classes: Any) -> None:
        """Check that these are the classes.

        Raises
        ------
        InputError
            If they are not.
        """
        if not np.array_equal(np.unique(classes), self.classes):
            raise InputError(f"classes={classes!r} differ from those of the first call, {self.classes}")

    @property
    def D_O(self) -> int:
        """Number of outputs."""
        return 1 if self.binary else len(self.classes)

    @property
    def binary(self) -> bool:
        """Whether there are two classes and one output, which means the second class."""
        return not self.multilabel and len(self.classes) == 2

    def targets(self, y: Any) -> NDArray[Any]:
        """Return class indices (M,) for several classes, else targets (M, D_O).

        Raises
        ------
        InputError
            If y holds a label that is not among the classes, or is of another kind than the classes.
        """
        y = check_labels(y)
        if self.multilabel or y.ndim == 2:
            if not self.multilabel or y.ndim != 2 or y.shape[1] != self.D_O:
                kind = f"multi-label with {self.D_O} columns" if self.multilabel else "one label a sample"
                raise InputError(f"y has shape {y.shape}, but the network was begun with {kind}")
            if (strange := y[(y != 0) & (y != 1)]).size:
                raise InputError(
                    f"y contains {strange[0]}: multi-label y is a matrix of 0 and 1, a column for each label"
                )
            return np.asarray(y.astype(np.uint8))
        index = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        if not np.array_equal(self.classes[index], y):
            strange = y[self.classes[index] != y][0]
            strange = strange.item() if isinstance(strange, np.generic) else strange
            raise InputError(
                f"y contains {strange!r}, which is not among the classes {self.classes.tolist()}"
            )
        return np.asarray(index[:, None].astype(np.uint8) if self.binary else index)

    def indices(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Return the index of each sample's class, for one label a sample."""
        return targets[:, 0].astype(np.intp) if self.binary else targets

    def count_classes(self, targets: NDArray[Any], weight: Any = None) -> NDArray[np.float64]:
        """Return the sum of the weights of the samples of each class: shape (n_classes,)."""
        n = len(self.classes)
        return np.bincount(self.indices(targets), weights=weight, minlength=n).astype(np.float64)

    def class_factors(
        self, class_weight: Any, counts: NDArray[np.float64], partial: bool = False
    ) -> NDArray[np.float64]:
        """Return the weight of each class: shape (n_classes,).

        Parameters
        ----------
        class_weight : "balanced" or dict
            "balanced": M / (number of classes * M of the class), so that all classes together weigh the same.
            A dict gives the weights of some classes, the others have weight 1.
        counts : array of shape (n_classes,)
            Sums of the weights of the samples of each class.
        partial : bool
            Whether more samples may come, so that these may be left without weight.

        Raises
        ------
        InputError
            If `class_weight` is something else, names what is no class, or leaves no sample any weight.
        """
        self.check_class_weight(class_weight)
        factors = np.ones(len(self.classes))
        if isinstance(class_weight, str):
            present = counts > 0
            factors[present] = counts.sum() / (present.sum() * counts[present])
        else:
            for label, factor in class_weight.items():
                place = np.flatnonzero(self.classes == label)
                if not len(place):
                    raise InputError(
                        f"class_weight has {label!r}, which is not among the classes {self.classes.tolist()}"
                    )
                factors[place[0]] = factor
        if not factors.any() or not (partial or (factors * counts).any()):
            raise InputError(
                f"class_weight={class_weight!r}: leaves no sample any weight; give a class that has samples "
                "a weight above 0"
            )
        return factors

    def check_class_weight(self, class_weight: Any) -> None:
        """Check that class weights are "balanced" or a dict of numbers, and make sense for these labels."""
        if self.multilabel:
            raise InputError(
                f"class_weight={class_weight!r}: is not defined for multi-label y; give sample_weight"
            )
        if class_weight != "balanced" and not isinstance(class_weight, dict):
            raise InputError(f"class_weight={class_weight!r}: must be None, 'balanced' or a dict")
        if isinstance(class_weight, dict):
            for label, factor in class_weight.items():
                check_number(f"class_weight[{label!r}]", factor, least=0)

    def class_weights(self, class_weight: Any, targets: NDArray[Any], weight: Any) -> Any:
        """Return sample weights times the weight of each sample's class; None if all are 1.

        Parameters
        ----------
        class_weight : None, "balanced" or dict
            As for `class_factors`.
        targets : array
            As returned by `targets`.
        weight : array of shape (M,), optional
            Sample weights; they count samples for "balanced".
        """
        if class_weight is None:
            return weight
        self.check_class_weight(class_weight)
        return self.weigh(
            targets, weight, self.class_factors(class_weight, self.count_classes(targets, weight))
        )

    def weigh(self, targets: NDArray[Any], weight: Any, factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights of samples times the factors of their classes."""
        by_class: NDArray[np.float64] = factors[self.indices(targets)]
        return by_class if weight is None else weight * by_class

    def probabilities(self, A2: NDArray[Any]) -> NDArray[Any]:
        """Return Y / sum(Y) for classes, (1 - Y, Y) for two of them, and Y for multi-label.

        Computed from ln Y, so that rows whose outputs are all tiny still sum to one.
        """
        if self.multilabel:
            return np.asarray(np.exp(_log_sigma(A2)))
        if self.binary:
            return np.asarray(np.exp(_log_sigma(np.hstack([-A2, A2]))))
        logs = _log_sigma(A2)
        ratios = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(ratios / ratios.sum(axis=1, keepdims=True))

    def confidence(self, A2: NDArray[Any]) -> NDArray[Any]:
        """Return the probability, outputs taken as independent, that an answer is right and no other is."""
        if self.multilabel or self.binary:
            return np.asarray(np.exp(_log_sigma(np.abs(A2)).sum(axis=1)))
        best = A2.max(axis=1)
        others = _log_sigma(-A2).sum(axis=1) - _log_sigma(-best)
        return np.asarray(np.exp(_log_sigma(best) + others))

    def decide(self, A2: NDArray[Any]) -> NDArray[Any]:
        """Return the label of each sample, or the indicator matrix for multi-label."""
        if self.multilabel:
            return (A2 > 0).astype(np.int64)
        if self.binary:
            return np.asarray(self.classes[(A2[:, 0] > 0).astype(np.intp)])
        return np.asarray(self.classes[A2.argmax(axis=1)])


def check_labels(y: Any) -> NDArray[Any]:
    """Return y as a vector of labels, or as an indicator matrix (M, D_O) for multi-label."""
    if y is None:
        raise InputError("requires y to be passed, but the target y is None: give one label a sample")
    if type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iubU" and len(y):
        return y  # as scikit-learn, whose import takes a second, would pass it on
    from scipy import sparse
    from sklearn.utils import assert_all_finite
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_array, column_or_1d

    if not sparse.issparse(y):
        assert_all_finite(np.asarray(y), input_name="y")
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind == "multilabel-indicator":
        dense = y.toarray() if sparse.issparse(y) else y
        return np.asarray(check_array(dense, dtype=None, input_name="y"))
    if kind not in ("binary", "multiclass"):
        raise InputError(f"y is {kind}: give one label a sample, or a matrix of 0 and 1 for multi-label")
    return np.asarray(column_or_1d(y, warn=True))


def _log_sigma(a: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.minimum(a, 0) - np.log1p(np.exp(-np.abs(a))))
