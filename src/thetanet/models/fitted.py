"""A fitted network as a value: what it answers about samples, and its files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from thetanet.data.alignment import align_source
from thetanet.data.formats.arrays import ArrayPart
from thetanet.data.labels import Labels
from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.data.source import Rows, Source
from thetanet.engine import Engine, Measure
from thetanet.engine.default import default_engine
from thetanet.errors import InputError
from thetanet.models.model_file import Model, load_model, save_model
from thetanet.theta import Theta

DTYPES = [np.float64, np.float32, np.uint8]  # kept as they are; anything else becomes float64
_REMEDIES = {
    "features, but": "Give the same columns as in fit.",
    "0 sample(s)": "X is empty: give at least one row.",
    "with dim ": "In X rows are samples; flatten each sample, e.g. X.reshape(len(X), -1).",
}


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network with what is needed to use it on raw inputs.

    Parameters
    ----------
    theta : Theta
        The network, for raw inputs.
    labels : Labels
        What its outputs mean.
    feature_names : tuple of str, optional
        Names of the inputs.
    scaling : str
        The kind of scaling that was folded into Theta(1).
    engine : Engine
        Computes the outputs.
    training : mapping
        How the network was trained, for its file: anything that JSON can express.
    """

    theta: Theta
    labels: Labels
    feature_names: tuple[str, ...] | None = None
    scaling: str = "none"
    engine: Engine = field(default_factory=default_engine)
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> NDArray[Any]:
        """Labels of the classes; 0 .. D_O - 1 for multi-label."""
        return self.labels.classes

    @property
    def multilabel(self) -> bool:
        """Whether each output is a yes-or-no answer of its own."""
        return self.labels.multilabel

    # --- answers ----------------------------------------------------------------------------------------
    def propagate(self, X: Any, to: str) -> NDArray[Any]:
        """Return "Z", "A2" or "Y" of the rows of X, which are checked before."""
        return self.engine.propagate(self.theta, check_inputs(X, self.theta.D_I), to)

    def outputs(self, X: Any) -> NDArray[Any]:
        """Return Y, the outputs of the network as they are: shape (M, D_O)."""
        return self.propagate(X, "Y")

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return A2, the outputs before sigma: shape (M, D_O), or (M,) for two classes."""
        A2 = self.propagate(X, "A2")
        return A2[:, 0] if self.labels.binary else A2

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return probabilities: rows of Y / sum(Y) for classes, Y itself for multi-label."""
        return self.labels.probabilities(self.propagate(X, "A2"))

    def confidence(self, X: Any) -> NDArray[Any]:
        """Return how sure the network is of the answer for each row: shape (M,).

        Y_k times all other (1 - Y_j), the probability that output k is 1 and no other is, as the outputs see
        it. Unlike `predict_proba` it is low where no output speaks up ("none of these"), or two of them.
        """
        return self.labels.confidence(self.propagate(X, "A2"))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each row, or the indicator matrix (M, D_O) for multi-label."""
        return self.labels.decide(self.propagate(X, "A2"))

    def transform(self, X: Any) -> NDArray[Any]:
        """Return Z, the activations of the hidden units: shape (M, D_H)."""
        Z = self.propagate(X, "Z")
        return Z.astype(np.float32) if getattr(X, "dtype", None) == np.float32 else Z

    # --- labelled samples -------------------------------------------------------------------------------
    def align(self, source: Source) -> Source:
        """Return labelled samples with inputs in the order of the network's, and labels of its type.

        Raises
        ------
        DataFileError
            If the inputs have other names.
        """
        return align_source(source, self.feature_names, self.classes)

    def check_rows(self, rows: Rows, name: str = "the data") -> Rows:
        """Check that samples have the network's number of inputs.

        Raises
        ------
        InputError
            If they have not.
        """
        if rows.X.shape[1] != self.theta.D_I:
            raise InputError(
                f"{name} has {rows.X.shape[1]} inputs, but the model takes {self.theta.D_I}: give data like "
                "it was trained on"
            )
        return rows

    def measure(self, X: Any, y: Any = None, sample_weight: Any = None) -> Measure:
        """Return E (summed over samples), the number of correct answers and the sum of weights.

        Parameters
        ----------
        X : array or sparse matrix of shape (M, D_I), or Source
            A source has the labels itself.
        y : array of shape (M,) or (M, D_O)
            Labels.
        sample_weight : array of shape (M,), optional
            How often each sample counts.
        """
        if isinstance(X, Source):
            source = self.align(X)
        else:
            X = check_inputs(X, self.theta.D_I, y)
            weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
            source = Source("X", [ArrayPart(X, y, weight, checked=True)])
        total = Measure(0.0, 0.0, 0.0)
        scaling = Scaling.identity(self.theta.D_I)
        for rows in source.iter_rows():
            L = self.labels.targets(self.check_rows(rows, source.name).y)
            chunk = Samples(rows.X, L, self.labels.D_O, scaling, rows.weight)
            total = total.plus(self.engine.measure(self.theta, chunk))
        return total

    # --- files ------------------------------------------------------------------------------------------
    def to_model(self) -> Model:
        """Return what a model file holds."""
        return Model(
            self.theta,
            classes=self.classes,
            multilabel=self.multilabel,
            feature_names=None if self.feature_names is None else list(self.feature_names),
            scaling={"kind": self.scaling, "folded": True},
            training=dict(self.training),
        )

    def save(self, path: str | PathLike[str], dtype: Any = None) -> None:
        """Write the network to a model file (safetensors; see `thetanet.models.model_file`).

        `dtype="float16"` makes it half as large as float32 and rounds Theta; loaded, it is float32 again.
        """
        save_model(path, self.to_model(), dtype)

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
    def from_model(cls, model: Model, engine: Engine | None = None) -> Self:
        """Return the network of a loaded model."""
        classes = model.classes
        if classes is None:
            classes = np.arange(max(model.theta.D_O, 1 if model.multilabel else 2))
        return cls(
            model.theta,
            Labels(classes, model.multilabel),
            None if model.feature_names is None else tuple(model.feature_names),
            str(model.scaling.get("kind", "none")),
            default_engine() if engine is None else engine,
            model.training,
        )


def network_of(net: Any) -> FittedNetwork:
    """Return the network of a fitted classifier, or the network itself.

    Raises
    ------
    InputError
        If it is neither, or the classifier is not fitted.
    """
    network = getattr(net, "network_", net)
    if not isinstance(network, FittedNetwork):
        state = "is not fitted yet" if hasattr(net, "fit") else "is no network"
        raise InputError(f"net: {type(net).__name__} {state}; call fit, or load a model")
    return network


def check_inputs(X: Any, D_I: int, y: Any = None) -> Any:
    """Return X as an array or CSR matrix of finite numbers with D_I columns, for as many labels as rows.

    Raises
    ------
    InputError
        If it is not.
    """
    if isinstance(X, Source):
        raise InputError("X: is a source, whose parts are read one by one; iterate: for X, y in source")
    if not is_clean_array(X, D_I):
        X = _convert_inputs(X)
        if X.shape[1] != D_I:
            raise InputError(
                f"X has {X.shape[1]} features, but the network takes {D_I}: give the same columns as in "
                "training"
            )
    if y is not None and len(y) != X.shape[0]:
        raise InputError(f"X has {X.shape[0]} samples, but y has {len(y)}: give one label a sample")
    return X


def is_clean_array(X: Any, D_I: int) -> bool:
    """Whether scikit-learn's checks, which cost 100 microseconds, would pass X on as it is.

    The sum of finite numbers may overflow; then the answer is no, and the checks decide.
    """
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype.type in DTYPES
        and X.shape[0] > 0
        and X.shape[1] == D_I
        and math.isfinite(X.sum())
    )


def _convert_inputs(X: Any) -> Any:
    if not (type(X) is np.ndarray and X.ndim == 2 and X.dtype.type in DTYPES and len(X)):
        from sklearn.utils import check_array

        try:
            return check_array(X, accept_sparse="csr", dtype=DTYPES, input_name="X")
        except ValueError as problem:
            raise with_remedy(problem) from None
    if X.dtype != np.uint8 and not np.isfinite(X).all():
        raise InputError("Input X contains NaN or infinity: remove or impute those rows")
    return X


def with_remedy(problem: ValueError) -> ValueError:
    """Return the error of a check of X with what to do about it."""
    remedy = next((cure for sign, cure in _REMEDIES.items() if sign in str(problem)), "")
    return InputError(f"{problem} {remedy}") if remedy else problem
