"""WaitingCalls: hot calls that wait for the store, each a task with a deadline, and no more than
MOST_WAITING at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from control_plane.errors import ServiceError, Unavailable
from control_plane.serving.calls import HotCall
from control_plane.serving.errors_to_status import interrupted

log = logging.getLogger(__name__)

MOST_WAITING = 10_000


class _Waiting(NamedTuple):
    call: HotCall
    work: Callable[[], Awaitable[bytes]]


class WaitingCalls:
    """`add` hands one over; `run` is a task of the owner's. within_s: for each, whatever deadline
    its caller has; too_late: what a call is told that takes longer."""

    def __init__(self, *, within_s: float, too_late: Callable[[], ServiceError]) -> None:
        self._within_s = within_s
        self._too_late = too_late
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._under_way = 0

    def add(self, call: HotCall, work: Callable[[], Awaitable[bytes]]) -> None:
        """Has the call answered by what the work gives or raises. Raises Unavailable where too
        many wait."""
        if len(self._waiting) + self._under_way >= MOST_WAITING:
            raise Unavailable("too many calls wait for the store; try again")
        self._waiting.append(_Waiting(call, work))
        self._wake.set()

    async def run(self) -> None:
        """Works for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    while self._waiting:
                        group.create_task(self._answer(self._waiting.popleft()), name="hot call")
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            while self._waiting:
                self._waiting.popleft().call.fail(interrupted())

    async def _answer(self, one: _Waiting) -> None:
        call, left_s = one.call, one.call.time_left_s()
        self._under_way += 1
        try:
            async with asyncio.timeout(
                self._within_s if left_s is None else min(left_s, self._within_s)
            ):
                answer = await one.work()
            call.reply(answer)
        except ServiceError as error:
            call.fail(error)
        except TimeoutError:
            call.fail(self._too_late())
        except asyncio.CancelledError:
            call.fail(interrupted())
            raise
        except Exception:  # the boundary: one bad call must not take the others along
            log.exception("a call that waited for the store failed")
            call.fail(ServiceError("internal error; see the server's log"))
        finally:
            self._under_way -= 1
