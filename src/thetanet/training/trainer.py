"""Training: settings, engine and data joined, as a generator of one record an epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.labels import Labels
from thetanet.data.samples import Samples, TrainingSamples
from thetanet.data.scaling import Scaling
from thetanet.data.source import Progress, Rows
from thetanet.engine import Engine, Measure
from thetanet.engine.default import default_engine
from thetanet.errors import DivergedError, InputError
from thetanet.models.fitted import FittedNetwork
from thetanet.theta import Theta
from thetanet.training.callbacks import Callback
from thetanet.training.checkpoints import Checkpoints, CheckpointWriter, Snapshot
from thetanet.training.data import TrainingData
from thetanet.training.early_stopping import EarlyStopping
from thetanet.training.initial import random_theta
from thetanet.training.loop import descend
from thetanet.training.passes import run_epoch, step_coefficients
from thetanet.training.record import Record, empty_history
from thetanet.training.session import Session
from thetanet.training.settings import TrainingSettings
from thetanet.training.transformed import DeformedSamples, teacher_targets

Score = Callable[[FittedNetwork], float]


class Trainer:
    """Trains networks, one after the other.

    The order of calls in `run`: samples are placed where the engine computes; method, epochs and penalty are
    chosen; descent starts at a random, given or earlier Theta, or at a checkpoint; the engine compiles; then
    each epoch descends, is measured, scored, shown to the callbacks and yielded as a `Record`.
    `network` is at any time the network reached so far, `partial` goes once over a part of the data.

    Parameters
    ----------
    settings : TrainingSettings
        How to train.
    engine : Engine, optional
        Computes; this machine's processor if None.
    callbacks : sequence of Callback
        Look on at the end of each epoch. `settings.patience` adds early stopping.
    score : callable, optional
        Returns the `val_score` of a network.

    Attributes
    ----------
    method : MiniBatchRule or WholePassMethod
        What the last training descended by.
    explanation : str
        What was chosen for its data, and why.
    history : dict of lists
        The fields of its records.
    early_stopping : EarlyStopping or None
        The best epoch so far, if the settings have patience.
    started, finished : bool
        Whether its descent has begun, and whether its last epoch is over.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        engine: Engine | None = None,
        callbacks: Sequence[Callback] = (),
        score: Score | None = None,
    ) -> None:
        self.settings, self.score = settings, score
        self._settings_texts = settings.as_texts()  # once: a network is made of them in each epoch
        self.engine = default_engine() if engine is None else engine
        self.callbacks = list(callbacks)
        self.early_stopping: EarlyStopping | None = None
        self.method: Any = None
        self.explanation, self.started, self.finished = "", False, False
        self.history = empty_history()
        self._reason, self._pretrained = "", False
        self._session: Session | None = None
        self._template: FittedNetwork | None = None
        self._network: FittedNetwork | None = None

    # --- a training from beginning to end -----------------------------------------------------------------
    def run(
        self,
        data: TrainingData,
        *,
        checkpoints: Checkpoints | str | PathLike[str] | None = None,
        resume: bool = False,
        warm_start: FittedNetwork | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Record]:
        """Train, and yield a `Record` at the end of each epoch.

        Stopping early (a break, an exception, Ctrl-C) leaves `network` usable, at the last step taken.

        Parameters
        ----------
        data : TrainingData
            What to learn from and what to measure.
        checkpoints : folder or Checkpoints, optional
            Where to write checkpoints.
        resume : bool
            Go on from the newest checkpoint, if there is one.
        warm_start : FittedNetwork, optional
            Where descent starts, if the settings have no `init`.
        progress : callable, optional
            Called with (samples seen in this epoch, samples) about five times a second.

        Raises
        ------
        InputError, CheckpointError
            If the settings, a Theta to start at or a checkpoint do not fit the data.
        DivergedError
            If E is not finite any more, or far above that of a network that always answers the mean target
            (and above that of the first epoch, if Theta was learnt before). `network` is then that of the
            last epoch before.
        """
        if isinstance(checkpoints, (str, PathLike)):
            checkpoints = Checkpoints(checkpoints)
        if resume and checkpoints is None:
            raise InputError("resume=True: say from where, by checkpoint=FOLDER")
        session, validation = self._begin(data, warm_start, progress)
        self._open_checkpoints(session, checkpoints, resume)
        yield from self._descend(session, validation)

    def _begin(
        self, data: TrainingData, warm_start: FittedNetwork | None, progress: Progress | None
    ) -> tuple[Session, TrainingSamples | None]:
        """Place the data, choose method, epochs and penalty, and find where descent starts."""
        settings, engine = self.settings, self.engine
        if settings.patience is not None and data.validation is None:
            raise InputError(f"patience={settings.patience}: needs X_val and y_val, or a validation_fraction")
        rng = np.random.default_rng(settings.draw_seed())
        samples, validation = data.samples, data.validation
        if engine.distributed:
            from thetanet.training.cluster import distribute

            samples = distribute(engine, samples)
            validation = None if validation is None else distribute(engine, validation)
        batch_size = min(int(settings.batch_size), samples.M)
        self.method, self._reason = settings.method_for(samples, batch_size)
        group = samples.M if self.method.whole_passes else samples.group_size
        alpha = settings.penalty_for(samples)
        decay = alpha / samples.total_weight
        samples = samples.with_preparation(engine.preparation_for(self.method, decay))
        if validation is not None:
            validation = validation.with_preparation(engine.preparation_for(None, 0.0))
        theta = self._initial_theta(data.labels, samples, rng, warm_start)
        epochs = settings.epochs_for(group, batch_size)
        session = Session(
            theta, samples, engine, self.method, epochs, batch_size, rng, alpha, progress=progress
        )
        self._session, self._network, self.started, self.finished = session, None, False, False
        self._template = FittedNetwork(theta, data.labels, data.feature_names, samples.scaling.kind, engine)
        self.history = empty_history()
        self._pretrained = settings.init is not None or warm_start is not None
        self.early_stopping = None if settings.patience is None else EarlyStopping(int(settings.patience))
        return session, validation

    def _initial_theta(
        self,
        labels: Labels,
        samples: TrainingSamples,
        rng: np.random.Generator,
        warm_start: FittedNetwork | None,
    ) -> Theta:
        """Return where descent starts: at random, at `init`, or at an earlier network; for scaled inputs."""
        given, name = self.settings.init, "init"
        if given is None and warm_start is not None:
            given, name = warm_start.theta, "warm_start=True: the last Theta"
            if not np.array_equal(labels.classes, warm_start.classes):
                raise InputError(
                    f"warm_start=True: y has the classes {labels.classes.tolist()}, but the network was "
                    f"trained on {warm_start.classes.tolist()}; use warm_start=False"
                )
        hidden, dtype = int(self.settings.hidden), self.engine.dtype
        if given is None:
            return random_theta(samples, hidden, rng, dtype)
        shape = samples.D_I, hidden, samples.D_O
        if not isinstance(given, Theta) or given.shape != shape:
            have = given.shape if isinstance(given, Theta) else type(given).__name__
            raise InputError(f"{name} has shape {have}, but data and hidden need (D_I, D_H, D_O) = {shape}")
        return samples.scaling.unfold(given).astype(dtype)

    def _open_checkpoints(self, session: Session, checkpoints: Checkpoints | None, resume: bool) -> None:
        """Find the checkpoint to go on from; see that a fresh training begins in an empty folder."""
        fingerprint = {
            "descent": repr(self.method), "hidden": session.theta.D_H, "epochs": session.epochs,
            "batch_size": session.batch_size, "alpha": session.alpha, "dtype": self.engine.dtype.name,
        }  # fmt: skip
        snapshot: Snapshot | None = None
        if checkpoints is not None:
            fingerprint["data"] = session.samples.digest()
            if (seed := self.settings.fixed_seed) is not None:  # else that of the checkpoint, whatever it was
                fingerprint["random_state"] = seed
            if resume:
                snapshot = checkpoints.latest(fingerprint)
            else:
                checkpoints.must_be_empty()
        if snapshot is not None:
            session.theta.flat[...] = snapshot.theta
            session.rng.bit_generator.state = snapshot.rng
            for record in snapshot.history:
                self._remember(record)
            for callback in self._all_callbacks():
                callback.restore(snapshot.extra, self.network)
        batch_size, decay = session.batch_size, session.decay
        chunk: Any = session.samples.head if not self.engine.distributed else session.samples
        self.engine.warm_up(session.theta, chunk, self.method, batch_size, decay)
        chosen = f"{self.method} ({self._reason})" if self._reason else f"{self.method}"
        self.explanation = f"{chosen}; {self.engine.explain(session.theta, chunk, batch_size)}"
        # Seconds count from here, after what is compiled once on a machine.
        # Without a reference to this trainer: a cycle would keep the samples until Python looks for cycles.
        states = partial(_join_states, self._all_callbacks())
        session.checkpoints = CheckpointWriter(checkpoints, snapshot, fingerprint, states)

    def _descend(self, session: Session, validation: TrainingSamples | None) -> Iterator[Record]:
        """Descend epoch by epoch; measure, score and show each, and keep Theta healthy."""
        records, self.started = descend(session, validation, self._pretrained), True
        try:
            for record in records:
                self._network = None  # Theta has moved
                if self.score is not None:
                    record = replace(record, val_score=float(self.score(self.network)))
                    session.checkpoints.history[-1] = record.as_dict()
                self._remember(record.as_dict())
                stop = False
                for callback in self._all_callbacks():
                    stop = callback.on_epoch_end(record, self.network) or stop
                self.finished = stop or record.epoch == session.epochs
                yield record
                if stop:
                    return
        finally:
            records.close()
            if not sys.is_finalizing():  # a loop that was left may be closed when Python ends
                self._network = None if self.early_stopping is None else self.early_stopping.result()

    # --- what is known meanwhile ----------------------------------------------------------------------------
    @property
    def network(self) -> FittedNetwork:
        """The network reached so far, for raw inputs; at the end, with early stopping, the best one.

        Raises
        ------
        InputError
            If no training has begun.
        """
        if self._network is None:
            if self._session is None or self._template is None:
                raise InputError("the trainer has no network yet: run it first")
            samples = self._session.samples
            theta = fold_theta(self._session.theta, samples.scaling, samples.head.X.dtype)
            last = {name: values[-1] for name, values in self.history.items() if values}
            training = {
                **self._settings_texts,
                **{name: None if value != value else value for name, value in last.items()},
            }
            self._network = replace(self._template, theta=theta, training=training)
        return self._network

    def _all_callbacks(self) -> list[Callback]:
        return [*([] if self.early_stopping is None else [self.early_stopping]), *self.callbacks]

    def _remember(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            self.history[name].append(value)

    # --- a part of the data at a time -----------------------------------------------------------------------
    def partial(
        self,
        rows: Rows,
        state: IncrementalState | None = None,
        *,
        network: FittedNetwork | None = None,
        classes: Any = None,
        feature_names: tuple[str, ...] | None = None,
    ) -> IncrementalState:
        """Go once over some samples in mini-batches, from where the last call ended.

        Parameters
        ----------
        rows : Rows
            Labelled samples, which are checked before.
        state : IncrementalState, optional
            What the last call returned; None begins, at `network` if there is one.
        network : FittedNetwork, optional
            Whose labels these are, and where to begin.
        classes : array, optional
            All labels that will ever come, for the first call.
        feature_names : tuple of str, optional
            Names of the inputs.

        Returns
        -------
        IncrementalState
            From which the next call goes on, and how this one went. `network` is the result.
        """
        settings = self.settings
        labels = Labels.of(rows.y, classes) if network is None else network.labels
        if network is not None and classes is not None:
            labels.check_same(classes)
        X, y, weight = rows
        targets = labels.targets(y)
        seen = np.zeros(len(labels.classes)) if state is None else state.class_weights.copy()
        if settings.class_weight is not None:
            labels.check_class_weight(settings.class_weight)
            seen += labels.count_classes(targets, weight)
            factors = labels.class_factors(settings.class_weight, seen, partial=True)
            weight = labels.weigh(targets, weight, factors)
        scaling = Scaling.of(X, settings.scaling, weight) if state is None else state.scaling
        rng = np.random.default_rng(settings.draw_seed()) if state is None else state.rng
        samples = self._incremental_samples(X, targets, labels, scaling, weight)
        batch_size = min(int(settings.batch_size), samples.M)
        # What "auto" chose for the first part goes on: another rule could not read its state.
        chosen = state is not None and settings.descent == "auto"
        rule = (
            state.rule if state is not None and chosen else settings.method_for(samples, batch_size, True)[0]
        )
        if rule.whole_passes:
            raise InputError(
                f"descent={settings.descent!r}: partial_fit needs a mini-batch rule, e.g. 'adam'"
            )
        if state is not None:
            theta = state.theta
        elif network is None:
            theta = self._initial_theta(labels, samples, rng, None)
        else:
            theta = scaling.unfold(network.theta).astype(self.engine.dtype)
        same_rule = state is not None and _kind_of(rule) == _kind_of(state.rule)
        memory, step = (state.rule_state, state.step) if state is not None and same_rule else (None, 0)
        rate = rule.learning_rate / 2
        alpha = 0.0 if settings.alpha == "auto" else float(settings.alpha)
        session = Session(theta, samples, self.engine, rule, 1, batch_size, rng, alpha)
        stepper = self.engine.stepper(theta, rule, batch_size, session.decay, memory)
        steps = -(-samples.M // batch_size)
        coefficients = step_coefficients(rule, step, [rate] * steps)
        measure = Measure.of(run_epoch(stepper, samples, batch_size, rng, coefficients))
        reached = stepper.theta()
        calls = 1 if state is None else state.calls + 1
        if not np.isfinite(reached.flat).all():
            raise DivergedError(calls, measure.error, rule.learning_rate, rule)
        result = theta.like(stepper.result())
        if feature_names is None and network is not None:
            feature_names = network.feature_names
        self.method = rule
        self._network = FittedNetwork(
            fold_theta(result, scaling, X.dtype),
            labels,
            feature_names,
            scaling.kind,
            self.engine,
            self._settings_texts,
        )
        total = measure.weight or 1.0
        return IncrementalState(
            theta=reached,
            rule=rule,
            rule_state=stepper.state(),
            step=step + steps,
            scaling=scaling,
            rng=rng,
            class_weights=seen,
            calls=calls,
            samples=samples.M,
            error=measure.error / total,
            accuracy=measure.correct / total,
            learning_rate=rate,
        )

    def _incremental_samples(
        self, X: Any, targets: NDArray[Any], labels: Labels, scaling: Scaling, weight: Any
    ) -> TrainingSamples:
        """Return some samples, deformed or labelled by a teacher if the settings say so."""
        settings = self.settings
        teacher = settings.teacher
        L = targets
        if teacher is not None and settings.deform is None:
            L = teacher_targets(teacher, labels, X)
        samples = Samples(X, L, labels.D_O, scaling, weight)
        if settings.deform is None:
            return samples
        ask = None if teacher is None else partial(teacher_targets, teacher, labels)
        return DeformedSamples(samples, settings.deform, ask)


@dataclass(frozen=True)
class IncrementalState:
    """Where a training that comes in parts stands.

    Attributes
    ----------
    theta : Theta
        For scaled inputs.
    rule, rule_state, step
        The mini-batch rule, what it remembers, and the steps that it has taken.
    scaling : Scaling
        As measured on the first part.
    rng : numpy.random.Generator
        Shuffles.
    class_weights : array of shape (n_classes,)
        Sums of the weights of all samples so far, by class.
    calls : int
        Parts so far.
    samples, error, accuracy, learning_rate
        Of the last part: number of samples, E per sample, share of correct answers, rate of descent.
    """

    theta: Theta
    rule: Any
    rule_state: NDArray[Any]
    step: int
    scaling: Scaling
    rng: np.random.Generator
    class_weights: NDArray[np.float64]
    calls: int
    samples: int
    error: float
    accuracy: float
    learning_rate: float


def _join_states(callbacks: Sequence[Callback]) -> dict[str, Any]:
    """Return the states of callbacks as one."""
    state: dict[str, Any] = {}
    for callback in callbacks:
        state |= callback.state()
    return state


def fold_theta(theta: Theta, scaling: Scaling, inputs_dtype: Any) -> Theta:
    """Return the Theta for raw inputs of this type.

    float64 inputs keep a float64 network: a fold of large means must not lose what they distinguish.
    """
    wide = np.float64 in (theta.dtype, inputs_dtype)
    return scaling.fold(theta, np.float64 if wide else np.float32)


def _kind_of(rule: Any) -> tuple[type, ...]:
    """Return the class of a rule, and of the rule that it is put around."""
    return (type(rule), *(() if rule.rule is None else _kind_of(rule.rule)))
