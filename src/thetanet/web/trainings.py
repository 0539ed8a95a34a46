"""Trainings that a browser starts: one at a time, each in its thread, watched as it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.dataset import Dataset
from thetanet.data.hold_out import draw_rows
from thetanet.data.source import Source
from thetanet.data.survey import Survey, survey_source
from thetanet.errors import ThetanetError
from thetanet.models.fitted import FittedNetwork
from thetanet.training.data import TrainingData
from thetanet.training.record import Record
from thetanet.training.settings import TrainingSettings
from thetanet.training.trainer import Trainer

_REMEMBERED = 20  # trainings; the oldest that ended are forgotten
VALIDATION_FRACTION = 1 / 6  # of the samples, drawn at random
_SHOWN = 100  # hidden units that can be watched
UNDER_WAY = ("compiling", "running", "paused", "stopping")


class BusyError(ThetanetError):
    """Another training is under way."""


class _Stopped(Exception):
    """Leaves a training in the middle of an epoch."""


class Training:
    """One training: its settings, its state, a record of each epoch, and the network it makes.

    Attributes
    ----------
    state : str
        compiling, running, paused, stopping; at the end done, stopped or failed.
    records : list of dict
        One for each epoch; it only grows, so that whoever has seen n of them goes on at n.
    seen : float
        Share of the present epoch that is done.
    problem : str
        Why it failed, or why it was stopped.
    network : FittedNetwork or None
        The network as it was after the last epoch.

    Parameters
    ----------
    number : int
        Its number.
    settings : TrainingSettings
        How to train.
    draw : callable
        Returns the samples to learn from; is called in the thread of the training.
    data : Dataset
        Its test samples are measured at the end.
    seconds : float
        The longest that it may take.
    shown : object
        What `as_dict` shows as its settings.
    """

    def __init__(
        self,
        number: int,
        settings: TrainingSettings,
        draw: Callable[[], Source],
        data: Dataset,
        seconds: float,
        shown: Any = None,
    ) -> None:
        self.number, self.settings, self.seconds = number, settings, seconds
        self._draw, self._data, self._shown, self._lock = draw, data, shown, threading.Lock()
        self.state, self.problem, self.seen = "compiling", "", 0.0
        self.records: list[dict[str, Any]] = []
        self.test_accuracy: float | None = None
        self.network: FittedNetwork | None = None
        self.descent: str | None = None
        self.epochs, self._until = 0, float("inf")
        self._units = np.zeros((0, 0), np.int8)
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self.thread = threading.Thread(target=self._run, name=f"training-{number}", daemon=True)

    def start(self) -> None:
        """Begin, in the thread of this training."""
        self.thread.start()

    def pause(self) -> bool:
        """Pause a training that runs, and return whether it did."""
        return self._change_state("running", "paused", self._go.clear)

    def resume(self) -> bool:
        """Go on after a pause, and return whether there was one."""
        return self._change_state("paused", "running", self._go.set)

    def stop(self, why: str = "") -> bool:
        """Stop a training, and return whether it was under way."""
        self._stop.set()
        self._go.set()
        if any(self._change_state(state, "stopping") for state in UNDER_WAY):
            self.problem = why
            return True
        return False

    def _change_state(self, before: str, after: str, then: Callable[[], None] = lambda: None) -> bool:
        with self._lock:
            if self.state != before:
                return False
            self.state = after
            then()
            return True

    def _end(self, state: str, problem: str) -> None:
        with self._lock:  # a stop in the same instant must not come after it
            self.state, self.problem = state, problem

    def units(self) -> NDArray[np.int8]:
        """Return weights W1[:, j] of the first units as they were after the last epoch.

        Shape (n, D_I); -127 to 127, each unit by its own largest.
        """
        return self._units

    def as_dict(self) -> dict[str, Any]:
        """Return the training as the API shows it."""
        return {
            "id": self.number, "state": self.state, "problem": self.problem, "settings": self._shown,
            "epochs": self.epochs, "records": self.records, "test_accuracy": self.test_accuracy,
            "descent": self.descent,
        }  # fmt: skip

    def _run(self) -> None:
        try:
            self._train()
        except Exception as problem:  # whatever it is, the page must show it
            self._end("failed", str(problem) or type(problem).__name__)

    def _train(self) -> None:
        settings = self.settings
        data = TrainingData.from_source(self._draw(), settings)
        samples = data.samples.M
        self.epochs = settings.epochs_for(samples, min(settings.batch_size, samples))
        self._until = time.monotonic() + self.seconds
        trainer = Trainer(settings)
        records = trainer.run(data, progress=self._progress)
        stopped = False
        try:
            for record in records:
                self._remember(trainer, record)
                if record.epoch < self.epochs:
                    self._wait()
        except _Stopped:
            stopped = True
        finally:
            records.close()  # type: ignore[attr-defined]
        if self.network is not None and self._data.test is not None:
            try:
                measure = self.network.measure(self._data.test)
                self.test_accuracy = measure.correct / measure.weight
            except (ValueError, ThetanetError) as problem:  # test data that do not fit are not its fault
                self.problem = f"the test images could not be measured: {problem}"
        self._end("stopped" if stopped else "done", self.problem)

    def _progress(self, seen: int, M: int) -> None:
        self._change_state("compiling", "running")
        self.seen = seen / M
        self._wait()

    def _wait(self) -> None:
        """Wait while there is a pause; leave when it is to stop, or its time is over."""
        self._go.wait(min(max(0.0, self._until - time.monotonic()), threading.TIMEOUT_MAX))
        if time.monotonic() >= self._until:
            self.stop(f"a training may take {self.seconds / 60:g} minutes here")
        if self._stop.is_set():
            raise _Stopped

    def _remember(self, trainer: Trainer, record: Record) -> None:
        self.network, self.descent = trainer.network, repr(trainer.method)
        W = np.asarray(self.network.theta.W1[:, :_SHOWN], np.float64)
        largest = np.maximum(np.abs(W).max(axis=0), 1e-30)
        self._units = np.ascontiguousarray(np.rint(127 * W / largest).T.astype(np.int8))
        self.seen = 0.0
        # JSON knows no NaN
        self.records.append(
            {k: None if v is None or v != v else v for k, v in record.as_dict().items() if k != "val_score"}
        )


class Trainings:
    """The trainings of a server: at most one under way, the last twenty remembered.

    Parameters
    ----------
    data : Dataset
        What all of them learn.
    seconds : float
        The longest that one may take.
    """

    def __init__(self, data: Dataset, seconds: float = 1800.0) -> None:
        self._data, self._seconds = data, seconds
        self._survey: Survey | None = None
        self._all: dict[int, Training] = {}
        self._lock = threading.Lock()
        self._next = 1

    def start(self, settings: TrainingSettings, count: int | None = None, shown: Any = None) -> Training:
        """Start a training.

        Parameters
        ----------
        settings : TrainingSettings
            How to train.
        count : int or None
            How many images to draw at random, some of them held out; None for all.
        shown : object
            What its `as_dict` shows as settings.

        Raises
        ------
        BusyError
            If one is under way.
        """
        with self._lock:
            for other in self._all.values():
                if other.state in UNDER_WAY:
                    raise BusyError(
                        f"training {other.number} is {other.state}: stop it, or wait until it has ended"
                    )
            draw = partial(self._draw, count, settings.fixed_seed or 0)
            training = Training(self._next, settings, draw, self._data, self._seconds, shown)
            self._next += 1
            self._all[training.number] = training
            for number in list(self._all)[:-_REMEMBERED]:
                del self._all[number]
            training.start()
            return training

    def _draw(self, count: int | None, seed: int) -> Source:
        """Return the samples of a training; the first one surveys the source."""
        if self._survey is None:
            self._survey = survey_source(self._data.training)
        return draw_rows(self._data.training, self._survey, count, seed)

    def get(self, number: int) -> Training | None:
        """Return a training by its number."""
        return self._all.get(number)

    def all(self) -> list[Training]:
        """Return the trainings that are remembered, the oldest first."""
        return list(self._all.values())

    def close(self, patience: float = 1.0) -> bool:
        """Stop what is under way, and return whether all threads have ended in time."""
        threads = [training.thread for training in self.all() if training.thread.is_alive()]
        for training in self.all():
            training.stop("the server ends")
        until = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
