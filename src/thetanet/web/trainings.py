"""Trainings that a browser starts: one at a time, each in a thread of its own, watched as it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.classifier.trainable import TrainableNetwork
from thetanet.data.dataset import Dataset
from thetanet.descent import resolve
from thetanet.errors import ThetanetError
from thetanet.images.deform import Deform
from thetanet.models.model_file import Model
from thetanet.training.loop import Record

_REMEMBERED = 20  # trainings; the oldest that ended are forgotten
HELD_OUT = 1 / 6  # of the samples, drawn at random
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
    net : TrainableNetwork or None
        The network as it was after the last epoch.
    """

    def __init__(self, number: int, parameters: dict[str, Any], settings: Any, seconds: float) -> None:
        self.number, self.settings, self.seconds = number, settings, seconds
        self._parameters, self._lock = parameters, threading.Lock()
        self.state, self.problem, self.seen = "compiling", "", 0.0
        self.records: list[dict[str, Any]] = []
        self.test_accuracy: float | None = None
        self.net: TrainableNetwork | None = None
        self.descent: str | None = None
        self.epochs, self._until = 0, float("inf")
        self._units = np.zeros((0, 0), np.int8)
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self.thread = threading.Thread(target=self._run, name=f"training-{number}", daemon=True)
        self._data: Dataset | None = None

    def start(self, data: Dataset) -> None:
        """Begin, in the thread of this training."""
        self._data = data
        self.thread.start()

    def pause(self) -> bool:
        """Hold a training that runs; tell whether it did."""
        return self._turn("running", "paused", self._go.clear)

    def resume(self) -> bool:
        """Go on after a pause; tell whether there was one."""
        return self._turn("paused", "running", self._go.set)

    def stop(self, why: str = "") -> bool:
        """Stop a training; tell whether it was under way."""
        self._stop.set()
        self._go.set()
        if any(self._turn(state, "stopping") for state in UNDER_WAY):
            self.problem = why
            return True
        return False

    def _turn(self, before: str, after: str, then: Callable[[], None] = lambda: None) -> bool:
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
        """Return what the API says of the training."""
        return {
            "id": self.number, "state": self.state, "problem": self.problem, "settings": self.settings,
            "epochs": self.epochs, "records": self.records, "test_accuracy": self.test_accuracy,
            "descent": self.descent,
        }  # fmt: skip

    def _run(self) -> None:
        try:
            self._train()
        except Exception as problem:  # whatever it is, the page must hear of it
            self._end("failed", str(problem) or type(problem).__name__)
        finally:
            self._data = None

    def _train(self) -> None:
        assert self._data is not None
        some = dict(self._parameters)
        samples, rate, deform = some.pop("samples"), some.pop("learning_rate"), some.pop("deform")
        descent = some.pop("descent")
        net = TrainableNetwork(
            **some,
            descent=descent if rate is None else resolve(descent, learning_rate=rate),
            deform=Deform() if deform else None,
            validation_fraction=HELD_OUT,
        )
        X, y = self._data.X, self._data.y
        if samples is not None and samples < len(X):
            chosen = np.random.default_rng(some["random_state"]).permutation(len(X))[:samples]
            X, y = X[chosen], y[chosen]
        fit = max(1, round(len(X) * (1 - HELD_OUT)))
        self.epochs = net.number_of_epochs(fit, min(net.batch_size, fit))
        self._until = time.monotonic() + self.seconds
        records = net.iter_fit(X, y, progress=self._progress)
        stopped = False
        try:
            for record in records:
                self._remember(net, record)
                if record.epoch < self.epochs:
                    self._wait()
        except _Stopped:
            stopped = True
        finally:
            records.close()  # type: ignore[attr-defined]
        if self.net is not None:
            try:
                if self._data.test is not None:
                    measure = self.net.measure(*self._data.test)
                    self.test_accuracy = measure.correct / measure.weight
            except (ValueError, ThetanetError) as problem:  # test data that do not fit are not its fault
                self.problem = f"the test images could not be measured: {problem}"
        self._end("stopped" if stopped else "done", self.problem)

    def _progress(self, seen: int, M: int) -> None:
        self._turn("compiling", "running")
        self.seen = seen / M
        self._wait()

    def _wait(self) -> None:
        """Wait while there is a pause; leave when it is to stop, or its time is over."""
        self._go.wait(min(max(0.0, self._until - time.monotonic()), threading.TIMEOUT_MAX))
        if time.monotonic() >= self._until:
            self.stop(f"a training may take {self.seconds / 60:g} minutes here")
        if self._stop.is_set():
            raise _Stopped

    def _remember(self, net: TrainableNetwork, record: Record) -> None:
        # A copy, so that further training does not change what is shown.
        self.net = TrainableNetwork.from_model(Model(net.theta_.copy(), classes=net.classes_))
        self.descent = repr(net.method_)
        W = np.asarray(net.theta_.W1[:, :_SHOWN], np.float64)
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
        self._all: dict[int, Training] = {}
        self._lock = threading.Lock()
        self._next = 1

    def start(self, parameters: dict[str, Any], settings: Any = None) -> Training:
        """Start a training.

        Parameters
        ----------
        parameters : dict
            Of `TrainableNetwork`; besides, `samples`, `rate` and whether to `deform`.
        settings : object
            What its `as_dict` shows as such.

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
            training = Training(self._next, parameters, settings, self._seconds)
            self._next += 1
            self._all[training.number] = training
            for number in list(self._all)[:-_REMEMBERED]:
                del self._all[number]
            training.start(self._data)
            return training

    def get(self, number: int) -> Training | None:
        """Return a training by its number."""
        return self._all.get(number)

    def all(self) -> list[Training]:
        """Return the trainings that are remembered, the oldest first."""
        return list(self._all.values())

    def close(self, patience: float = 1.0) -> bool:
        """Stop what is under way; tell whether all threads have ended in time."""
        threads = [training.thread for training in self.all() if training.thread.is_alive()]
        for training in self.all():
            training.stop("the server ends")
        until = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
