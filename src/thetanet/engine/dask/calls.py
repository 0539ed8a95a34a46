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
_ANSWER = 15.0  # seconds that the scheduler has to answer
_RETURN = 8.0  # seconds that it has to come back after a connection was closed
_NEWS = 2.0  # seconds after which we ask whether workers have come or gone
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
        self._threads: dict[str, int] = {}
        self._asked = 0.0

    def submit(self, function: Callable[..., Any], *arguments: Any, worker: str | None = None) -> Future:
        """Send one task, under a name of its own; to a certain worker if that is there."""
        where = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
        name = f"thetanet-{function.__name__}-{uuid4().hex}"
        # Theta is an argument of one task in a pass, however large it is; that is no mistake to warn of.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "100GB"}):
            return self.client.submit(function, *arguments, key=name, pure=False, **where)

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
                if self.workers(now=True):
                    alone = time.monotonic()
                elif time.monotonic() - alone > _WORKERS:
                    raise ClusterError(
                        f"{self.address} has had no workers for {_WORKERS:.0f} s: start some (dask worker "
                        f"{self.address}), and go on from the last checkpoint with resume=True (--resume)"
                    ) from None

    def workers(self, now: bool = False) -> dict[str, int]:
        """Return the threads of each worker by its address; the scheduler is asked every few seconds."""
        if now or time.monotonic() - self._asked > _NEWS:
            self._wait_until_connected()
            try:
                self._threads = self.client.sync(
                    self.client.scheduler.ncores, workers=None, callback_timeout=_ANSWER
                )
            except (OSError, TimeoutError, *_LOST) as problem:
                raise self._gone() from problem
            self._asked = time.monotonic()
        return self._threads

    def _wait_until_connected(self) -> None:
        began = time.monotonic()
        while self.client.status != "running":
            if self.client.status == "closed" or time.monotonic() - began > _RETURN:
                raise self._gone()
            time.sleep(0.05)

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"the scheduler of the cluster, {self.address}, does not answer any more: it was stopped, or the "
            "network is cut. Start it again, and go on from the last checkpoint with resume=True (--resume)"
        )


class Groups:
    """Groups of samples that the workers keep in memory, and the recipe for each of them.

    Dask makes a group again where its worker died; where all is lost (the scheduler began anew), or Dask has
    given up, we do.
    """

    def __init__(
        self, calls: Calls, makes: Sequence[Make], pieces: Sequence[Callable[[], Sequence[Any]]]
    ) -> None:
        self.calls, self.makes, self.pieces = calls, makes, pieces
        self._futures: list[Future | None] = [None] * len(pieces)
        self._divided: set[str] = set()  # the workers over which they are evenly spread

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

    def rebalance(self) -> None:
        """Move groups from workers that hold many to those that hold few, if workers have come or gone.

        Dask itself sends work where the data are, and data only where work has queued up for long.
        """
        threads = self.calls.workers()
        groups = [future for future in self._futures if future is not None and future.status == "finished"]
        if self._divided == set(threads) or len(groups) < len(self._futures):
            return
        places = self.calls.client.who_has(groups)
        by_worker: dict[str, list[int]] = {worker: [] for worker in threads}
        for n, future in enumerate(groups):
            where = next((worker for worker in places.get(future.key, ()) if worker in by_worker), None)
            if where is not None:
                by_worker[where].append(n)
        for n, worker in plan_moves(by_worker, threads):
            self._futures[n] = self.calls.submit(tasks.identity, groups[n], worker=worker)
        self._divided = set(threads)


def plan_moves(by_worker: dict[str, list[int]], threads: dict[str, int]) -> list[tuple[int, str]]:
    """Return which groups to move where, so that all threads of workers have about as many."""
    by_worker = {worker: list(groups) for worker, groups in by_worker.items()}
    moved: list[tuple[int, str]] = []
    while by_worker:
        high = max(by_worker, key=lambda worker: len(by_worker[worker]) / threads[worker])
        low = min(by_worker, key=lambda worker: (len(by_worker[worker]) + 1) / threads[worker])
        if len(by_worker[high]) / threads[high] <= (len(by_worker[low]) + 1) / threads[low]:
            break
        n = by_worker[high].pop()
        by_worker[low].append(n)
        moved.append((n, low))
    return moved
