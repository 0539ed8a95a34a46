"""The cluster engine: workers of Dask keep groups of samples, and compute sums over all groups.

Groups and the tree of sums are fixed, so results are the same bits whatever the number of workers, and
whichever of them die on the way. Workers must have the same processors for that, as this machine's engine
must.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from thetanet.checks import check_number
from thetanet.descent.rule import MiniBatchRule
from thetanet.engine import Chunk, Engine, Measure, Stepper
from thetanet.engine.cpu.engine import CPUEngine
from thetanet.engine.dask import tasks
from thetanet.errors import ClusterError, InputError, MissingExtraError
from thetanet.theta import Theta

_ARITY = 8  # of the tree of sums
_CONNECT = 10  # seconds


class DaskEngine(Engine):
    """Training on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster. All workers need thetanet, and must see the files that are trained on.
    groups : int
        Into how many groups samples are divided: as many as there will ever be threads of workers, or more.
        The last bits of all results depend on it, but not on the number of workers. In mini-batch training
        each group descends by itself for an epoch, so that fewer groups need fewer epochs.
    dtype : "float32" or "float64"
        Floating-point type of training.
    keep : bool
        Whether workers keep samples in memory. False: they read their parts in each pass, for data that is
        larger than the memory of all workers together.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    """

    distributed: ClassVar[bool] = True

    def __init__(self, client: Any, groups: int = 16, dtype: Any = "float32", keep: bool = True) -> None:
        check_number("groups", groups, least=1, whole=True)
        if not (hasattr(client, "submit") and hasattr(client, "scheduler")):
            raise InputError(f"client={client!r}: give a distributed.Client, or use connect('tcp://...')")
        try:
            from thetanet.engine.dask.calls import Calls
        except ImportError as missing:
            raise MissingExtraError("the cluster engine", "cluster") from missing
        self._here = CPUEngine(dtype)
        self.dtype = self._here.dtype
        self.client, self.groups, self.keep = client, int(groups), bool(keep)
        self.calls = Calls(client)
        self._opened: list[Any] = []

    def __repr__(self) -> str:
        return f"DaskEngine({self.calls.address}, groups={self.groups}, dtype={self.dtype.name!r})"

    def __deepcopy__(self, memo: Any) -> DaskEngine:
        return self  # a copy of an estimator, as in cross-validation, trains on the same cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close what `connect` has opened."""
        for resource in self._opened:
            resource.close()
        self._opened = []

    def scatter(self, make: Callable[[list[Any]], Any], parts: Sequence[Any]) -> Any:
        """Divide parts into groups, and build one object of each group on the workers.

        A part with `delayed` (of a Dask collection) is computed by the cluster, one with `sent` travels there
        on its own, and is kept by the scheduler; others travel as descriptions of what to read.
        """
        from thetanet.engine.dask.calls import Groups

        def pieces(group: Sequence[Any]) -> list[Any]:
            return [self._piece(part) for part in group]

        count = min(self.groups, len(parts))
        bounds = [len(parts) * n // count for n in range(count + 1)]
        members = [parts[low:high] for low, high in pairwise(bounds)]
        return Groups(self.calls, [make] * count, [partial(pieces, group) for group in members])

    def _piece(self, part: Any) -> Any:
        if hasattr(part, "delayed"):
            return self.client.compute(part.delayed)
        return self.calls.submit(tasks.identity, part.sent) if hasattr(part, "sent") else part

    def map_groups(self, groups: Any, makes: Sequence[Callable[[list[Any]], Any] | None]) -> Any:
        """Build groups of other groups on the workers, each by a function of its own; None drops a group."""
        from thetanet.engine.dask.calls import Groups

        numbered = [(n, make) for n, make in enumerate(makes) if make is not None]
        pieces = [partial(lambda n: [groups.group(n)], n) for n, _ in numbered]
        return Groups(self.calls, [make for _, make in numbered], pieces)

    def gather(self, groups: Any, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return function(engine, group, number, *arguments) of all groups, in order."""
        return self.calls.results(lambda: self._submit_to_all(groups, function, arguments))

    def reduce(self, groups: Any, function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
        """Return the sums of the tuples of arrays that the function returns, by a fixed tree."""

        def send() -> list[Any]:
            terms = self._submit_to_all(groups, function, arguments)
            while len(terms) > 1:
                level = [terms[low : low + _ARITY] for low in range(0, len(terms), _ARITY)]
                terms = [self.calls.submit(tasks.add, branch) for branch in level]
            return terms

        sums: tuple[Any, ...] = self.calls.results(send)[0]
        return sums

    def _submit_to_all(
        self, groups: Any, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> list[Any]:
        groups.rebalance()
        sent = self.calls.submit(tasks.identity, arguments)
        return [
            self.calls.submit(tasks.compute, function, self.dtype.name, n, groups.group(n), sent)
            for n in range(len(groups))
        ]

    def error_and_gradient(self, theta: Theta, chunk: Chunk) -> tuple[Measure, Theta]:
        """Return the sums of E and dE/dTheta over all samples of the chunk."""
        groups = _groups_of(chunk)
        if groups is None:
            return self._here.error_and_gradient(theta, chunk)
        numbers, flat = self.reduce(groups, tasks.gradient, theta.flat, theta.shape)
        return tasks.as_measure(numbers), theta.like(flat)

    def measure(self, theta: Theta, chunk: Chunk) -> Measure:
        """Return E and the number of correct samples, without the gradient."""
        groups = _groups_of(chunk)
        if groups is None:
            return self._here.measure(theta, chunk)
        return tasks.as_measure(self.reduce(groups, tasks.measure, theta.flat, theta.shape)[0])

    def hessian_product(self, theta: Theta, direction: Theta, chunk: Chunk) -> Theta:
        """Return the product of the Hessian matrix of E, summed over the chunk, and a direction."""
        groups = _groups_of(chunk)
        if groups is None:
            return self._here.hessian_product(theta, direction, chunk)
        flats = theta.flat, direction.flat
        return theta.like(self.reduce(groups, tasks.curvature, *flats, theta.shape)[0])

    def stepper(
        self,
        theta: Theta,
        rule: MiniBatchRule,
        batch_size: int,
        decay: float = 0.0,
        state: NDArray[Any] | None = None,
    ) -> Stepper:
        """Begin mini-batch descent on this machine, as in `partial_fit`; `fit` descends on the workers."""
        return self._here.stepper(theta, rule, batch_size, decay, state)

    def propagate(self, theta: Theta, X: Any, to: str = "Y") -> NDArray[np.floating[Any]]:
        """Return Z, A2 or Y of the rows of X, on this machine."""
        return self._here.propagate(theta, X, to)

    def explain(self, theta: Theta, chunk: Any, batch_size: int) -> str:
        """Return a description of the cluster and of the division of the samples."""
        groups = _groups_of(chunk)
        division = "" if groups is None else f"{len(groups)} groups of samples on "
        return f"{division}{self.calls.address}, {self.dtype.name}"


def _groups_of(chunk: Any) -> Any:
    """Return the groups that stand behind a chunk on the workers; None for samples in memory here."""
    return getattr(chunk, "groups", None)


def connect(cluster: str, groups: int = 16, dtype: Any = "float32", keep: bool = True) -> DaskEngine:
    """Return an engine on a cluster that is named by a text; close it after use.

    Parameters
    ----------
    cluster : str
        "local:4" starts four worker processes on this machine; "tcp://host:8786" is the address of a
        scheduler.

    Raises
    ------
    InputError
        If the text is neither.
    ClusterError
        If no scheduler answers there.
    MissingExtraError
        If Dask is not installed.
    """
    kind, _, count = cluster.partition(":")
    local = kind == "local" and count.isdigit() and int(count) > 0
    if not local and "://" not in cluster:
        raise InputError(f"cluster={cluster!r}: give local:N for N processes here, or tcp://host:port")
    try:
        import dask
        import distributed
    except ImportError as missing:
        raise MissingExtraError("training on a cluster", "cluster") from missing
    library: Any = distributed
    opened: list[Any] = []
    if local:
        # A worker that dies twice in a row would be given up for good.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
        opened.append(
            library.LocalCluster(n_workers=int(count), threads_per_worker=1, dashboard_address=":0")
        )
    try:
        client = library.Client(opened[0] if opened else cluster, timeout=_CONNECT)
    except (OSError, TimeoutError, ValueError) as problem:
        raise ClusterError(
            f"cluster={cluster!r}: no scheduler answers there ({problem}); start one with dask scheduler"
        ) from problem
    engine = DaskEngine(client, groups, dtype, keep)
    engine._opened = [client, *opened]
    return engine
