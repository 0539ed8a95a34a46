"""The network that the page shows: its numbers for the browser, and what it gets wrong."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from thetanet.classifier.trainable import TrainableNetwork
from thetanet.data.dataset import Dataset
from thetanet.errors import InputError
from thetanet.evaluation.figures import Evaluation, evaluation

SIDE = 28  # of the images that the page draws
_SUREST, _OF_EACH = 200, 8  # mistakes that are shown: the surest of all, and some of each pair of classes


class Current:
    """The network on show; it may be replaced by another at any time, also from another thread.

    Parameters
    ----------
    net : TrainableNetwork
        Fitted, for images of 28 x 28 pixels, one output a class.
    name : str
        Of the model.
    data : Dataset
        Test data for the mistakes.
    """

    def __init__(self, net: TrainableNetwork, name: str, data: Dataset) -> None:
        self._data, self._lock = data, threading.Lock()
        self._first, self._looking = (net, name), threading.Lock()
        tested = [] if data.test is None else [(*data.test, " in its test part")]
        for X, y, part in [(data.X, data.y, ""), *tested]:
            if X.shape[1] != SIDE * SIDE or X.dtype != np.uint8 or np.ndim(y) != 1:
                raise InputError(
                    f"{data.name}: has {X.shape[1]} inputs of {X.dtype} and labels of {np.ndim(y)} dimensions"
                    f"{part}; the page needs {SIDE} x {SIDE} pixels from 0 to 255 as uint8, one label each"
                )
        self.show(net, name)

    def show(self, net: TrainableNetwork, name: str) -> None:
        """Show another network.

        Raises
        ------
        InputError
            If it is for other inputs, or has one output for two classes.
        """
        theta = net.theta_
        if theta.D_I != SIDE * SIDE:
            raise InputError(
                f"{name}: takes {theta.D_I} inputs; the page draws {SIDE} x {SIDE} = {SIDE * SIDE} pixels"
            )
        if len(net.classes_) != theta.D_O or net.multilabel_:
            raise InputError(
                f"{name}: has {theta.D_O} outputs for {len(net.classes_)} labels; the page shows networks "
                "with one output a class, of which one is right"
            )
        numbers = np.ascontiguousarray(theta.flat, "<f4").tobytes()
        version = hashlib.sha256(numbers).hexdigest()[:16]
        with self._lock:
            self.net, self.name, self.version, self.numbers = net, name, version, numbers
            self._evaluation: Evaluation | None = None

    def show_first(self) -> None:
        """Go back to the network that the server was started with."""
        self.show(*self._first)

    def as_dict(self) -> dict[str, Any]:
        """Return what the API says of the network."""
        D_I, D_H, D_O = self.net.theta_.shape
        return {
            "name": self.name, "version": self.version, "D_I": D_I, "D_H": D_H, "D_O": D_O,
            "classes": [str(label) for label in self.net.classes_.tolist()],
            "first": self.net is self._first[0],
            "tests": 0 if self._data.X_test is None else len(self._data.X_test),
        }  # fmt: skip

    def evaluate(self) -> dict[str, Any] | None:
        """Return figures on the test data; None if there are none."""
        if self._data.test is None:
            return None
        with self._looking:  # one at a time: the others find what it has found
            with self._lock:
                net, found, version = self.net, self._evaluation, self.version
            if found is None:
                X, y = self._data.test
                found = evaluation(net, X, y, worst=len(y))
                with self._lock:
                    if version == self.version:
                        self._evaluation = found
        return {
            "version": version, "samples": found.samples, "mistakes": found.mistakes,
            "accuracy": found.accuracy, "error": found.error,
            "calibration_error": found.calibration_error,
            "labels": [str(label) for label in found.labels], "confusion": found.confusion,
            "worst": [
                {**mistake, "true": str(mistake["true"]), "predicted": str(mistake["predicted"])}
                for mistake in _some(found.worst)
            ],
        }  # fmt: skip

    def file(self) -> bytes:
        """Return the network as a model file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            self.net.save(path)
            return path.read_bytes()

    def labels(self, rows: list[int]) -> list[str]:
        """Return the labels of test images; raises as `images` does."""
        self.images(rows)
        assert self._data.y_test is not None
        return [str(label) for label in np.asarray(self._data.y_test)[rows].tolist()]

    def images(self, rows: list[int]) -> bytes:
        """Return test images, 784 bytes each.

        Raises
        ------
        InputError
            If there is no such row.
        """
        X = self._data.X_test
        if X is None or not len(X):
            raise InputError("the data has no test images")
        if rows and max(rows) >= len(X):
            raise InputError(f"rows: the test images are 0 to {len(X) - 1:,}; {max(rows):,} is none of them")
        return np.ascontiguousarray(X[rows], np.uint8).tobytes()


def _some(mistakes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the surest mistakes, and some for each pair of a true class and an answer."""
    shown: list[dict[str, Any]] = []
    pairs: Counter[tuple[Any, Any]] = Counter()
    for n, mistake in enumerate(mistakes):
        pair = mistake["true"], mistake["predicted"]
        pairs[pair] += 1
        if n < _SUREST or pairs[pair] <= _OF_EACH:
            shown.append(mistake)
    return shown
