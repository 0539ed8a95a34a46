"""Live lines in a terminal, for trainings and whatever else takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from thetanet.training.record import Record

_SOON = 2.0  # seconds; what is done by then needs no live line


def format_figures(record: Record) -> str:
    """Return the figures of one epoch as a short text."""
    text = f"E {record.error:.4f}  accuracy {record.accuracy:.2%}"
    if record.val_error is not None and record.val_accuracy is not None:
        text += f"  validation: E {record.val_error:.4f}  accuracy {record.val_accuracy:.2%}"
    return text


class TrainingProgress:
    """A progress bar for the samples of an epoch, and a line for each epoch that ended.

    Where there is no terminal, only the lines are printed.
    """

    def __init__(self, epochs: int | None = None, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._epochs = epochs
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(self._title(1), total=None)

    def _title(self, epoch: int) -> str:
        return f"epoch {epoch}" + (f"/{self._epochs}" if self._epochs else "")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.stop()

    def advance(self, seen: int, M: int) -> None:
        """Show how far the epoch is; fits the `progress` argument of training."""
        self._bar.update(self._task, completed=seen, total=M)

    def epoch(self, record: Record) -> None:
        """Print the figures of an epoch and begin the next one."""
        self._console.print(
            f"{self._title(record.epoch)}  {format_figures(record)}  {record.seconds:.1f} s",
            highlight=False,
            soft_wrap=True,
        )
        self._bar.update(self._task, description=self._title(record.epoch + 1), completed=0)


@contextmanager
def show_progress(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar in the terminal, for what takes over two seconds; yield who is told (n, of how many)."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
        TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task(title, total=None)
    began = time.monotonic()

    def advance(done: int, total: int) -> None:
        if not bar.live.is_started and time.monotonic() - began > _SOON:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def show_status() -> Iterator[Callable[[str], None]]:
    """Show what is being done in the terminal, if all takes over two seconds; yield who is told."""
    console = Console(stderr=True)
    status = console.status("")
    timer = Timer(_SOON if console.is_terminal else 1e6, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda step: status.update(f"{step} ...")
    finally:
        timer.cancel()
        if console.is_terminal:
            timer.join()
            status.stop()
