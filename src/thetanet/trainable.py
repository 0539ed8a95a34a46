"""A network and its training, without scikit-learn, whose import alone takes a second and 80 MB."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from thetanet.checks import check_number
from thetanet.data.arrays import Samples
from thetanet.data.scaling import Scaling
from thetanet.descent import is_whole_pass, resolve
from thetanet.engine import Engine
from thetanet.engine.cpu import CPUEngine
from thetanet.errors import InputError
from thetanet.fitted import FittedNetwork
from thetanet.labels import Labels
from thetanet.training import Progress, Record, pass_over, start, train

_STEPS = 2000  # mini-batch steps that epochs="auto" aims at
_EPOCHS = 7, 200  # and its least and largest number of epochs; 7 are enough for MNIST


class TrainableNetwork(FittedNetwork):
    """What `ThetaNetClassifier` does, for arrays: its parameters and attributes are described there.

    The command line uses it as it is.
    """

    def __init__(
        self,
        hidden: int = 300,
        descent: Any = "auto",
        epochs: int | str = "auto",
        batch: int = 128,
        alpha: float = 0.0,
        scaling: str = "auto",
        random_state: Any = None,
        engine: Engine | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.descent = descent
        self.epochs = epochs
        self.batch = batch
        self.alpha = alpha
        self.scaling = scaling
        self.random_state = random_state
        self.engine = engine
        self.verbose = verbose

    # --- training -------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Self:
        """Train from a fresh start.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (M, D_I)
            Rows are samples.
        y : array of shape (M,), or indicator matrix of shape (M, D_O) for multi-label
            Labels of any sortable kind.
        X_val, y_val : optional
            Data that is measured after each epoch but not learnt from; see `history_`.

        Raises
        ------
        ValueError
            For inputs that cannot be used; the message names the argument and the remedy.
        """
        if self.verbose:
            from thetanet.progress import TrainingProgress

            with TrainingProgress() as display:
                for record in self.iter_fit(X, y, X_val, y_val, progress=display.advance):
                    display.epoch(record)
        else:
            for _ in self.iter_fit(X, y, X_val, y_val):
                pass
        return self

    def iter_fit(
        self, X: Any, y: Any, X_val: Any = None, y_val: Any = None, progress: Progress | None = None
    ) -> Iterator[Record]:
        """Train like `fit`, one epoch at a time: yield a `Record` after each, with the network ready to use.

        Leaving the loop early, by a break or an exception, keeps the network as it is then.
        `progress(seen, M)` is called about five times a second.
        """
        self._check_parameters()
        engine, method = self._engine(), resolve(self.descent)
        X = self._inputs(X, y=y, reset=True)
        labels = Labels.of(y)
        samples = self._samples(X, y, labels, Scaling.of(X, self.scaling))
        if (X_val is None) != (y_val is None):
            raise InputError("X_val and y_val: give both or neither")
        validation = None
        if X_val is not None:
            validation = self._samples(self._inputs(X_val), y_val, labels, samples.scaling)
        rng = self._generator()
        batch = min(int(self.batch), samples.M)
        theta = start(samples, int(self.hidden), rng, engine.dtype)
        self._begin(labels)
        if isinstance(engine, CPUEngine):
            engine.warm_up(theta, samples, method, batch, float(self.alpha) / samples.total_weight)
            self.explanation_ = f"{method}; {engine.explain(theta, samples, batch)}"
        records = train(
            theta,
            samples,
            engine=engine,
            method=method,
            epochs=self._number_of_epochs(samples.M, batch),
            batch=batch,
            rng=rng,
            alpha=float(self.alpha),
            validation=validation,
            progress=progress,
        )
        try:
            for record in records:
                self._fold(theta, samples)
                self._remember(record)
                yield record
        finally:
            records.close()  # type: ignore[attr-defined]
            if not sys.is_finalizing():  # a loop that was left may be closed when Python ends
                self._fold(theta, samples)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Go once over these samples in mini-batches, from where the last call ended.

        The first call begins a new network and measures the scaling on its samples. The rate is constant,
        half of the rule's peak.

        Parameters
        ----------
        X, y : as for `fit`
            Samples to learn from.
        classes : array, optional
            All labels that will ever come; needed in the first call if its y does not hold them all.
        """
        self._check_parameters()
        engine, rule = self._engine(), resolve(self.descent)
        if is_whole_pass(rule):
            raise InputError(f"descent={self.descent!r}: partial_fit needs a mini-batch rule, e.g. 'adam'")
        ongoing: tuple[Any, ...] | None = getattr(self, "_ongoing", None)
        X = self._inputs(X, y=y, reset=ongoing is None)
        if ongoing is None:
            labels = Labels.of(y, classes)
            samples = self._samples(X, y, labels, Scaling.of(X, self.scaling))
            rng = self._generator()
            theta, state, steps = start(samples, int(self.hidden), rng, engine.dtype), None, 0
            self._begin(labels)
        else:
            theta, state, steps, scaling, rng = ongoing
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise InputError(f"classes={classes!r} differ from those of the first call, {self.classes_}")
            samples = self._samples(X, y, self._labels, scaling)
        batch, rate = min(int(self.batch), samples.M), rule.rate / 2
        stepper = engine.stepper(theta, rule, batch, decay=float(self.alpha) / samples.M, state=state)
        count = -(-samples.M // batch)
        coefficients = np.array([rule.coefficients(steps + t, rate) for t in range(count)])
        measure = pass_over(stepper, samples, batch, rng, coefficients)
        theta = stepper.theta()
        self._ongoing = theta, stepper.state(), steps + count, samples.scaling, rng
        self._fold(theta, samples)
        before = self.history_["samples"][-1] if self.history_["samples"] else 0
        self._remember(
            Record(
                epoch=len(self.history_["epoch"]) + 1,
                samples=before + samples.M,
                seconds=float("nan"),
                error=measure.error / measure.weight,
                accuracy=measure.right / measure.weight,
                val_error=None,
                val_accuracy=None,
                rate=rate,
            )
        )
        return self

    def _check_parameters(self) -> None:
        check_number("hidden", self.hidden, least=1, whole=True)
        check_number("batch", self.batch, least=1, whole=True)
        check_number("alpha", self.alpha, least=0)
        if self.epochs != "auto":
            check_number("epochs", self.epochs, least=1, whole=True)

    def _generator(self) -> np.random.Generator:
        if isinstance(self.random_state, int):
            legacy: Any = np.random.RandomState(self.random_state)
        else:
            from sklearn.utils import check_random_state

            legacy = check_random_state(self.random_state)
        return np.random.default_rng(legacy.randint(2**31 - 1))

    def _number_of_epochs(self, M: int, batch: int) -> int:
        if self.epochs != "auto":
            return int(self.epochs)
        least, most = _EPOCHS
        return int(np.clip(_STEPS // -(-M // batch), least, most))

    def _remember(self, record: Record) -> None:
        for name, value in record.as_dict().items():
            self.history_[name].append(value)

    def _fold(self, theta: Any, samples: Samples) -> None:
        # float64 inputs keep a float64 network: a fold of large means must not lose what they distinguish.
        wide = np.float64 in (theta.dtype, samples.X.dtype)
        self.theta_ = samples.scaling.fold(theta, np.float64 if wide else np.float32)
        self._scaling_kind = samples.scaling.kind

    def _samples(self, X: Any, y: Any, labels: Labels, scaling: Scaling) -> Samples:
        return Samples(X, labels.targets(y), labels.D_O, scaling)
