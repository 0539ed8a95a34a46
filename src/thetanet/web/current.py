"""The network that the page shows: its numbers for the browser, and what it gets wrong."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from thetanet.data.dataset import Dataset
from thetanet.data.source import Rows
from thetanet.errors import InputError
from thetanet.evaluation.figures import Evaluation, evaluate
from thetanet.models.fitted import FittedNetwork, network_of

SIDE = 28  # of the images that the page draws
_WORST, _PER_PAIR = 200, 8  # mistakes that are shown: the worst of all, and some of each pair of classes


class Current:
    """The network on show; it may be replaced by another at any time, also from another thread.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        For images of 28 x 28 pixels, one output a class.
    name : str
        Of the model.
    data : Dataset
        Its test samples are read once, and kept in memory.

    Raises
    ------
    InputError
        If the network or the data are for anything else than 28 x 28 pixels, one label each.
    """

    def __init__(self, net: Any, name: str, data: Dataset) -> None:
        self._lock, self._evaluating = threading.Lock(), threading.Lock()
        self._first = network_of(net), name
        _check_images(data.name, data.training.read_head(1), "")
        self._test: Rows | None = None
        if data.test is not None:
            self._test = data.test.read_all()
            _check_images(data.name, self._test, " in its test part")
        self.show(*self._first)

    def show(self, network: FittedNetwork, name: str) -> None:
        """Show another network.

        Raises
        ------
        InputError
            If it is for other inputs, or has one output for two classes.
        """
        theta = network.theta
        if theta.D_I != SIDE * SIDE:
            raise InputError(
                f"{name}: takes {theta.D_I} inputs; the page draws {SIDE} x {SIDE} = {SIDE * SIDE} pixels"
            )
        if len(network.classes) != theta.D_O or network.multilabel:
            raise InputError(
                f"{name}: has {theta.D_O} outputs for {len(network.classes)} labels; the page shows networks "
                "with one output a class, of which one is right"
            )
        numbers = np.ascontiguousarray(theta.flat, "<f4").tobytes()
        version = hashlib.sha256(numbers).hexdigest()[:16]
        with self._lock:
            self.network, self.name, self.version, self.numbers = network, name, version, numbers
            self._evaluation: Evaluation | None = None

    def show_first(self) -> None:
        """Go back to the network that the server was started with."""
        self.show(*self._first)

    def as_dict(self) -> dict[str, Any]:
        """Return what the API says of the network."""
        D_I, D_H, D_O = self.network.theta.shape
        return {
            "name": self.name, "version": self.version, "D_I": D_I, "D_H": D_H, "D_O": D_O,
            "classes": [str(label) for label in self.network.classes.tolist()],
            "first": self.network is self._first[0],
            "tests": 0 if self._test is None else self._test.M,
        }  # fmt: skip

    def evaluate(self) -> dict[str, Any] | None:
        """Return figures on the test data; None if there are none."""
        if self._test is None:
            return None
        with self._evaluating:  # one at a time: the others get the result of the first
            with self._lock:
                network, evaluation, version = self.network, self._evaluation, self.version
            if evaluation is None:
                evaluation = evaluate(network, self._test.X, self._test.y, worst=None)
                with self._lock:
                    if version == self.version:
                        self._evaluation = evaluation
        return {
            "version": version, "samples": evaluation.samples, "mistakes": evaluation.mistakes,
            "accuracy": evaluation.accuracy, "error": evaluation.error,
            "calibration_error": evaluation.calibration_error,
            "labels": [str(label) for label in evaluation.labels], "confusion": evaluation.confusion,
            "worst": [
                {**mistake, "true": str(mistake["true"]), "predicted": str(mistake["predicted"])}
                for mistake in _select_mistakes(evaluation.worst)
            ],
        }  # fmt: skip

    def file(self) -> bytes:
        """Return the network as a model file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            self.network.save(path)
            return path.read_bytes()

    def labels(self, places: list[int]) -> list[str]:
        """Return the labels of test images; raises as `images` does."""
        return [str(label) for label in self._take(places).y.tolist()]

    def images(self, places: list[int]) -> bytes:
        """Return test images, 784 bytes each.

        Raises
        ------
        InputError
            If there is no such row.
        """
        return np.ascontiguousarray(self._take(places).X).tobytes()

    def _take(self, places: list[int]) -> Rows:
        test = self._test
        if test is None:
            raise InputError("the data has no test images")
        if places and max(places) >= test.M:
            raise InputError(
                f"rows: the test images are 0 to {test.M - 1:,}; {max(places):,} is none of them"
            )
        return test.take(places)


def _check_images(name: str, rows: Rows, part: str) -> None:
    X, y = rows.X, rows.y
    if not isinstance(X, np.ndarray) or X.shape[1] != SIDE * SIDE or X.dtype != np.uint8 or y.ndim != 1:
        raise InputError(
            f"{name}: has {X.shape[1]} inputs of {X.dtype} and labels of {y.ndim} dimensions{part}; the page "
            f"needs {SIDE} x {SIDE} pixels from 0 to 255 as uint8, one label each"
        )


def _select_mistakes(mistakes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the worst mistakes, and some for each pair of a true class and an answer."""
    shown: list[dict[str, Any]] = []
    pairs: Counter[tuple[Any, Any]] = Counter()
    for n, mistake in enumerate(mistakes):
        pair = mistake["true"], mistake["predicted"]
        pairs[pair] += 1
        if n < _WORST or pairs[pair] <= _PER_PAIR:
            shown.append(mistake)
    return shown
