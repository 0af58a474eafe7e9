"""`python -m deployment_units.services.telephony.sip FD`: the call server of one unit, a process of
its own, on a socket to the agent that started it. It ends when that does; calls that are up then go
on between the gateways, and only nobody hears their end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time

from control_plane.errors import InvalidInput
from deployment_units.services.telephony.sip.asking import AgentAsks
from deployment_units.services.telephony.sip.call_server import CallServer
from deployment_units.services.telephony.sip.link import (
    Configured,
    Counted,
    FromAgent,
    Link,
    LinkEndedError,
    Listening,
    SendText,
    SipStatus,
)
from deployment_units.services.telephony.sip.port import LegPlan
from deployment_units.services.telephony.sip.sippy_engine import SippyEngine
from deployment_units.services.telephony.sip.source_rates import SourceRates
from deployment_units.services.telephony.sip.trunks import read_trunks

COUNTED_S = 2.0
LISTENS_S = 20.0


async def serve(link: Link) -> None:
    """Until the agent is gone."""
    first = await link.heard()
    if not isinstance(first, Configured):
        return
    asks = AgentAsks(link)
    try:
        trunks = read_trunks(first.trunks, out=first.out, emergency=first.emergency)
    except InvalidInput as error:
        link.say(Listening(wrong=error.message))
        return
    control = CallServer(
        trunks, asks, region=first.region, wall_ms=lambda: time.time_ns() // 1_000_000
    )
    engine = SippyEngine(
        first.listen, trunks, control,
        rates=SourceRates(first.rate_per_s, clock=time.monotonic), shown=first.shown,
    )  # fmt: skip
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(engine.run())
            async with asyncio.timeout(LISTENS_S):
                await engine.listens.wait()
            link.say(Listening(engine.address))
            counting = group.create_task(_count(link, engine))
            try:
                await _answer(link, asks, engine, trunks.out, group)
            finally:
                running.cancel()
                counting.cancel()
    except* OSError as errors:
        link.say(Listening(wrong=f"cannot listen for SIP: {errors.exceptions[0]}"))


async def _answer(
    link: Link, asks: AgentAsks, engine: SippyEngine, out: object, group: asyncio.TaskGroup
) -> None:
    while True:
        try:
            said = await link.heard()
        except LinkEndedError:
            return
        if isinstance(said, SendText):
            group.create_task(_send(link, engine, said, out))
        elif not isinstance(said, Configured):
            asks.answered_by(said)


async def _send(link: Link, engine: SippyEngine, text: SendText, out: object) -> None:
    plan = LegPlan(target=text.target, shown=text.shown, trunk=out)  # type: ignore[arg-type]
    link.say(SipStatus(text.id, await engine.send_text(plan, text.text, within_s=text.within_s)))


async def _count(link: Link, engine: SippyEngine) -> None:
    while True:
        await asyncio.sleep(COUNTED_S)
        link.say(Counted(dict(engine.counts), engine.calls))


async def main(descriptor: int) -> None:
    """On an open socket."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    link = Link(reader, writer, FromAgent)
    try:
        await serve(link)
    except LinkEndedError:
        return
    finally:
        await link.close()


if __name__ == "__main__":
    # The agent says when it is over: a signal to the whole group is meant for that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open(os.devnull, "w") as nowhere:  # sippy says what it likes, numbers among it
        sys.stdout = nowhere
        asyncio.run(main(int(sys.argv[1])))
