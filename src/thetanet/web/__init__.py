"""The page: a server on this machine that shows a network at work, and trains one while you watch."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from typing import Any

from thetanet.data.dataset import Dataset
from thetanet.errors import InputError, MissingExtraError

__all__ = ["serve"]

_GRACE = 1  # seconds for open requests once the server is to end


def serve(
    net: Any,
    name: str,
    data: Dataset,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_hosts: Collection[str] = (),
    training_seconds: float = 1800.0,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        The network to show, for images of 28 x 28 pixels.
    name : str
        What to call it.
    data : Dataset
        What trainings learn from; mistakes are those on its test samples.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    allow_hosts : collection of str
        Names by which browsers may call this server, beside `localhost` and numbers.
    training_seconds : float
        The longest that a training may take.
    ready : callable
        Is called with the address once the server listens.

    Raises
    ------
    InputError
        If the network or the data are not for 28 x 28 pixels, the port is taken, a name or a number makes no
        sense, or an event loop runs in this thread.
    MissingExtraError
        If FastAPI and uvicorn are not installed.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port={port}: must be between 0 (any free one) and 65535")
    if not training_seconds > 0:
        raise InputError(f"training_seconds={training_seconds}: must be above 0")
    if _has_loop():
        raise InputError(
            "an event loop runs in this thread, as in notebooks: call serve in a thread of its own, "
            "Thread(target=serve, args=(net, name, data), daemon=True).start()"
        )
    try:
        import uvicorn

        from thetanet.web.app import create_app
    except ImportError as problem:
        raise MissingExtraError("the page", "web") from problem

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready(_address(host, self.servers[0].sockets[0].getsockname()[1]))

    application = create_app(
        net,
        name,
        data,
        allow_hosts=[*allow_hosts, host],
        training_seconds=training_seconds,
        ending=lambda: server.should_exit,
    )
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=15,
        limit_concurrency=256,
        server_header=False,
    )
    server = Server(config)
    # uvicorn ends in good order on SIGTERM, then raises it again: it is caught here.
    main = threading.current_thread() is threading.main_thread()  # the only one that receives signals
    before = signal.signal(signal.SIGTERM, lambda *_: None) if main else None
    try:
        server.run()
    except SystemExit:
        raise InputError(
            f"port {port} on {host} cannot be used: it is taken, or {host} is no address of this machine; "
            "give another --port or --host"
        ) from None
    except KeyboardInterrupt:
        pass
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
    trainings, pictures = application.state.trainings.all(), application.state.pictures
    if main and (pictures.under_way() or any(training.thread.is_alive() for training in trainings)):
        # Neither compiling nor reading can be interrupted; nothing is lost or left half-written without them.
        sys.stdout.flush()
        os._exit(0)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "localhost", "::": "::1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
