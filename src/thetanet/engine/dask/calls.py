"""Calls to a cluster that are made again when workers die, and end with a clear error when it is gone."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import dask
from distributed import KilledWorker
from distributed.comm.core import CommClosedError

from thetanet.engine.dask import tasks
from thetanet.errors import ClusterError

_LOOK = 5.0  # seconds without a result after which we ask whether the cluster is still there
_ANSWER = 12.0  # seconds that the scheduler has to answer, or to come back
_WORKERS = 120.0  # seconds without any worker
_ATTEMPTS = 5  # of a call: a task is given up by Dask only after several workers died with it
_LOST = (asyncio.CancelledError, concurrent.futures.CancelledError, KilledWorker, CommClosedError)
_GONE = {"cancelled", "error", "lost"}

Future = Any  # of Dask

Make = Callable[[list[Any]], tasks.Group]


class Calls:
    """Sends tasks to a Dask cluster and waits for what they return."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.address = str(client.scheduler.address)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future:
        """Send one task, under a name of its own."""
        name = f"thetanet-{function.__name__}-{uuid4().hex}"
        # Theta is an argument of one task in a pass, however large it is; that is no mistake to warn of.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "100GB"}):
            return self.client.submit(function, *arguments, key=name, pure=False)

    def results(self, send: Callable[[], Sequence[Future]]) -> list[Any]:
        """Return the results of the tasks that `send` submits; submits them again if they are lost.

        Raises
        ------
        ClusterError
            If the scheduler cannot be reached, there are no workers, or they die again and again.
        """
        reason: BaseException | None = None
        for attempt in range(_ATTEMPTS):
            self._wait_until_connected()
            try:
                return [self._wait(future) for future in send()]
            except _LOST as problem:
                reason = problem
            except ClusterError:
                raise
            except Exception as problem:
                if self.client.status == "running":
                    raise  # of the task itself
                reason = problem
            time.sleep(0.1 * attempt)
        raise ClusterError(
            f"the workers of {self.address} died {_ATTEMPTS} times over the same work ({reason}); they may "
            "lack memory: give them more, or use DaskEngine(keep=False). Go on from the last checkpoint with "
            "resume=True (--resume)"
        )

    def _wait(self, future: Future) -> Any:
        alone = time.monotonic()
        while True:
            try:
                return future.result(timeout=_LOOK)
            except TimeoutError:
                if future.done():
                    continue
                if self._workers():
                    alone = time.monotonic()
                elif time.monotonic() - alone > _WORKERS:
                    raise ClusterError(
                        f"{self.address} has had no workers for {_WORKERS:.0f} s: start some (dask worker "
                        f"{self.address}), and go on from the last checkpoint with resume=True (--resume)"
                    ) from None

    def _workers(self) -> int:
        """Return the number of workers, which the scheduler is asked for."""
        self._wait_until_connected()
        try:
            return len(self.client.sync(self.client.scheduler.ncores, workers=None, callback_timeout=_ANSWER))
        except (OSError, TimeoutError, *_LOST) as problem:
            raise self._gone() from problem

    def _wait_until_connected(self) -> None:
        began = time.monotonic()
        while self.client.status != "running":
            if self.client.status == "closed" or time.monotonic() - began > _ANSWER:
                raise self._gone()
            time.sleep(0.05)

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"the scheduler of the cluster, {self.address}, does not answer any more: it was stopped, or the "
            "network is cut. Start it again, and go on from the last checkpoint with resume=True (--resume)"
        )


class Held:
    """Groups of samples that the workers hold, and how to make each of them again.

    Dask makes a group again where its worker died; where all is lost (the scheduler began anew), or Dask has
    given up, we do.
    """

    def __init__(
        self, calls: Calls, makes: Sequence[Make], pieces: Sequence[Callable[[], Sequence[Any]]]
    ) -> None:
        self.calls, self.makes, self.pieces = calls, makes, pieces
        self._futures: list[Future | None] = [None] * len(pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def group(self, n: int) -> Future:
        """Return a group, which is sent for if it is not there."""
        future = self._futures[n]
        if future is None or future.status in _GONE:
            future = self._futures[n] = self.calls.submit(tasks.build, self.makes[n], *self.pieces[n]())
        return future

    def release(self) -> None:
        """Let the workers forget them; what was made of them can still be made again."""
        self._futures = [None] * len(self.pieces)
