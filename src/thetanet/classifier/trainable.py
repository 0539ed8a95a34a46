"""A network and its training, without scikit-learn, whose import alone takes a second and 80 MB."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, Self

import numpy as np

from thetanet.classifier.incremental import IncrementalNetwork
from thetanet.data.arrays import Samples, as_weights, hold_out
from thetanet.data.labels import Labels
from thetanet.data.scaling import Scaling
from thetanet.data.source import Source, is_source
from thetanet.data.streams import StreamedSamples
from thetanet.errors import InputError
from thetanet.training.checkpoints import Checkpoints, Keeper
from thetanet.training.early_stopping import Best
from thetanet.training.loop import Record, train
from thetanet.training.passes import Progress

_EPOCHS = 7, 80  # the least and the largest number of epochs="auto"; 7 are enough for MNIST
_MORE, _LONG = 6, 3  # times as many with deformed images, and with epochs="long"
_ALPHA, _SMALL = 0.5, (100, 10_000)  # alpha="auto", and the numbers of samples that it is good for


class TrainableNetwork(IncrementalNetwork):
    """What `ThetaNetClassifier` does, for arrays: its parameters and attributes are described there.

    The command line uses it as it is.
    """

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
        """Train; `ThetaNetClassifier.fit` describes the arguments."""
        arguments = (X, y, sample_weight)
        options = {
            "X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val,
            "checkpoint": checkpoint, "resume": resume,
        }  # fmt: skip
        return self._exhaust(partial(self.iter_fit, *arguments, **options))

    def iter_fit(
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
        progress: Progress | None = None,
    ) -> Iterator[Record]:
        """Train like `fit`, one epoch at a time: yield a `Record` after each, with the network ready to use.

        Leaving the loop early, by a break or an exception, keeps the network as it is then (the best one, if
        there is `patience`). `progress(seen, M)` is called about five times a second.
        """
        self._check_parameters()
        if hasattr(X, "__dask_graph__"):
            from thetanet.training.cluster import as_source

            X, y = as_source(X, y), None
        held = X_val, y_val, sample_weight_val
        if is_source(X):
            if y is not None or sample_weight is not None:
                raise InputError("y, sample_weight: a source has its labels itself; leave them out")
            labels, streamed = self._source(X, X_val)
            validation = self._validation(*held, labels, streamed)
            yield from self._descend(labels, streamed, validation, None, checkpoint, resume, progress)
            return
        X = self._inputs(X, y=y, reset=True)
        labels = Labels.of(y)
        weight = as_weights(sample_weight, X.shape[0])
        fraction = self.validation_fraction or (0.1 if self.patience is not None else 0)
        held_out: Any = None
        if X_val is None and y_val is None and fraction:
            if checkpoint is not None and self.random_state is None:
                raise InputError(
                    "checkpoint: with random_state=None other samples would be held out when training goes "
                    "on; give random_state=0, or X_val and y_val"
                )
            (X, y, weight), held_out = hold_out(X, y, weight, fraction, self._seed(), labels)
        targets = labels.targets(y)
        weight = labels.class_weights(self.class_weight, targets, weight)
        samples = self._samples(X, targets, labels, Scaling.of(X, self.scaling, weight), weight)
        if held_out is not None:
            X_val, y_val, weight = held_out
            validation = Samples(X_val, labels.targets(y_val), labels.D_O, samples.scaling, weight)
        else:
            validation = self._validation(*held, labels, samples)
            held_out = None if validation is None else (validation.X, y_val)
        yield from self._descend(labels, samples, validation, held_out, checkpoint, resume, progress)

    def _validation(self, X: Any, y: Any, weight: Any, labels: Labels, samples: Samples) -> Samples | None:
        """Return validation data, arrays or a source, as the engine sees it."""
        if hasattr(X, "__dask_graph__"):
            from thetanet.training.cluster import as_source

            X, y = as_source(X, y), None
        if is_source(X):
            for name, given in (("y_val", y), ("sample_weight_val", weight)):
                if given is not None:
                    has = "has its labels itself" if name == "y_val" else "has no weights"
                    raise InputError(f"{name}: a source {has}; leave it out")
            if self.scoring is not None:
                raise InputError("scoring: works on samples in memory; X_val is a source, read in parts")
            from thetanet.training.out_of_core import validation_of

            names = getattr(self, "feature_names_in_", None)
            return validation_of(X, labels, samples, names, self.verbose, self._look())
        if (X is None) != (y is None):
            raise InputError("X_val and y_val: give both or neither")
        if X is None:
            return None
        X = self._inputs(X)
        weight = as_weights(weight, X.shape[0], "sample_weight_val")
        return Samples(X, labels.targets(y), labels.D_O, samples.scaling, weight)

    def _look(self) -> Any:
        """Return what looks through a source: here, or on a cluster."""
        if self._engine().distributed:
            from thetanet.training import cluster

            return partial(cluster.look, self._engine())
        from thetanet.training.out_of_core import look_here

        return look_here

    def _source(self, source: Source, X_val: Any) -> tuple[Labels, StreamedSamples]:
        """Look through a source, and return what training needs to know of it."""
        from thetanet.training.out_of_core import streamed

        for name in ("deform", "teacher", "scoring"):
            if getattr(self, name) is not None:
                raise InputError(f"{name}: works on samples in memory; a source is read in parts")
        if X_val is None and (self.validation_fraction or self.patience is not None):
            raise InputError("validation_fraction, patience: give X_val, a source or arrays (with y_val)")
        labels, samples = streamed(source, self.scaling, self.class_weight, self.verbose, self._look())
        self.n_features_in_ = samples.D_I
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if source.feature_names is not None:
            self.feature_names_in_ = np.asarray(source.feature_names, dtype=object)
        return labels, samples

    def fit_targets(
        self,
        X: Any,
        L: Any,
        classes: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        L_val: Any = None,
        checkpoint: Any = None,
        resume: bool = False,
    ) -> Self:
        """Train on soft labels: targets L of shape (M, D_O), each anywhere in [0, 1].

        Where all rows of L sum to one, the outputs are classes, named by `classes` (0, 1, ... if left out),
        and `predict` answers one of them; two classes share one output, and one column is the share of the
        second class. Otherwise each output is a label of its own, as for multi-label y.
        """

        def records(progress: Progress | None = None) -> Iterator[Record]:
            self._check_parameters()
            checked = self._inputs(X, y=L, reset=True)
            labels, targets = Labels.of_targets(L, classes)
            weight = as_weights(sample_weight, checked.shape[0])
            if self.teacher is not None:
                raise InputError("teacher: fit_targets has its targets in L; use fit, or teacher=None")
            for name in ("class_weight", "scoring", "validation_fraction"):
                if getattr(self, name):
                    raise InputError(
                        f"{name}: needs labels, but fit_targets has targets; use fit, or {name}=None"
                    )
            if (X_val is None) != (L_val is None):
                raise InputError("X_val and L_val: give both or neither")
            if self.patience is not None and X_val is None:
                raise InputError(f"patience={self.patience}: needs X_val and L_val in fit_targets")
            samples = self._samples(
                checked, targets, labels, Scaling.of(checked, self.scaling, weight), weight
            )
            validation = None
            if X_val is not None:
                held = self._inputs(X_val, y=L_val)
                validation = Samples(held, Labels.of_targets(L_val, classes)[1], labels.D_O, samples.scaling)
            return self._descend(labels, samples, validation, None, checkpoint, resume, progress)

        return self._exhaust(records)

    def _exhaust(self, records: Callable[..., Iterator[Record]]) -> Self:
        if self.verbose:
            from thetanet.training.progress import TrainingProgress

            with TrainingProgress() as display:
                for record in records(progress=display.advance):
                    display.epoch(record)
        else:
            for _ in records():
                pass
        return self

    def _descend(
        self,
        labels: Labels,
        samples: Samples,
        validation: Samples | None,
        held_out: tuple[Any, ...] | None,
        checkpoint: Any,
        resume: bool,
        progress: Progress | None,
    ) -> Iterator[Record]:
        engine = self._engine()
        rng = np.random.default_rng(self._seed())
        if engine.distributed:
            from thetanet.training.cluster import spread

            samples, validation = spread(engine, samples), spread(engine, validation)
        batch_size = min(int(self.batch_size), samples.M)
        method, why = self.method_for(samples.X, batch_size)
        self.method_ = method
        together = samples.M if method.whole_passes else getattr(samples, "together", samples.M)
        epochs, alpha = self.number_of_epochs(together, batch_size), self._penalty(samples)
        if isinstance(samples, StreamedSamples):
            samples = samples.prepared_by(engine.preparation_for(method, alpha / samples.total_weight))
        if isinstance(validation, StreamedSamples):
            validation = validation.prepared_by(engine.preparation_for())
        learnt = self.init is not None or (self.warm_start and hasattr(self, "theta_"))
        theta = self._start(labels, samples, rng, engine.dtype)
        checkpoints = Checkpoints(checkpoint) if isinstance(checkpoint, (str, PathLike)) else checkpoint
        if resume and checkpoints is None:
            raise InputError("resume=True: say from where, by checkpoint=FOLDER")
        made_for = {
            "descent": repr(method), "hidden": theta.D_H, "epochs": epochs, "batch_size": batch_size,
            "alpha": alpha, "dtype": engine.dtype.name, "data": samples.digest(),
        }  # fmt: skip
        if (seed := self._named_seed()) is not None:  # else that of the checkpoint, whatever it was
            made_for["random_state"] = seed
        snapshot = None
        if checkpoints is not None and resume:
            snapshot = checkpoints.latest(made_for)
        elif checkpoints is not None:
            checkpoints.must_be_empty()
        self._begin(labels)
        for past in [] if snapshot is None else snapshot.history:
            self._remember(past)
        best = None
        if self.patience is not None:
            if validation is None:
                raise InputError(f"patience={self.patience}: needs X_val and y_val, or a validation_fraction")
            best = Best(int(self.patience), {} if snapshot is None else snapshot.extra)
        engine.warm_up(theta, samples, method, batch_size, alpha / samples.total_weight)
        chosen = f"{method} ({why})" if why else f"{method}"
        self.explanation_ = f"{chosen}; {engine.explain(theta, samples, batch_size)}"
        # Seconds count from here, after what is compiled once on a machine.
        keeper = Keeper(checkpoints, snapshot, made_for, dict if best is None else best.state)
        records = train(
            theta,
            samples,
            engine=engine,
            method=method,
            epochs=epochs,
            batch_size=batch_size,
            rng=rng,
            alpha=alpha,
            validation=validation,
            progress=progress,
            keeper=keeper,
            learnt=learnt,
        )
        scorer = self._scorer() if held_out is not None else None
        try:
            for record in records:
                self._fold(theta, samples)
                if scorer is not None and held_out is not None:
                    record = replace(record, val_score=float(scorer(self, *held_out[:2])))
                    keeper.history[-1] = record.as_dict()
                self._remember(record.as_dict())
                stop = False
                if best is not None:
                    score = -record.val_error if record.val_score is None else record.val_score  # type: ignore[operator]
                    stop = best.look(score, record.epoch, theta.flat)
                if self.on_epoch is not None:
                    stop = bool(self.on_epoch(record)) or stop
                self._ends = stop or record.epoch == epochs
                yield record
                if stop:
                    return
        finally:
            records.close()  # type: ignore[attr-defined]
            if not sys.is_finalizing():  # a loop that was left may be closed when Python ends
                if best is not None and best.theta is not None:
                    theta.flat[...] = best.theta
                    self.best_epoch_, self.best_score_ = best.epoch, best.score
                self._fold(theta, samples)

    def _scorer(self) -> Any:
        if self.scoring is None:
            return None
        from sklearn.metrics import get_scorer

        return get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring

    def _penalty(self, samples: Samples) -> float:
        if self.alpha != "auto":
            return float(self.alpha)
        # Weights of inputs that are not standardised can be of any size.
        standard = samples.scaling.kind == "standard"
        return _ALPHA if standard and _SMALL[0] <= samples.total_weight < _SMALL[1] else 0.0

    def number_of_epochs(self, M: int, batch_size: int) -> int:
        """Return how many epochs a training with M samples takes at most."""
        if not isinstance(self.epochs, str):
            return int(self.epochs)
        # The more steps an epoch has, the fewer epochs are needed (measured, see DECISIONS.md).
        steps = -(-M // batch_size)
        more = 1 if self.deform is None else _MORE  # images that are always new are never learnt by heart
        more *= _LONG if self.epochs == "long" else 1
        return more * int(np.clip(450 / steps**0.66, *_EPOCHS))
