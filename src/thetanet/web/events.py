"""Server-sent events of a training: what the client has not heard of yet, then what happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse

from thetanet.web.trainings import UNDER_WAY, Training

_LOOK, _HEARTBEAT = 0.2, 10.0  # seconds between looks at a training, and between signs of life


def stream(
    training: Training, seen: int, places: asyncio.Semaphore, ending: Callable[[], bool]
) -> StreamingResponse:
    """Return the events of a training from its epoch `seen` on, until it has ended.

    Each client looks at the records of the training itself. There is no queue for it, so a slow or vanished
    client holds up nothing and leaves nothing behind.
    """

    async def events() -> AsyncIterator[str]:
        async with places:
            async for event in _events(training, seen, ending):
                yield event

    return StreamingResponse(
        events(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(training: Training, seen: int, ending: Callable[[], bool]) -> AsyncIterator[str]:
    sent: tuple[Any, ...] = ()
    progress, quiet = -1.0, 0.0
    yield "retry: 1000\n\n"
    while True:
        news = ""
        state = training.state  # before the records: once it has ended, they are all there
        for record in training.records[seen:]:
            seen += 1
            news += _event("epoch", record, seen)
        now = (state, training.problem, training.epochs, training.test_accuracy)
        if now != sent:
            sent = now
            news += _event(
                "state", dict(zip(("state", "problem", "epochs", "test_accuracy"), now, strict=True))
            )
        over = state not in UNDER_WAY or ending()
        if training.seen != progress and not over:
            progress = training.seen
            news += _event("progress", {"seen": progress})
        if not news and quiet >= _HEARTBEAT:
            news = ": still here\n\n"
        if news:
            quiet = 0.0
            yield news
        if over:
            return
        await asyncio.sleep(_LOOK)
        quiet += _LOOK


def _event(name: str, data: dict[str, Any], number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"
