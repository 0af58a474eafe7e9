"""FirstRequests: HTTP connections whose first request does not come in time are closed.

aiohttp waits for the head of a first request for ever, however slowly its bytes come; what comes
after the answer to one it gives up with `keepalive_timeout`, and a body has a time in its handler.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from control_plane.supervision import log_failure

LOOKS = 4  # in the time that there is


class FirstRequests:
    """`middleware` goes first; `start` once the server listens, then `stop`."""

    def __init__(self, within_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._within_s = within_s
        self._clock = clock
        self._served: set[Any] = set()  # connections that have had a request
        self._since: dict[Any, float] = {}  # others
        self._task: asyncio.Task[None] | None = None

    def start(self, server: web.Server) -> None:
        """Looks at the connections of this server from now on."""
        self._task = asyncio.create_task(self._run(server), name="watch of first requests")
        self._task.add_done_callback(log_failure)

    async def stop(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Notes that this connection has had its first request."""
        self._served.add(request.protocol)
        return await handler(request)

    async def _run(self, server: web.Server) -> None:
        while True:
            await asyncio.sleep(self._within_s / LOOKS)
            self._look(server)

    def _look(self, server: web.Server) -> None:
        now, there = self._clock(), set(server.connections)
        self._served &= there
        self._since = {one: self._since.get(one, now) for one in there - self._served}
        for one, since in self._since.items():
            if now - since > self._within_s:
                one.force_close()
