"""A network that learns: its parameters, where descent starts, and learning a part of the data at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from thetanet.checks import check_number
from thetanet.classifier.fitted import FittedNetwork
from thetanet.data.arrays import Samples, as_weights
from thetanet.data.labels import Labels
from thetanet.data.scaling import Scaling
from thetanet.descent import choose, resolve
from thetanet.engine import Engine, Measure
from thetanet.errors import DivergedError, InputError
from thetanet.theta import Theta
from thetanet.training.loop import Record, start
from thetanet.training.passes import pass_over

if TYPE_CHECKING:
    from thetanet.images.deform import Deform


class IncrementalNetwork(FittedNetwork):
    """The parameters of `ThetaNetClassifier`, which describes them, and `partial_fit`."""

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

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go once over these samples; `ThetaNetClassifier.partial_fit` describes the arguments."""
        self._check_parameters()
        engine = self._engine()
        if resolve(self.descent).whole_passes:
            raise InputError(f"descent={self.descent!r}: partial_fit needs a mini-batch rule, e.g. 'adam'")
        ongoing: tuple[Any, ...] | None = getattr(self, "_ongoing", None)
        fresh = not hasattr(self, "theta_")
        X = self._inputs(X, y=y, reset=fresh)
        weight = as_weights(sample_weight, X.shape[0])
        labels = Labels.of(y, classes) if fresh else self._labels
        if not fresh and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise InputError(f"classes={classes!r} differ from those of the first call, {self.classes_}")
        targets = labels.targets(y)
        seen = np.zeros(len(labels.classes)) if ongoing is None else ongoing[5]
        weight = labels.class_weights(self.class_weight, targets, weight, seen)
        if ongoing is None:
            scaling, rng = Scaling.of(X, self.scaling, weight), np.random.default_rng(self._seed())
        else:
            scaling, rng = ongoing[3], ongoing[4]
        samples = self._samples(X, targets, labels, scaling, weight)
        if ongoing is not None:
            theta, state, steps = ongoing[:3]
        elif fresh:
            theta, state, steps = self._start(labels, samples, rng, engine.dtype), None, 0
            self._begin(labels)
        else:  # after fit or load
            theta, state, steps = scaling.unfold(self.theta_).astype(engine.dtype), None, 0
        batch_size = min(int(self.batch_size), samples.M)
        # What "auto" chose for the first part goes on: another rule could not read its state.
        rule = (
            ongoing[6]
            if ongoing is not None and self.descent == "auto"
            else self.method_for(X, batch_size, parts=True)[0]
        )
        if ongoing is not None and _kind(rule) != _kind(ongoing[6]):
            state, steps = None, 0  # one rule cannot read what another remembers
        rate = rule.learning_rate / 2
        alpha = 0.0 if self.alpha == "auto" else float(self.alpha)
        decay = alpha / samples.total_weight if samples.total_weight else 0.0
        stepper = engine.stepper(theta, rule, batch_size, decay=decay, state=state)
        count = -(-samples.M // batch_size)
        coefficients = np.array([rule.coefficients(steps + t, rate) for t in range(count)])
        measure = Measure.of(pass_over(stepper, samples, batch_size, rng, coefficients))
        theta, state = stepper.theta(), stepper.state()
        if not np.isfinite(theta.flat).all():
            raise DivergedError(len(self.history_["epoch"]) + 1, measure.error, rule.learning_rate, rule)
        self._ongoing = theta, state, steps + count, scaling, rng, seen, rule
        self._fold(theta.like(stepper.result()), samples)
        before = self.history_["samples"][-1] if self.history_["samples"] else 0
        total = measure.weight or 1.0
        record = Record(
            epoch=len(self.history_["epoch"]) + 1,
            samples=before + samples.M,
            seconds=float("nan"),
            error=measure.error / total,
            accuracy=measure.correct / total,
            val_error=None,
            val_accuracy=None,
            learning_rate=rate,
        )
        self._remember(record.as_dict())
        return self

    def method_for(self, X: Any, batch_size: int, parts: bool = False) -> tuple[Any, str]:
        """Return the descent method for training on X, and why "auto" chose it.

        Parameters
        ----------
        X : array or CSR matrix of shape (M, D_I)
            Training data.
        batch_size : int
            Samples in a mini-batch.
        parts : bool
            X is not all there is, as in `partial_fit`: whole passes are impossible.
        """
        if not isinstance(self.descent, str) or self.descent != "auto":
            return resolve(self.descent), ""
        lit = X.shape[1] if isinstance(X, np.ndarray) else X.nnz / max(1, X.shape[0])
        # Whoever sets the number of epochs means passes in mini-batches, and as many of them.
        M = None if parts or self.epochs != "auto" or self.deform is not None else X.shape[0]
        name, why = choose(M, X.shape[1], int(self.hidden), lit, batch_size)
        return resolve(name), why

    def _samples(self, X: Any, targets: Any, labels: Labels, scaling: Scaling, weight: Any) -> Samples:
        """Return the training data: deformed anew in each epoch, labelled by a teacher, if asked for."""
        ask = None if self.teacher is None else partial(_ask, self.teacher, labels)
        if self.deform is None:
            L = targets if ask is None else ask(X)
            return Samples(X, L, labels.D_O, scaling, weight)
        from thetanet.images.deform import DeformedSamples

        if not isinstance(X, np.ndarray):
            raise InputError("deform: X is sparse, but images are dense; give X.toarray(), or deform=None")
        self.deform.shape_of(X)
        return DeformedSamples(X, targets, labels.D_O, scaling, weight, deform=self.deform, teacher=ask)

    def _start(self, labels: Labels, samples: Samples, rng: np.random.Generator, dtype: Any) -> Theta:
        """Return where descent starts: at random, at `init`, or at the last Theta."""
        given, name = self.init, "init"
        if given is None and self.warm_start and hasattr(self, "theta_"):
            given, name = self.theta_, "warm_start=True: the last Theta"
            if not np.array_equal(labels.classes, self.classes_):
                raise InputError(
                    f"warm_start=True: y has the classes {labels.classes.tolist()}, but the network was "
                    f"trained on {self.classes_.tolist()}; use warm_start=False"
                )
        if given is None:
            return start(samples, int(self.hidden), rng, dtype)
        shape = samples.D_I, int(self.hidden), samples.D_O
        if not isinstance(given, Theta) or given.shape != shape:
            have = given.shape if isinstance(given, Theta) else type(given).__name__
            raise InputError(f"{name} has shape {have}, but data and hidden need (D_I, D_H, D_O) = {shape}")
        return samples.scaling.unfold(given).astype(dtype)

    def _check_parameters(self) -> None:
        check_number("hidden", self.hidden, least=1, whole=True)
        check_number("batch_size", self.batch_size, least=1, whole=True)
        if self.alpha != "auto":
            check_number("alpha", self.alpha, least=0)
        if self.patience is not None:
            check_number("patience", self.patience, least=1, whole=True)
        if self.validation_fraction is not None:
            check_number("validation_fraction", self.validation_fraction, least=0, most=0.9)
        if isinstance(self.epochs, str):
            if self.epochs not in ("auto", "long"):
                raise InputError(f"epochs={self.epochs!r}: must be a whole number, 'auto' or 'long'")
        else:
            check_number("epochs", self.epochs, least=1, whole=True)
        if self.deform is not None:
            from thetanet.images.deform import Deform

            if not isinstance(self.deform, Deform):
                raise InputError(f"deform={self.deform!r}: must be a Deform(...) or None")
            if resolve(self.descent).whole_passes:
                raise InputError(
                    f"deform with descent={self.descent!r}: new images in each step need a mini-batch rule, "
                    "e.g. 'adam'"
                )

    def _seed(self) -> int:
        if (seed := self._named_seed()) is not None:
            legacy: Any = np.random.RandomState(seed)
        elif self.random_state is None:
            legacy = np.random  # the global generator, as in scikit-learn, whose import takes a second
        else:
            from sklearn.utils import check_random_state

            legacy = check_random_state(self.random_state)
        return int(legacy.randint(2**31 - 1))

    def _named_seed(self) -> int | None:
        """Return the seed that the user has named, which a training that goes on must share."""
        seed = self.random_state
        return int(seed) if isinstance(seed, (int, np.integer)) else None

    def _remember(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            self.history_[name].append(value)

    def _fold(self, theta: Any, samples: Samples) -> None:
        # float64 inputs keep a float64 network: a fold of large means must not lose what they distinguish.
        wide = np.float64 in (theta.dtype, samples.X.dtype)
        self.theta_ = samples.scaling.fold(theta, np.float64 if wide else np.float32)
        self._scaling_kind = samples.scaling.kind


def _kind(rule: Any) -> tuple[type, ...]:
    """Return the class of a rule, and of the rule that it is put around."""
    return (type(rule), *(_kind(rule.rule) if rule.rule is not None else ()))


def _ask(teacher: Any, labels: Labels, X: Any) -> Any:
    """Return a teacher's targets (M, D_O) for the rows of X."""
    if hasattr(teacher, "fit") and not hasattr(teacher, "classes_"):
        raise InputError(
            "teacher is not fitted: fit or load it first (scikit-learn's clone, as in cross-validation, "
            "forgets what it has learnt; there give teacher=net.outputs)"
        )
    classes = getattr(teacher, "classes_", None)
    if classes is not None and not np.array_equal(classes, labels.classes):
        raise InputError(
            f"teacher knows the classes {np.asarray(classes).tolist()}, but y has "
            f"{labels.classes.tolist()}: they must agree"
        )
    L = np.asarray(teacher.outputs(X) if hasattr(teacher, "outputs") else teacher(X))
    if L.shape != (X.shape[0], labels.D_O) or not ((L >= 0) & (L <= 1)).all():
        raise InputError(
            f"teacher gave an array of shape {L.shape}: must be ({X.shape[0]}, {labels.D_O}), the outputs "
            "for each row, in [0, 1]"
        )
    return L
