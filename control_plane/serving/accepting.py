"""Handshakes: connections are accepted one after another, and each shakes hands in a task of its
own, as many at once as there may be; one more ends the oldest, which has had the most time."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from control_plane.printable import why_failed

log = logging.getLogger(__name__)

ACCEPT_AGAIN_S = 0.1  # after an accept that failed: no descriptors are left, most likely
Begin: TypeAlias = Callable[[socket.socket, Any], asyncio.Task[None]]


class Handshakes:
    """Use from one event loop. begin(accepted, address): the task of one, which the caller owns;
    most: at once."""

    def __init__(self, begin: Begin, *, most: int) -> None:
        self._begin = begin
        self._most = most
        self._under_way: dict[asyncio.Task[None], None] = {}  # the oldest first

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(tuple(self._under_way))

    async def accept(self, listening: socket.socket) -> None:
        """From a listening socket that does not block, for ever."""
        loop, short = asyncio.get_running_loop(), False
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if not short:
                    log.error("cannot accept connections: %s", why_failed(error))
                short = True
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            short = False
            task = self._begin(accepted, address)
            self._under_way[task] = None
            task.add_done_callback(lambda done: self._under_way.pop(done, None))
            if len(self._under_way) > self._most:
                oldest = next(iter(self._under_way))
                del self._under_way[oldest]
                oldest.cancel()
