"""Checkpoints: where a training stands, on disk, so that it can go on as if it had never been stopped."""

from __future__ import annotations

import io
import json
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.checks import check_number
from thetanet.errors import CheckpointError, CheckpointWarning
from thetanet.models.atomic import write_atomically

_SECONDS = 30.0  # between checkpoints if the user names no number of steps
# What damaged bytes make zipfile, NumPy and json raise (RuntimeError: flags that mean encryption or an
# unknown compression).
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


@dataclass
class Snapshot:
    """Where a training stands.

    Attributes
    ----------
    fingerprint : dict
        What must be the same for the training that goes on: method, batch size, data, ...
    theta : array
        Theta, in the coordinates of the scaled inputs.
    state : dict
        What the method remembers: arrays and numbers.
    epoch : int
        Epochs that are complete.
    rng : dict
        State of the random generator at the beginning of the epoch under way.
    measures : array of shape (steps, 3)
        Of the mini-batches of the epoch under way that were taken.
    history : list of dict
        The records of complete epochs.
    seconds : float
        Time spent in training.
    extra : dict
        Arrays and numbers of whoever trains, e.g. the best Theta so far.
    """

    fingerprint: dict[str, Any]
    theta: NDArray[Any]
    state: dict[str, Any]
    epoch: int
    rng: dict[str, Any]
    measures: NDArray[np.float64]
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """A folder of checkpoints. Each is whole or not there, whenever the process is killed.

    Parameters
    ----------
    folder : path
        Is made if it is missing.
    every : int, optional
        Mini-batch steps (for whole-pass methods: iterations) from one checkpoint to the next. None: about
        every half minute. A training that takes all of its epochs leaves one at the end.
    keep : int
        How many of the newest to keep.

    Notes
    -----
    The files are .npz archives: arrays, and one text of JSON; never pickle.
    """

    def __init__(self, folder: str | PathLike[str], every: int | None = None, keep: int = 3) -> None:
        if every is not None:
            check_number("every", every, least=1, whole=True)
        check_number("keep", keep, least=1, whole=True)
        self.folder, self.every, self.keep = Path(folder), every, int(keep)
        self._warned = False
        self._last = time.monotonic()

    def due(self, steps: int) -> bool:
        """Tell whether to save after so many steps of the whole training."""
        if self.every is not None:
            return steps % self.every == 0
        return time.monotonic() - self._last >= _SECONDS

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint; if that fails, warn (once) and go on."""
        self._last = time.monotonic()
        name = f"checkpoint-{snapshot.epoch:06d}-{len(snapshot.measures):09d}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(str(self.folder / name), [_encode(snapshot)])
            for old in self._files()[self.keep :]:
                old.unlink()
            self._warned = False
        except OSError as problem:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"{self.folder}: no checkpoint could be written ({problem}); training goes on without",
                    CheckpointWarning,
                    stacklevel=2,
                )

    def latest(self, fingerprint: dict[str, Any]) -> Snapshot | None:
        """Return the newest checkpoint that can be read; None if there is none at all.

        Raises
        ------
        CheckpointError
            If it was made for another training, or there are checkpoints but all are damaged.
        """
        files = self._files()
        for file in files:
            try:
                snapshot = _decode(file)
            except _UNREADABLE as problem:
                warnings.warn(
                    f"{file}: damaged ({problem}); an older one is tried", CheckpointWarning, stacklevel=2
                )
                continue
            for name, value in json.loads(json.dumps(fingerprint)).items():
                before = snapshot.fingerprint.get(name)
                if before != value:
                    raise CheckpointError(
                        f"{file}: was made with {name}={before}, not {value}: resume with what it was made "
                        "with, or choose another folder"
                    )
            return snapshot
        if files:
            raise CheckpointError(f"{self.folder}: all checkpoints are damaged; empty it to start afresh")
        return None

    def must_be_empty(self) -> None:
        """Refuse a folder that holds checkpoints, which are newer than the first of a training that begins.

        Raises
        ------
        CheckpointError
            If there are any.
        """
        if self._files():
            raise CheckpointError(
                f"{self.folder}: holds the checkpoints of an earlier training: resume=True (--resume) goes "
                "on from them; to begin afresh empty it, or choose another folder"
            )

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("checkpoint-*-*.npz"), reverse=True)


@dataclass
class CheckpointWriter:
    """Writes checkpoints of a training, and knows the one that it goes on from.

    Attributes
    ----------
    checkpoints : Checkpoints, optional
        Where to write; None writes nothing.
    snapshot : Snapshot, optional
        Where to go on.
    fingerprint : dict
        What must be the same for the training that goes on.
    extra : callable
        Returns arrays and numbers to be kept with each checkpoint.
    """

    checkpoints: Checkpoints | None = None
    snapshot: Snapshot | None = None
    fingerprint: dict[str, Any] = field(default_factory=dict)
    extra: Callable[[], dict[str, Any]] = dict
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = 0.0
        if self.snapshot is not None:
            before = self.snapshot.seconds
            self.history = list(self.snapshot.history)
        self._began = time.perf_counter() - before

    @property
    def seconds(self) -> float:
        """Time spent in training."""
        return time.perf_counter() - self._began

    @property
    def epoch(self) -> int:
        """Epochs that are complete at the start."""
        return 0 if self.snapshot is None else self.snapshot.epoch

    def steps_until_next(self, before: int, steps: int) -> int | None:
        """Return the steps to the next checkpoint, `steps` after `before`, if that is known."""
        every = None if self.checkpoints is None else self.checkpoints.every
        return None if every is None else every - (before + steps) % every

    def save(
        self, steps: int, theta: Callable[[], Any], state: Callable[[], dict[str, Any]], epoch: int,
        rng: Mapping[str, Any], measures: Any = None, now: bool = False,
    ) -> None:  # fmt: skip
        """Write a checkpoint if one is due after so many steps, or `now`."""
        if self.checkpoints is None or not (now or self.checkpoints.due(steps)):
            return
        self.checkpoints.save(
            Snapshot(
                fingerprint=self.fingerprint, theta=theta(), state=state(), epoch=epoch, rng=dict(rng),
                measures=np.zeros((0, 3)) if measures is None else measures,
                history=list(self.history), seconds=self.seconds,
                extra=self.extra(),
            )
        )  # fmt: skip


def _encode(snapshot: Snapshot) -> memoryview:
    arrays = {"theta": snapshot.theta, "measures": snapshot.measures}
    numbers: dict[str, Any] = {"state": {}, "extra": {}}
    for group in ("state", "extra"):
        for name, value in getattr(snapshot, group).items():
            if isinstance(value, np.ndarray):
                arrays[f"{group}.{name}"] = value
            else:
                numbers[group][name] = value
    for name in ("fingerprint", "epoch", "rng", "history", "seconds"):
        numbers[name] = getattr(snapshot, name)
    text = json.dumps(numbers, default=lambda number: number.item()).encode()
    file = io.BytesIO()
    np.savez(file, json=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]
    return file.getbuffer()


def _decode(path: Path) -> Snapshot:
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    numbers = json.loads(arrays.pop("json").tobytes().decode())
    groups: dict[str, dict[str, Any]] = {"state": numbers.pop("state"), "extra": numbers.pop("extra")}
    theta, measures = arrays.pop("theta"), arrays.pop("measures")
    for name, value in arrays.items():
        group, _, key = name.partition(".")
        groups[group][key] = value
    fields: dict[str, Any] = {**groups, **numbers}
    return Snapshot(theta=theta, measures=measures, **fields)
