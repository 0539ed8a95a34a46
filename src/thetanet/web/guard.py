"""Middleware before the application: checks hosts, origins, sizes and times of requests, and adds headers.

A page on loopback is reached by every other page that the same browser has open. They are kept out by three
checks: the host is named by a number or is one we know (a foreign name that resolves to 127.0.0.1 is DNS
rebinding), what changes anything comes from our own page (no cross-origin writes), and a content security
policy that lets our page load nothing from elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thetanet.errors import InputError

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # always ask whether it has changed: files of two versions do not mix
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_READS = {"GET", "HEAD", "OPTIONS"}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?")


def host_name(address: str) -> str:
    """Return the name of a host as browsers send it, out of `my.box`, `my.box:8000` or `http://my.box/`.

    Raises
    ------
    InputError
        If there is none in it.
    """
    try:
        name = urlsplit(address if "//" in address else f"//{address}").hostname or ""
        name = name.encode("idna").decode("ascii")
    except ValueError:
        name = ""
    if not _NAME.fullmatch(name):
        raise InputError(f"host {address!r}: is no name that browsers could call; give one such as my.box")
    return name


def is_number(name: str) -> bool:
    """Whether a host is named by its address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Middleware: checks requests before the application sees them, and adds headers to its answers.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    hosts : collection of str
        Names this server may be called by, beside `localhost` and numbers, as `host_name` returns them.
    most_bytes : dict of str to int
        The largest body for paths that begin so; "" is for all others.
    body_seconds : float
        Time in which a body must arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = (),
        most_bytes: dict[str, int] | None = None,
        body_seconds: float = 20.0,
    ) -> None:
        self._app = app
        self._hosts = {"localhost", *hosts}
        self._most = {"": 1 << 16, **(most_bytes or {})}
        self._seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await refused(scope, receive, answer)
            return
        await self._app(scope, self._limited(receive, self._allowed(scope)), answer)

    def _allowed(self, scope: Scope) -> int:
        return self._most[max((p for p in self._most if scope["path"].startswith(p)), key=len)]

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """Return the answer to a request that must not reach the application."""
        host = headers.get("host", "")
        if not self._knows(host):
            return _problem(421, f"this server is not called {host!r}: use localhost, or serve --allow-host")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and scope["path"].startswith("/api/"):
            return _problem(403, "only this server's own page may ask this")
        if scope["method"] not in _READS:
            foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
            if foreign:
                return _problem(403, "only this server's own page may change anything here")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._allowed(scope):
            return _problem(413, _too_large(self._allowed(scope)))
        return None

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._hosts or is_number(name)

    def _limited(self, receive: Receive, most: int) -> Receive:
        """Return `receive` that counts bytes and watches the clock until the body is there."""
        seen, complete = 0, False
        until = asyncio.get_running_loop().time() + self._seconds

        async def limited() -> Message:
            nonlocal seen, complete
            if complete:  # what follows is the news that the client has gone
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body did not arrive within {self._seconds:g} s") from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if seen > most:
                    raise HTTPException(413, _too_large(most))
            return message

        return limited


def _too_large(most: int) -> str:
    return f"the body has more than {most:,} bytes"


def _problem(status: int, text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status_code=status)
