"""AgentAsks: what the unit answers too late leaves no record open."""

from __future__ import annotations

import asyncio
from typing import Any

from deployment_units.services.telephony.port import (
    CallKind,
    CallRecord,
    EndCause,
    IncomingCall,
    Leg,
    Refused,
    RefusedCause,
)
from deployment_units.services.telephony.sip.asking import AgentAsks
from deployment_units.services.telephony.sip.link import AskRoute, Routed, Told

CALL = IncomingCall(
    caller="+442079460301", dialled="+442079460201", kind=CallKind.CALL, trunk="near", region="GB"
)
RECORD = CallRecord(tenant="talk", account="anna", id=bytes(16))
LEG = Leg(target="+442079460302", shown=None, account="anna", record=RECORD, limit_s=60)


class Said:
    """A Link that keeps what is said."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def say(self, value: Any) -> bool:
        self.all.append(value)
        return True


async def test_a_route_that_comes_in_time_is_the_answer() -> None:
    link = Said()
    asks = AgentAsks(link)  # type: ignore[arg-type]
    asking = asyncio.create_task(asks.route(CALL))
    await asyncio.sleep(0)
    asks.answered_by(Routed(1, leg=LEG))
    assert await asking == LEG
    assert link.all == [AskRoute(1, CALL)]


async def test_one_that_nobody_waits_for_any_more_closes_its_record() -> None:
    link = Said()
    asks = AgentAsks(link)  # type: ignore[arg-type]
    asking = asyncio.create_task(asks.route(CALL))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    asks.answered_by(Routed(1, leg=LEG))
    asks.answered_by(Routed(2, refused=RefusedCause.NOT_FOUND))
    assert link.all[1:] == [Told("ended", RECORD, 0, EndCause.FAILED)]


async def test_what_cannot_be_asked_is_unavailable() -> None:
    link = Said()
    link.say = lambda value: False  # type: ignore[method-assign]
    found = await AgentAsks(link).route(CALL)  # type: ignore[arg-type]
    assert found == Refused(cause=RefusedCause.UNAVAILABLE)
