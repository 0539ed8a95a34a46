"""Pictures that a browser sends: the numbers in them are read in threads, a few at a time."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Callable

import anyio.to_thread

from thetanet.errors import InputError, ThetanetError
from thetanet.models.fitted import FittedNetwork
from thetanet.web.schemas import DigitRead, ReadingInfo

_PIXELS = 25_000_000
_AT_ONCE = 2  # others wait
_LOOK = 0.2  # seconds between looks at whether the server is to end


class EndingError(ThetanetError):
    """The server is about to end."""


class Pictures:
    """Reads pictures.

    Parameters
    ----------
    ending : callable
        Tells whether the server is about to end: nobody waits for what is read then.
    """

    def __init__(self, ending: Callable[[], bool]) -> None:
        self._ending, self._turns = ending, asyncio.Semaphore(_AT_ONCE)
        self._threads: set[threading.Thread] = set()

    def under_way(self) -> bool:
        """Return whether a thread is still reading."""
        return bool(self._threads)

    async def read(self, picture: bytes, network: FittedNetwork) -> ReadingInfo:
        """Read the numbers in a picture.

        Raises
        ------
        ThetanetError
            If it cannot be read.
        EndingError
            If the server is about to end.
        """

        async def in_turn() -> ReadingInfo:
            async with self._turns:
                return await anyio.to_thread.run_sync(self._read, picture, network, abandon_on_cancel=True)

        reading = asyncio.create_task(in_turn())
        try:
            while not reading.done():
                if self._ending():
                    raise EndingError("the server is about to end")
                await asyncio.wait([reading], timeout=_LOOK)
            return reading.result()
        finally:
            reading.cancel()

    def _read(self, picture: bytes, network: FittedNetwork) -> ReadingInfo:
        thread = threading.current_thread()
        self._threads.add(thread)
        try:
            return _read_numbers(picture, network)
        except MemoryError:
            raise InputError("there is not enough memory for this picture: scale it down") from None
        finally:
            self._threads.discard(thread)


def _read_numbers(picture: bytes, network: FittedNetwork) -> ReadingInfo:
    from thetanet.data.formats.picture import read_picture
    from thetanet.reading import read_numbers

    grey = read_picture(io.BytesIO(picture), _PIXELS)
    reading = read_numbers(grey, network)
    return ReadingInfo(
        lines=list(reading.lines),
        digits=[
            DigitRead(
                label=None if digit.label == "?" else digit.label,
                confidence=digit.confidence,
                probability=digit.probability,
                box=digit.box,
                line=digit.line,
                frame=base64.b64encode(digit.frame.tobytes()).decode(),
            )
            for digit in reading.digits
        ],
        height=grey.shape[0],
        width=grey.shape[1],
    )
