"""AgentAsks: the call server's side of its link to the unit: what it asks of it, and tells it."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from deployment_units.services.telephony.port import (
    CallRecord,
    CallRoute,
    Emergency,
    EndCause,
    IncomingCall,
    Refused,
    RefusedCause,
)
from deployment_units.services.telephony.sip.link import (
    AskRoute,
    AskText,
    Link,
    Routed,
    SipStatus,
    Told,
)

ROUTE_S = 11.0  # the unit has 10 for it
TEXT_S = 30.0


class AgentAsks:
    """See CallAsks. `answered_by` is given what the link hears."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def route(self, call: IncomingCall) -> CallRoute:
        """UNAVAILABLE where the unit says nothing."""
        answer = await self._asked(lambda one: AskRoute(one, call), ROUTE_S)
        if not isinstance(answer, Routed):
            return Refused(cause=RefusedCause.UNAVAILABLE)
        if answer.leg is not None:
            return answer.leg
        if answer.emergency:
            return Emergency(caller=answer.caller, number=answer.emergency)
        return Refused(cause=answer.refused or RefusedCause.UNAVAILABLE)

    async def text(self, call: IncomingCall, text: str) -> int:
        """408 where the unit says nothing: what became of it is not known."""
        answer = await self._asked(lambda one: AskText(one, call, text), TEXT_S)
        return answer.status if isinstance(answer, SipStatus) else 408

    def began(self, record: CallRecord, at_ms: int) -> None:
        """See CallRouting."""
        self._link.say(Told("began", record, at_ms))

    def answered(self, record: CallRecord, at_ms: int) -> None:
        """See CallRouting."""
        self._link.say(Told("answered", record, at_ms))

    def ended(self, record: CallRecord, at_ms: int, cause: EndCause) -> None:
        """See CallRouting."""
        self._link.say(Told("ended", record, at_ms, cause))

    def answered_by(self, answer: Routed | SipStatus) -> None:
        """What was asked is answered; or nobody waits any more."""
        waiting = self._waiting.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        elif isinstance(answer, Routed) and answer.leg is not None:
            # It was routed too late: no call came of it, and its record is not to stay open.
            self._link.say(Told("ended", answer.leg.record, 0, EndCause.FAILED))

    async def _asked(self, question: Any, within_s: float) -> Any:
        one = next(self._ids)
        answer = self._waiting[one] = asyncio.get_running_loop().create_future()
        try:
            if not self._link.say(question(one)):
                return None
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._waiting[one]
