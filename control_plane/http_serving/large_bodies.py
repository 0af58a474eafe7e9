"""LargeBodies: reads or writes a large body, apart from the event loop: in a thread, one at a time.

Threads of Python take turns at the interpreter's lock, for 5 ms each (sys.getswitchinterval). So
with six of them at work an event loop waits for 30 ms wherever it needs the lock again, several
times for each call; with one it waits for 5.

Addresses take turns, and of each address its connections, as calls over gRPC do: who sends a
thousand of them makes another wait for one.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

from control_plane.serving.peers import peer_group
from control_plane.turns import Turns

T = TypeVar("T")
_Waiting: TypeAlias = tuple[str, asyncio.Future[None]]


class LargeBodies:
    """Of one door. Use from its event loop. Whoever waits has a deadline of their own; what has
    begun in the thread ends there, and only then the next begins."""

    def __init__(self) -> None:
        self._waiting: Turns[_Waiting] = Turns(_address, within=_peer)
        self._busy = False

    async def work(self, peer: str, function: Callable[..., T], *arguments: object) -> T:
        """What the function returns, or raises. peer: whose body it is, as gRPC writes it."""
        loop = asyncio.get_running_loop()
        if self._busy:
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append((peer, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # it had come
                    self._next()
                raise
        self._busy = True
        called = partial(contextvars.copy_context().run, function, *arguments)
        try:
            done: asyncio.Future[T] = loop.run_in_executor(None, called)
        except BaseException:  # the executor is shut down
            self._next()
            raise
        done.add_done_callback(self._next)
        return await asyncio.shield(done)  # a caller who leaves does not end what is under way

    def _next(self, done: object = None) -> None:
        """It is the turn of the next that still waits."""
        self._busy = False
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                self._busy = True
                turn.set_result(None)
                return


def _address(waiting: _Waiting) -> str:
    return peer_group(waiting[0])


def _peer(waiting: _Waiting) -> str:
    return waiting[0]
