"""LargeBodies: reads or writes a large body, apart from the event loop: in a thread, one at a time.

Threads of Python take turns at the interpreter's lock, for 5 ms each (sys.getswitchinterval). So
with six of them at work an event loop waits for 30 ms wherever it needs the lock again, several
times for each call; with one it waits for 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class LargeBodies:
    """Of one door. Use from its event loop; who comes first is first. Whoever waits has a deadline
    of their own; what has begun in the thread ends there."""

    def __init__(self) -> None:
        self._one = asyncio.Semaphore(1)

    async def work(self, function: Callable[..., T], *arguments: object) -> T:
        """What the function returns, or raises."""
        async with self._one:
            return await asyncio.to_thread(function, *arguments)
