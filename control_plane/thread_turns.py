"""ThreadTurns: work apart from the event loop, in a thread, one at a time.

Threads of Python take turns at the interpreter's lock, for 5 ms each (sys.getswitchinterval). So
with six of them at work an event loop waits for 30 ms wherever it needs the lock again, several
times for each call; with one it waits for 5. While one is at work here, the turns are a tenth of
that: handing something to another thread and hearing of it took 5 ms of processor time in one of
ten cases and takes 1.5, and what is worked on takes no longer.

Who waits is of a group, and a member of it: groups take turns, and of each group its members. Who
brings a thousand pieces of work makes another wait for one.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

from control_plane.short_switches import SHORT_SWITCHES
from control_plane.turns import Turns

T = TypeVar("T")


class _Waiting(NamedTuple):
    group: str
    member: str
    turn: asyncio.Future[None]


class ThreadTurns:
    """Use from one event loop. Whoever waits has a deadline of their own; what has begun in the
    thread ends there, and only then the next begins."""

    def __init__(self) -> None:
        self._waiting: Turns[_Waiting] = Turns(
            lambda one: one.group, within=lambda one: (one.group, one.member)
        )
        self._busy = False

    async def in_turn(
        self, group: str, member: str, function: Callable[..., T], *arguments: object
    ) -> T:
        """What the function returns, or raises. group, member: whose work it is."""
        loop = asyncio.get_running_loop()
        if self._busy:
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(_Waiting(group, member, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # it had come
                    self._next()
                raise
        self._busy = True
        called = partial(contextvars.copy_context().run, function, *arguments)
        SHORT_SWITCHES.begin()
        try:
            done: asyncio.Future[T] = loop.run_in_executor(None, called)
        except BaseException:  # the executor is shut down
            self._end()
            raise
        done.add_done_callback(self._end)
        return await asyncio.shield(done)  # a caller who leaves does not end what is under way

    def _end(self, done: object = None) -> None:
        """What was at work is over."""
        SHORT_SWITCHES.end()
        self._next()

    def _next(self) -> None:
        """It is the turn of the next that still waits."""
        self._busy = False
        while self._waiting:
            turn = self._waiting.popleft().turn
            if not turn.done():
                self._busy = True
                turn.set_result(None)
                return
