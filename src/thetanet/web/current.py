"""The network that the page shows: its numbers for the browser, and what it gets wrong."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np

from thetanet.data.files import Dataset
from thetanet.errors import InputError
from thetanet.report import Evaluation, evaluation
from thetanet.trainable import TrainableNetwork

SIDE = 28  # of the images that the page draws
_MOST_MISTAKES = 200


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
        self._first = net, name
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
        if len(net.classes_) != theta.D_O:
            raise InputError(
                f"{name}: has {theta.D_O} output for {len(net.classes_)} classes; the page shows networks "
                "with one output a class"
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
        }  # fmt: skip

    def evaluate(self) -> dict[str, Any] | None:
        """Return figures on the test data; None if there are none."""
        if self._data.test is None:
            return None
        with self._lock:
            net, found, version = self.net, self._evaluation, self.version
        if found is None:
            found = evaluation(net, *self._data.test, worst=_MOST_MISTAKES)
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
                for mistake in found.worst
            ],
        }  # fmt: skip

    def images(self, rows: list[int]) -> bytes:
        """Return test images, 784 bytes each.

        Raises
        ------
        InputError
            If there is no such row.
        """
        X = self._data.X_test
        if X is None or X.shape[1] != SIDE * SIDE:
            raise InputError("the data has no test images")
        if rows and max(rows) >= len(X):
            raise InputError(f"rows: the test images are 0 to {len(X) - 1:,}; {max(rows):,} is none of them")
        return np.ascontiguousarray(X[rows], np.uint8).tobytes()
