"""SharedRead: a read that many ask for at the same time, done once for all who wait.

Whoever asks gets what was read after it asked: it joins the read that begins next, never one that
is under way. So however many ask, one read goes on and one waits, and an answer is never older
than its question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _LeftAlone(Exception):
    """Who was to read has left; somebody else has to."""


class SharedRead(Generic[T]):
    """Use from one event loop. read: reads once; what it raises, all who wait for it get."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._reading = asyncio.Lock()
        self._next: asyncio.Future[T] | None = None  # of the read that has not begun

    async def __call__(self) -> T:
        """What is read from now on."""
        while self._next is not None:
            try:
                return await asyncio.shield(self._next)
            except _LeftAlone:
                continue
        waiting: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._next = waiting
        try:
            async with self._reading:
                self._next = None
                result = await self._read()
        except BaseException as error:  # cancelled too: whoever waits for it has to hear of it
            if self._next is waiting:
                self._next = None
            waiting.set_exception(error if isinstance(error, Exception) else _LeftAlone())
            waiting.exception()  # nobody has to wait for it
            raise
        waiting.set_result(result)
        return result
