"""ThetaNetClassifier: the network as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from thetanet.classifier.fitted import DTYPES, with_remedy
from thetanet.classifier.trainable import TrainableNetwork
from thetanet.data.source import is_source
from thetanet.descent import resolve
from thetanet.errors import InputError

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Takes no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


def _learns_from_batches(net: ThetaNetClassifier) -> bool:
    if resolve(net.descent).whole_passes:
        raise InputError(f"descent={net.descent!r}: partial_fit needs a mini-batch rule, e.g. 'adam'")
    return True


class ThetaNetClassifier(
    CallbackSupportMixin,  # type: ignore[misc]
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClassifierMixin,  # type: ignore[misc]
    TrainableNetwork,
    BaseEstimator,  # type: ignore[misc]
):
    """A classifier with one hidden layer of sigmoid units and sigmoid outputs, trained on cross-entropy.

    Binary, multi-class and multi-label. Takes arrays, pandas and polars frames, and SciPy sparse matrices
    (which stay sparse). Inputs are scaled for you, and the scaling is folded into Theta(1) at the end, so the
    fitted network takes raw inputs.

    Parameters
    ----------
    hidden : int
        D_H, the number of hidden units.
    descent : str or descent method
        Mini-batches: "adam", "adamw", "rmsprop", "adagrad", "sgd"; whole passes: "gd" (steepest descent),
        "cg", "scg", "rprop", "lbfgs", "newton"; or an object such as
        ``Adam(learning_rate=0.02, schedule="cosine")``. "auto" is Adam, but Adagrad for wide sparse inputs, and
        SCG for few samples, inputs and units where epochs is "auto"; `explanation_` says which, and why.
    epochs : int, "auto" or "long"
        Passes over the data (for whole-pass methods: iterations); "auto" is 7, more for data with few
        mini-batches an epoch, and six times as many with `deform`; "long" is three times "auto".
    batch_size : int
        Samples in a mini-batch (at most all of them).
    alpha : float or "auto"
        L2 penalty alpha/2 (|W1|^2 + |W2|^2), added to E, which is a sum over samples. Biases are free. "auto"
        is 0.5 for 100 to 10,000 samples of standardised inputs, where it helped on average, else 0.
    scaling : {"auto", "pixels", "standard", "maximum", "none"}
        "auto": uint8 as pixels / 255 (by the largest of all, if that is below 128), sparse by the largest
        value of each input, other numbers standardised.
    class_weight : None, "balanced" or dict
        Weights of the classes; "balanced" lets every class weigh the same.
    deform : Deform, optional
        How to deform images, anew in each epoch (rows of X are their pixels). Needs a mini-batch rule.
    teacher : fitted network or callable, optional
        Gives the targets, in place of y: its outputs for rows of X, with `deform` for the deformed images. y
        names the classes, and is what accuracy is measured by if there is no `deform`.
    init : Theta, optional
        Where descent starts, for raw inputs as `theta_` is; None starts at random.
    warm_start : bool
        `fit` starts at the last Theta, whatever the size of the new data.
    validation_fraction : float, optional
        Share of the samples to hold out and measure after each epoch, if `fit` gets no X_val. With `patience`
        0.1, else nothing.
    patience : int, optional
        Stop after so many epochs without a better validation score, and take the best Theta; None goes on.
    scoring : str or callable, optional
        A scikit-learn scorer to judge the validation data by; None is E.
    on_epoch : callable, optional
        Called with the `Record` of each epoch; training stops if it returns True.
    random_state : int, RandomState or None
        The same number, data and threads give the same bits.
    engine : Engine or None
        Who computes; None is this machine's processor, in float32.
    verbose : bool
        Show a progress bar.

    Attributes
    ----------
    theta_ : Theta
        The network, for raw inputs. Its outputs are in the order of `classes_`; two classes share one output.
    classes_ : array
        The class labels (for multi-label: 0 .. D_O - 1).
    history_ : dict of lists
        One entry an epoch: epoch, samples, seconds, error, accuracy, val_error, val_accuracy, rate,
        val_score (see `thetanet.training.loop.Record`).
    best_epoch_, best_score_
        With `patience`: the epoch that Theta is of, and its score (-E without `scoring`).
    explanation_ : str
        What was chosen for this data, and why: the method, whether zeros are skipped, the threads.
    method_ : descent method
        The method that `fit` used.
    n_features_in_, feature_names_in_
        Number of inputs, and their names where X had names.

    Examples
    --------
    >>> from thetanet import ThetaNetClassifier
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["same", "other", "other", "same"]
    >>> net = ThetaNetClassifier(hidden=8, random_state=0).fit(X, y)
    >>> net.predict([[0, 0], [0, 1]]).tolist()
    ['same', 'other']
    """

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        checkpoint: Any = None,
        resume: bool = False,
    ) -> Self:
        """Train from a fresh start (or from `init`, or with `warm_start` from the last Theta).

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (M, D_I), or Source
            Rows are samples. A source (`thetanet.open_source`) has the labels itself, and is read in parts.
        y : array of shape (M,), or indicator matrix of shape (M, D_O) for multi-label
            Labels of any sortable kind.
        sample_weight : array of shape (M,), optional
            How often each sample counts.
        X_val, y_val, sample_weight_val : optional
            Data that is measured after each epoch but not learnt from; see `history_`. X_val may be a source,
            whatever X is.
        checkpoint : folder or Checkpoints, optional
            Where to write checkpoints (`thetanet.Checkpoints` says how often and how many).
        resume : bool
            Go on from the newest checkpoint, if there is one; the result is the same, to the bit, as if the
            training had never been stopped.

        Raises
        ------
        ValueError
            For inputs that cannot be used; the message names the argument and the remedy.
        DivergedError
            If E grows without bound. The network keeps the last healthy Theta.
        """
        options = {
            "X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val,
            "checkpoint": checkpoint, "resume": resume,
        }  # fmt: skip
        if getattr(self, "_skl_callbacks", None) or hasattr(self, "_parent_callback_ctx"):
            return self._fit_with_callbacks(X, y, sample_weight, options)
        return super().fit(X, y, sample_weight, **options)

    def _fit_with_callbacks(self, X: Any, y: Any, sample_weight: Any, options: dict[str, Any]) -> Self:
        """Train as scikit-learn's callbacks see it: a task, with a subtask for each epoch."""
        self._check_parameters()
        epochs: int | None = None
        if not isinstance(self.epochs, str):
            epochs = int(self.epochs)
        elif not (is_source(X) or hasattr(X, "__dask_graph__")):  # which tell their size when they are read
            M = y.shape[0] if hasattr(y, "shape") else len(y)
            epochs = self.number_of_epochs(M, min(int(self.batch_size), M))
            if self.validation_fraction or self.patience is not None:
                epochs = None  # depends on how many samples are held out
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        whole = self._init_callback_context(max_subtasks=epochs)
        whole.call_on_fit_task_begin(estimator=self, **seen)
        records = self.iter_fit(X, y, sample_weight, **options)
        try:
            self._ends = False
            while not self._ends:
                task = whole.subcontext(task_name="epoch")
                task.call_on_fit_task_begin(estimator=self, **seen)
                if next(records, None) is None:
                    self._ends = True
                attributes = {"theta_": self.theta_}
                if task.call_on_fit_task_end(estimator=self, reconstruction_attributes=attributes, **seen):
                    break
        finally:
            records.close()  # type: ignore[attr-defined]
        whole.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **seen)
        return self

    @available_if(_learns_from_batches)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go once over these samples in mini-batches, from where the last call, or `fit`, ended.

        The first call begins a new network and measures the scaling on its samples. The rate is constant,
        half of the rule's peak.

        Parameters
        ----------
        X, y, sample_weight : as for `fit`
            Samples to learn from.
        classes : array, optional
            All labels that will ever come; needed in the first call if its y does not hold them all.
        """
        return super().partial_fit(X, y, classes, sample_weight)

    def transform(self, X: Any) -> NDArray[Any]:  # scikit-learn's set_output wraps what is defined here
        """Return Z, the activations of the hidden units: shape (M, D_H)."""
        return super().transform(X)

    def _checked(self, X: Any, y: Any, reset: bool) -> Any:
        try:
            X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype=DTYPES)
        except ValueError as problem:
            raise with_remedy(problem) from None
        if y is not None:
            check_consistent_length(X, y)
        return X

    def _must_be_fitted(self) -> None:
        check_is_fitted(self, "theta_")

    @property
    def _n_features_out(self) -> int:
        return int(self.theta_.D_H)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
