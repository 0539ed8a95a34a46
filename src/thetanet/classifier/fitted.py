"""A fitted network: what it says about samples, and its files."""

from __future__ import annotations

import inspect
import math
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from thetanet.data.arrays import Samples
from thetanet.data.labels import Labels
from thetanet.data.scaling import Scaling
from thetanet.data.source import is_source
from thetanet.engine import Engine, Measure, default_engine
from thetanet.errors import InputError
from thetanet.models.model_file import Model, load_model, save_model
from thetanet.theta import Theta
from thetanet.training.loop import Record

DTYPES = [np.float64, np.float32, np.uint8]  # kept as they are; anything else becomes float64
_REMEDIES = {
    "features, but": "Give the same columns as in fit.",
    "0 sample(s)": "X is empty: give at least one row.",
    "with dim ": "In X rows are samples; flatten each sample, e.g. X.reshape(len(X), -1).",
}


def with_remedy(problem: ValueError) -> ValueError:
    """Return the error of a check of X with what to do about it."""
    remedy = next((cure for sign, cure in _REMEDIES.items() if sign in str(problem)), "")
    return InputError(f"{problem} {remedy}") if remedy else problem


class FittedNetwork:
    """The half of a classifier that uses a network; `TrainableNetwork` trains it."""

    theta_: Theta
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    _scaling_kind: str
    engine: Engine | None
    _ongoing: tuple[Any, ...] | None

    def __init__(self, hidden: int) -> None:
        self.hidden = hidden

    def _engine(self) -> Engine:
        return default_engine() if self.engine is None else self.engine

    def _begin(self, labels: Labels) -> None:
        self._labels, self.classes_ = labels, labels.classes
        self._ongoing = None
        self.history_: dict[str, list[Any]] = {name: [] for name in Record.__dataclass_fields__}

    def _inputs(self, X: Any, y: Any = None, reset: bool = False) -> Any:
        """Return X as an array or CSR matrix, checked; with `reset` its width is remembered."""
        if not reset and y is None and self._plain(X):
            return X
        if is_source(X):
            raise InputError(
                "X: is a source, which is read in parts; iterate over it by `for X, y in source`, or measure "
                "it by thetanet.evaluation.report_of_parts.evaluation_of_parts(net, source)"
            )
        return self._checked(X, y, reset)

    def _plain(self, X: Any) -> bool:
        """Whether scikit-learn's checks, which cost 100 microseconds, would pass X on as it is.

        The sum of finite numbers may overflow; then the answer is no, and the checks decide.
        """
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype.type in DTYPES
            and X.shape[0] > 0
            and X.shape[1] == getattr(self, "n_features_in_", -1)
            and not hasattr(self, "feature_names_in_")
            and math.isfinite(X.sum())
        )

    def _checked(self, X: Any, y: Any, reset: bool) -> Any:
        """Check X where that is not obvious."""
        if not (type(X) is np.ndarray and X.ndim == 2 and X.dtype.type in DTYPES and len(X)):
            from sklearn.utils import check_array

            try:
                X = check_array(X, accept_sparse="csr", dtype=DTYPES, input_name="X")
            except ValueError as problem:
                raise with_remedy(problem) from None
        elif X.dtype != np.uint8 and not np.isfinite(X).all():
            raise InputError("Input X contains NaN or infinity: remove or impute those rows")
        if reset:
            self.n_features_in_ = X.shape[1]
            vars(self).pop("feature_names_in_", None)
        elif X.shape[1] != self.n_features_in_:
            raise InputError(
                f"X has {X.shape[1]} features, but the network takes {self.n_features_in_}: give the same "
                "columns as in training"
            )
        if y is not None and len(y) != X.shape[0]:
            raise InputError(f"X has {X.shape[0]} samples, but y has {len(y)}: give one label a sample")
        return X

    @property
    def multilabel_(self) -> bool:
        """Whether each output is a yes-or-no answer of its own."""
        return self._labels.multilabel

    def _must_be_fitted(self) -> None:
        if not hasattr(self, "theta_"):
            raise InputError("the network is not fitted yet: call fit, or load a model")

    def _parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def _propagate(self, X: Any, to: str) -> NDArray[Any]:
        if not hasattr(self, "theta_"):
            self._must_be_fitted()
        return self._engine().propagate(self.theta_, self._inputs(X), to)

    def outputs(self, X: Any) -> NDArray[Any]:
        """Return Y, the outputs of the network as they are: shape (M, D_O)."""
        return self._propagate(X, "Y")

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return A2, the outputs before sigma: shape (M, D_O), or (M,) for two classes."""
        A2 = self._propagate(X, "A2")
        return A2[:, 0] if self._labels.binary else A2

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return probabilities: rows of Y / sum(Y) for classes, Y itself for multi-label."""
        A2 = self._propagate(X, "A2")
        return self._labels.probabilities(A2)

    def confidence(self, X: Any) -> NDArray[Any]:
        """Return how sure the network is of the answer for each row: shape (M,).

        Y_k times all other (1 - Y_j), the probability that output k is 1 and no other is, as the outputs see
        it. Unlike `predict_proba` it is low where no output speaks up ("none of these"), or two of them.
        """
        return self._labels.confidence(self._propagate(X, "A2"))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each row, or the indicator matrix (M, D_O) for multi-label."""
        A2 = self._propagate(X, "A2")
        return self._labels.decide(A2)

    def transform(self, X: Any) -> NDArray[Any]:
        """Return Z, the activations of the hidden units: shape (M, D_H)."""
        Z = self._propagate(X, "Z")
        return Z.astype(np.float32) if getattr(X, "dtype", None) == np.float32 else Z

    def measure(self, X: Any, y: Any) -> Measure:
        """Return E (summed over samples), the number of right answers and the number of samples."""
        self._must_be_fitted()
        X = self._inputs(X, y=y)
        targets = self._labels.targets(y)
        samples = Samples(X, targets, self._labels.D_O, Scaling.identity(X.shape[1]))
        return self._engine().measure(self.theta_, samples)

    # --- files ----------------------------------------------------------------------------------------
    def save(self, path: str | PathLike[str], dtype: Any = None) -> None:
        """Write the fitted network to a model file (safetensors; see `thetanet.models.model_file`).

        `dtype="float16"` makes it half as large as float32 and rounds Theta; loaded, it is float32 again.
        """
        self._must_be_fitted()
        names = getattr(self, "feature_names_in_", None)
        last = {name: values[-1] for name, values in self.history_.items() if values}
        save_model(
            path,
            Model(
                self.theta_,
                classes=self.classes_,
                multilabel=self._labels.multilabel,
                feature_names=None if names is None else [str(name) for name in names],
                scaling={"kind": self._scaling_kind, "folded": True},
                training={
                    **{name: repr(value) for name, value in self._parameters().items()},
                    **{name: None if value != value else value for name, value in last.items()},
                },
            ),
            dtype,
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a model file; the result predicts like the network that was saved.

        Raises
        ------
        ModelFileError
            If the file is damaged, of another kind, or was tampered with.
        """
        return cls.from_model(load_model(path))

    @classmethod
    def from_model(cls, model: Model) -> Self:
        """Make a fitted classifier around a loaded model."""
        classes = model.classes
        if classes is None:
            classes = np.arange(max(model.theta.D_O, 1 if model.multilabel else 2))
        net = cls(hidden=model.theta.D_H)
        net._begin(Labels(classes, model.multilabel))
        net.theta_, net.n_features_in_ = model.theta, model.theta.D_I
        net._scaling_kind = str(model.scaling.get("kind", "none"))
        if model.feature_names is not None:
            net.feature_names_in_ = np.asarray(model.feature_names, dtype=object)
        return net
