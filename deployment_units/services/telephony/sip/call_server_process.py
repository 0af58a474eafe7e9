"""CallServerProcess: the unit's side of its call server, a child process that is started anew where
it ends.

What the child asks is asked of telephony and of whoever takes texts; what it tells is told there,
in the order of each call. A child that is gone leaves its calls up, for media never passed it:
their records are closed as lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from itertools import count

import msgspec

from control_plane.errors import Refused as RefusedError
from control_plane.errors import ServiceError
from deployment_units.services.telephony.port import (
    CallKind,
    CallRecord,
    CallRouting,
    Emergency,
    EndCause,
    IncomingCall,
    Leg,
)
from deployment_units.services.telephony.sip.call_causes import STATUS_OF, cause_of
from deployment_units.services.telephony.sip.link import (
    AskRoute,
    AskText,
    Configured,
    Counted,
    FromCallServer,
    Link,
    LinkEndedError,
    Listening,
    Routed,
    SendText,
    SipStatus,
    Told,
)

log = logging.getLogger(__name__)

START_S = 60.0
END_S = 5.0
TEXT_S = 15.0  # for the far side of one that is passed on
_NOT_SENT = 503
TakeText = Callable[[IncomingCall, str], Awaitable[int | None]]
"""A text that may be for the unit itself: a SIP status, or None: it is not."""


class CallServerEndedError(Exception):
    """The child is gone."""


class CallServerProcess:
    """configured: what the child is told; routing: of this unit; take: texts to the unit itself;
    wall_ms: Unix ms."""

    def __init__(
        self,
        configured: Configured,
        routing: CallRouting,
        *,
        take: TakeText,
        wall_ms: Callable[[], int],
    ) -> None:
        self._configured = configured
        self._routing = routing
        self._take = take
        self._wall_ms = wall_ms
        self._child: asyncio.subprocess.Process | None = None
        self._link: Link | None = None
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._open: dict[CallRecord, asyncio.Future[None]] = {}
        self.address: tuple[str, int] | None = None
        self.counts: dict[str, int] = {}
        self.calls = 0
        self.starts = 0
        self.serves = asyncio.Event()

    @property
    def pid(self) -> int:
        """Of the child; 0: there is none."""
        return 0 if self._child is None else self._child.pid

    @property
    def shown(self) -> str:
        """Where trunks reach it, host:port; empty: it never listened."""
        where = self._configured.shown or self.address
        return "" if where is None else f"{where[0]}:{where[1]}"

    async def start(self) -> None:
        """The child listens. Raises Refused where it cannot."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "deployment_units.services.telephony.sip",
                str(theirs.fileno()), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        self.starts += 1
        reader, writer = await asyncio.open_connection(sock=ours)
        link = Link(reader, writer, FromCallServer)
        link.say(self._configured)
        try:
            async with asyncio.timeout(START_S):
                said = await link.heard()
        except (TimeoutError, LinkEndedError):
            said = Listening(wrong="the call server does not start; see the log")
        if not isinstance(said, Listening) or said.wrong:
            await link.close()
            await self._reap()
            raise RefusedError(getattr(said, "wrong", "") or "the call server speaks otherwise")
        self._link = link
        self.serves.set()
        self.address = said.address
        # Whoever was told where it listens finds it there again.
        self._configured = msgspec.structs.replace(self._configured, listen=said.address)

    async def run(self) -> None:
        """Until it is cancelled. Raises CallServerEndedError where the child ended; run again, it
        begins another one."""
        if self._link is None:
            await self.start()
        link = self._link
        assert link is not None
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._heard(await link.heard(), link, group)
        except* LinkEndedError:
            pass
        finally:
            self.serves.clear()
            self._link = None
            await self._lost()
            await link.close()
            await self._reap()
        raise CallServerEndedError("the call server ended; calls that were up go on without it")

    async def close(self) -> None:
        """Ends the child."""
        if self._link is not None:
            await self._link.close()
            self._link = None
        await self._reap()

    async def send_text(
        self, target: str, shown: str | None, text: str, *, within_s: float
    ) -> int | None:
        """The status of the far side; 408: it said nothing; None: there is no call server, and
        surely nothing was sent."""
        link = self._link
        if link is None:
            return None
        one = next(self._ids)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[one] = answer
        try:
            if not link.say(SendText(one, target, shown, text, within_s)):
                return None
            async with asyncio.timeout(within_s + 1):
                return await answer
        except TimeoutError:
            return 408
        finally:
            del self._waiting[one]

    def _heard(self, said: object, link: Link, group: asyncio.TaskGroup) -> None:
        if isinstance(said, AskRoute):
            group.create_task(self._route(said, link))
        elif isinstance(said, AskText):
            group.create_task(self._text(said, link))
        elif isinstance(said, Told):
            self._told(said, group)
        elif isinstance(said, Counted):
            self.counts, self.calls = said.counts, said.calls
        elif isinstance(said, SipStatus):
            waiting = self._waiting.get(said.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(said.status)

    async def _route(self, question: AskRoute, link: Link) -> None:
        route = await self._routing.route(question.call)
        if isinstance(route, Leg):
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            self._open[route.record] = done
            if not link.say(Routed(question.id, leg=route)):  # nothing will be heard of it
                del self._open[route.record]
                await self._routing.ended(route.record, self._wall_ms(), EndCause.FAILED)
        elif isinstance(route, Emergency):
            link.say(Routed(question.id, emergency=route.number, caller=route.caller))
        else:
            link.say(Routed(question.id, refused=route.cause))

    def _told(self, told: Told, group: asyncio.TaskGroup) -> None:
        """Each after what was told of the same call before."""
        before = self._open.get(told.record)
        if before is not None:
            self._open[told.record] = group.create_task(self._tell(told, before))

    async def _tell(self, told: Told, before: asyncio.Future[None]) -> None:
        await before
        if told.what == "began":
            await self._routing.began(told.record, told.at_ms)
        elif told.what == "answered":
            await self._routing.answered(told.record, told.at_ms)
        else:
            self._open.pop(told.record, None)
            await self._routing.ended(told.record, told.at_ms, told.cause or EndCause.FAILED)

    async def _text(self, question: AskText, link: Link) -> None:
        try:
            async with asyncio.timeout(TEXT_S):
                status = await self._take(question.call, question.text)
        except (ServiceError, TimeoutError) as error:  # of one account, and no end of other calls
            log.info("a text was not taken: %s", type(error).__name__)
            status = _NOT_SENT
        link.say(
            SipStatus(question.id, status if status is not None else await self._pass(question))
        )

    async def _pass(self, question: AskText) -> int:
        """A text between two people who do not know each other's numbers."""
        route = await self._routing.route(question.call)
        if isinstance(route, Emergency):
            return _NOT_SENT  # the call server passed it on, had it seen it as one
        if not isinstance(route, Leg):
            return STATUS_OF[route.cause]
        assert question.call.kind is CallKind.TEXT
        status = await self.send_text(route.target, route.shown, question.text, within_s=TEXT_S)
        status = _NOT_SENT if status is None else status
        if 200 <= status < 300:
            await self._routing.began(route.record, self._wall_ms())
        await self._routing.ended(route.record, self._wall_ms(), cause_of(status))
        return status

    async def _lost(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(408)
        lost, self._open = [*self._open], {}
        now = self._wall_ms()
        await asyncio.gather(*(self._routing.ended(one, now, EndCause.LOST) for one in lost))

    async def _reap(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        try:
            async with asyncio.timeout(END_S):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
