"""ThetaNetClassifier: the network as a scikit-learn classifier, an adapter of settings, data and trainer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from thetanet.classifier.scoring import scorer_for
from thetanet.data.door import as_source
from thetanet.data.formats.arrays import ArrayPart
from thetanet.data.labels import check_labels
from thetanet.data.source import Progress, Rows, Source
from thetanet.data.weights import as_weights
from thetanet.descent import resolve
from thetanet.engine import Engine, Measure
from thetanet.engine.default import default_engine
from thetanet.errors import InputError
from thetanet.images.deform import Deform
from thetanet.models.fitted import DTYPES, FittedNetwork, is_clean_array, with_remedy
from thetanet.models.model_file import Model, load_model
from thetanet.theta import Theta
from thetanet.training.callbacks import Callback, FunctionCallback
from thetanet.training.checkpoints import Checkpoints
from thetanet.training.data import TrainingData
from thetanet.training.record import Record, empty_history
from thetanet.training.settings import TrainingSettings, settings_from
from thetanet.training.trainer import IncrementalState, Trainer

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Takes no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


CheckpointFolder = Checkpoints | str | PathLike[str] | None


def _learns_from_batches(net: ThetaNetClassifier) -> bool:
    if resolve(net.descent).whole_passes:
        raise InputError(f"descent={net.descent!r}: partial_fit needs a mini-batch rule, e.g. 'adam'")
    return True


class ThetaNetClassifier(
    CallbackSupportMixin,  # type: ignore[misc]
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClassifierMixin,  # type: ignore[misc]
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
        ``Adam(learning_rate=0.02, schedule="cosine")``. "auto" is Adam, but Adagrad for wide sparse inputs,
        and SCG for few samples, inputs and units where epochs is "auto"; `explanation_` says which, and why.
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
        One entry an epoch: epoch, samples, seconds, error, accuracy, val_error, val_accuracy, learning_rate,
        val_score (see `thetanet.training.record.Record`).
    best_epoch_, best_score_
        With `patience`: the epoch that Theta is of, and its score (-E without `scoring`).
    explanation_ : str
        What was chosen for this data, and why: the method, whether zeros are skipped, the threads.
    method_ : descent method
        The method that `fit` used.
    network_ : FittedNetwork
        The network as a value: what `save` writes.
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

    def __init__(
        self,
        hidden: int = 300,
        descent: Any = "auto",
        epochs: int | str = "auto",
        batch_size: int = 128,
        alpha: float | str = "auto",
        scaling: str = "auto",
        class_weight: Any = None,
        deform: Deform | None = None,
        teacher: Any = None,
        init: Theta | None = None,
        warm_start: bool = False,
        validation_fraction: float | None = None,
        patience: int | None = None,
        scoring: Any = None,
        on_epoch: Callable[[Record], Any] | None = None,
        random_state: Any = None,
        engine: Engine | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.descent = descent
        self.epochs = epochs
        self.batch_size = batch_size
        self.alpha = alpha
        self.scaling = scaling
        self.class_weight = class_weight
        self.deform = deform
        self.teacher = teacher
        self.init = init
        self.warm_start = warm_start
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.scoring = scoring
        self.on_epoch = on_epoch
        self.random_state = random_state
        self.engine = engine
        self.verbose = verbose

    network_: FittedNetwork
    history_: dict[str, list[Any]]
    feature_names_in_: NDArray[Any]
    _incremental: IncrementalState | None

    # --- training ---------------------------------------------------------------------------------------
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
        checkpoint: CheckpointFolder = None,
        resume: bool = False,
    ) -> Self:
        """Train from a fresh start (or from `init`, or with `warm_start` from the last Theta).

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (M, D_I), Source, or Dask collection
            Rows are samples. A source (`thetanet.open_source`) has the labels itself.
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
        options: dict[str, Any] = {
            "X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val,
            "checkpoint": checkpoint, "resume": resume,
        }  # fmt: skip
        if getattr(self, "_skl_callbacks", None) or hasattr(self, "_parent_callback_ctx"):
            return self._fit_with_callbacks(X, y, sample_weight, options)
        return self._run_to_end(
            lambda progress: self.iter_fit(X, y, sample_weight, **options, progress=progress)
        )

    def iter_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        checkpoint: CheckpointFolder = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Record]:
        """Train like `fit`, one epoch at a time: yield a `Record` after each, with the network ready to use.

        Leaving the loop early, by a break or an exception, keeps the network as it is then (the best one, if
        there is `patience`). `progress(seen, M)` is called about five times a second.
        """
        settings = self._settings()
        source = self._training_source(X, y, sample_weight)
        validation = self._validation_source(X_val, y_val, sample_weight_val)
        drawn = validation is None and settings.held_out_fraction
        if drawn and checkpoint is not None and self.random_state is None:
            raise InputError(
                "checkpoint: with random_state=None other samples would be held out when training goes "
                "on; give random_state=0, or X_val and y_val"
            )
        data = TrainingData.from_source(
            source, settings, validation=validation, engine=self._engine(), verbose=self.verbose
        )
        self.n_features_in_ = data.samples.D_I
        yield from self._train(settings, data, checkpoint, resume, progress)

    def fit_targets(
        self,
        X: Any,
        L: Any,
        classes: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        L_val: Any = None,
        checkpoint: CheckpointFolder = None,
        resume: bool = False,
    ) -> Self:
        """Train on soft labels: targets L of shape (M, D_O), each anywhere in [0, 1].

        Where all rows of L sum to one, the outputs are classes, named by `classes` (0, 1, ... if left out),
        and `predict` answers one of them; two classes share one output, and one column is the share of the
        second class. Otherwise each output is a label of its own, as for multi-label y.
        """
        settings = self._settings()
        if self.scoring is not None:
            raise InputError("scoring: needs labels, but fit_targets has targets; use fit, or scoring=None")
        if (X_val is None) != (L_val is None):
            raise InputError("X_val and L_val: give both or neither")
        checked = self._check_inputs(X, L, reset=True)
        data = TrainingData.from_targets(
            checked,
            L,
            settings,
            classes=classes,
            weight=as_weights(sample_weight, checked.shape[0]),
            X_val=None if X_val is None else self._check_inputs(X_val, L_val),
            L_val=L_val,
            feature_names=self._feature_names(),
        )
        return self._run_to_end(lambda progress: self._train(settings, data, checkpoint, resume, progress))

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
        trainer = Trainer(self._settings(), self._engine())
        fresh = not hasattr(self, "network_")
        X = self._check_inputs(X, y, reset=fresh)
        rows = Rows(X, check_labels(y), as_weights(sample_weight, X.shape[0]))
        state: IncrementalState | None = getattr(self, "_incremental", None)
        state = trainer.partial(
            rows,
            state,
            network=None if fresh else self.network_,
            classes=classes,
            feature_names=self._feature_names(),
        )
        self._incremental = state
        if fresh:
            self.history_ = empty_history()
        self.network_ = trainer.network
        before = self.history_["samples"][-1] if self.history_["samples"] else 0
        self._remember(
            Record(
                epoch=len(self.history_["epoch"]) + 1,
                samples=before + state.samples,
                seconds=float("nan"),
                error=state.error,
                accuracy=state.accuracy,
                val_error=None,
                val_accuracy=None,
                learning_rate=state.learning_rate,
            )
        )
        return self

    def _train(
        self,
        settings: TrainingSettings,
        data: TrainingData,
        checkpoint: CheckpointFolder,
        resume: bool,
        progress: Progress | None,
    ) -> Iterator[Record]:
        """Run a trainer; after each epoch the classifier is what it has reached."""
        scorer, held_out = scorer_for(self.scoring), data.held_out

        def score(network: FittedNetwork) -> float:
            assert scorer is not None
            assert held_out is not None
            self.network_ = network  # scorers ask the classifier
            return scorer(self, held_out)

        adoption = _Adoption(self)
        callbacks: list[Callback] = [adoption]
        if self.on_epoch is not None:
            callbacks.append(FunctionCallback(self.on_epoch))
        judged = scorer is not None and held_out is not None
        trainer = adoption.trainer = Trainer(settings, self._engine(), callbacks, score if judged else None)
        warm_start = self.network_ if self.warm_start and hasattr(self, "network_") else None
        records = trainer.run(
            data, checkpoints=checkpoint, resume=resume, warm_start=warm_start, progress=progress
        )
        self._incremental = None
        try:
            for record in records:
                self._finished = trainer.finished
                yield record
        finally:
            records.close()  # type: ignore[attr-defined]
            adoption.trainer = None  # or a cycle would keep the samples until Python looks for cycles
            if trainer.started and not sys.is_finalizing():
                self._adopt(trainer)

    def _adopt(self, trainer: Trainer) -> None:
        """Take over what a trainer has reached."""
        self.network_, self.history_ = trainer.network, trainer.history
        self.method_, self.explanation_ = trainer.method, trainer.explanation
        best = trainer.early_stopping
        if best is not None and best.best_network is not None:
            self.best_epoch_, self.best_score_ = best.best_epoch, best.best_score

    def _run_to_end(self, run: Callable[[Progress | None], Iterator[Record]]) -> Self:
        if self.verbose:
            from thetanet.training.progress import TrainingProgress

            with TrainingProgress() as display:
                for record in run(display.advance):
                    display.epoch(record)
        else:
            for _ in run(None):
                pass
        return self

    def _fit_with_callbacks(self, X: Any, y: Any, sample_weight: Any, options: dict[str, Any]) -> Self:
        """Train as scikit-learn's callbacks see it: a task, with a subtask for each epoch."""
        settings = self._settings()
        epochs: int | None = None
        if not isinstance(settings.epochs, str):
            epochs = int(settings.epochs)
        elif y is not None and not settings.held_out_fraction:  # else the number depends on what is read
            M = y.shape[0] if hasattr(y, "shape") else len(y)
            epochs = settings.epochs_for(M, min(int(settings.batch_size), M))
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        task = self._init_callback_context(max_subtasks=epochs)
        task.call_on_fit_task_begin(estimator=self, **seen)
        records = self.iter_fit(X, y, sample_weight, **options)
        try:
            self._finished = False
            while not self._finished:
                epoch = task.subcontext(task_name="epoch")
                epoch.call_on_fit_task_begin(estimator=self, **seen)
                if next(records, None) is None:
                    self._finished = True
                attributes = {"network_": self.network_}
                if epoch.call_on_fit_task_end(estimator=self, reconstruction_attributes=attributes, **seen):
                    break
        finally:
            records.close()  # type: ignore[attr-defined]
        task.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **seen)
        return self

    def _settings(self) -> TrainingSettings:
        return settings_from(self.get_params(deep=False))

    def _engine(self) -> Engine:
        return default_engine() if self.engine is None else self.engine

    def _training_source(self, X: Any, y: Any, sample_weight: Any) -> Source:
        """Return the training samples as a source, and remember the number and names of their inputs."""
        source = as_source(X, y, sample_weight)
        if source is not None:
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            if source.feature_names is not None:
                self.feature_names_in_ = np.asarray(source.feature_names, dtype=object)
            return source
        X = self._check_inputs(X, y, reset=True)
        weight = as_weights(sample_weight, X.shape[0])
        part = ArrayPart(X, check_labels(y), weight, checked=True)
        names = self._feature_names()
        return Source("", [part], None if names is None else list(names))

    def _validation_source(self, X: Any, y: Any, sample_weight: Any) -> Source | None:
        """Return the validation samples as a source, if there are any."""
        source = as_source(X, y, sample_weight, ("y_val", "sample_weight_val"))
        if source is not None:
            return source
        if (X is None) != (y is None):
            raise InputError("X_val and y_val: give both or neither")
        if X is None:
            return None
        X = self._check_inputs(X)
        weight = as_weights(sample_weight, X.shape[0], "sample_weight_val")
        return Source("X_val", [ArrayPart(X, check_labels(y), weight, checked=True)])

    def _remember(self, record: Record) -> None:
        for name, value in record.as_dict().items():
            self.history_[name].append(value)

    # --- answers ----------------------------------------------------------------------------------------
    @property
    def theta_(self) -> Theta:
        """The network, for raw inputs."""
        return self.network_.theta

    @theta_.setter
    def theta_(self, theta: Theta) -> None:
        D_I, _, D_O = self.network_.theta.shape
        if not isinstance(theta, Theta) or (theta.D_I, theta.D_O) != (D_I, D_O):
            have = theta.shape if isinstance(theta, Theta) else type(theta).__name__
            raise InputError(f"theta_={have}: must be a Theta of {D_I} inputs and {D_O} outputs")
        self.network_ = replace(self.network_, theta=theta)

    @property
    def classes_(self) -> NDArray[Any]:
        """The class labels."""
        return self.network_.classes

    @property
    def multilabel_(self) -> bool:
        """Whether each output is a yes-or-no answer of its own."""
        return self.network_.multilabel

    def _propagate(self, X: Any, to: str) -> NDArray[Any]:
        if "network_" not in vars(self):
            check_is_fitted(self, "network_")
        network = self.network_
        if "feature_names_in_" in vars(self) or not is_clean_array(X, network.theta.D_I):
            X = self._check_inputs(X)
        return network.engine.propagate(network.theta, X, to)

    def outputs(self, X: Any) -> NDArray[Any]:
        """Return Y, the outputs of the network as they are: shape (M, D_O)."""
        return self._propagate(X, "Y")

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return A2, the outputs before sigma: shape (M, D_O), or (M,) for two classes."""
        A2 = self._propagate(X, "A2")
        return A2[:, 0] if self.network_.labels.binary else A2

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return probabilities: rows of Y / sum(Y) for classes, Y itself for multi-label."""
        A2 = self._propagate(X, "A2")
        return self.network_.labels.probabilities(A2)

    def confidence(self, X: Any) -> NDArray[Any]:
        """Return how sure the network is of the answer for each row: shape (M,).

        Y_k times all other (1 - Y_j), the probability that output k is 1 and no other is, as the outputs see
        it. Unlike `predict_proba` it is low where no output speaks up ("none of these"), or two of them.
        """
        A2 = self._propagate(X, "A2")
        return self.network_.labels.confidence(A2)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each row, or the indicator matrix (M, D_O) for multi-label."""
        A2 = self._propagate(X, "A2")
        return self.network_.labels.decide(A2)

    def transform(self, X: Any) -> NDArray[Any]:
        """Return Z, the activations of the hidden units: shape (M, D_H)."""
        Z = self._propagate(X, "Z")
        return Z.astype(np.float32) if getattr(X, "dtype", None) == np.float32 else Z

    def measure(self, X: Any, y: Any = None, sample_weight: Any = None) -> Measure:
        """Return E (summed over samples), the number of correct answers and the sum of weights.

        X may be a source, which has the labels itself.
        """
        check_is_fitted(self, "network_")
        if not isinstance(X, Source):
            X = self._check_inputs(X, y)
        return self.network_.measure(X, y, sample_weight)

    def _check_inputs(self, X: Any, y: Any = None, reset: bool = False) -> Any:
        """Return X as an array or CSR matrix, checked; with `reset` its width and names are remembered."""
        if isinstance(X, Source):
            raise InputError("X: is a source, whose parts are read one by one; iterate: for X, y in source")
        try:
            X = validate_data(self, X, reset=reset, accept_sparse="csr", dtype=DTYPES)
        except ValueError as problem:
            raise with_remedy(problem) from None
        if y is not None:
            check_consistent_length(X, y)
        return X

    def _feature_names(self) -> tuple[str, ...] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else tuple(str(name) for name in names)

    # --- files ------------------------------------------------------------------------------------------
    def save(self, path: str | PathLike[str], dtype: Any = None) -> None:
        """Write the fitted network to a model file (safetensors; see `thetanet.models.model_file`).

        `dtype="float16"` makes it half as large as float32 and rounds Theta; loaded, it is float32 again.
        """
        check_is_fitted(self, "network_")
        self.network_.save(path, dtype)

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
        return cls.from_network(FittedNetwork.from_model(model))

    @classmethod
    def from_network(cls, network: FittedNetwork) -> Self:
        """Make a fitted classifier around a network."""
        net = cls(hidden=network.theta.D_H)
        net.network_, net.n_features_in_ = network, network.theta.D_I
        net.history_ = empty_history()
        if network.feature_names is not None:
            net.feature_names_in_ = np.asarray(network.feature_names, dtype=object)
        return net

    # --- scikit-learn -----------------------------------------------------------------------------------
    @property
    def _n_features_out(self) -> int:
        return int(self.theta_.D_H)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class _Adoption(Callback):
    """Makes a classifier what its training has reached, before others look on."""

    def __init__(self, net: ThetaNetClassifier) -> None:
        self.net = net
        self.trainer: Trainer | None = None

    def on_epoch_end(self, record: Record, network: FittedNetwork) -> bool:
        """Take over the network."""
        if self.trainer is not None:
            self.net._adopt(self.trainer)
        return False
