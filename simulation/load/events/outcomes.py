"""Outcomes: reads along what became of instructions, and counts it second by second, until all that
must come has come or nothing has for a while.

An outcome tells which event caused it, and the id of an event when that was due: so how long it
took is counted from there, as of every call of a load.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc
from simulation.load.connections import LoadServers
from simulation.load.counts import LoadSecond
from simulation.load.events.messages import due_in
from simulation.load.events.publishing import EventJob
from simulation.load.latencies import Latencies

OUTCOMES = "homeport.instruction.outcome"
DONE = "done"
AGAIN_S = 0.5
QUIET_S = 30.0  # nothing comes for so long: nothing more will


class Outcomes:
    """What came since the second began, and in all. began_s: of the run, on `clock`."""

    def __init__(self, source: str, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._took_s: list[float] = []
        self.began_s = 0.0
        self.now = LoadSecond(second=0)
        self.done = 0
        self.heard_s = 0.0  # when the last one came

    def heard(self, data: dict[str, Any]) -> None:
        """An outcome, as its event says it; those of others do not count."""
        causes = [one for one in data.get("causes", ()) if one.get("source") == self._source]
        due_s = due_in(causes[0]["id"]) if causes else None
        if due_s is None:
            return
        self.heard_s = self._clock()
        self.now.outcomes[str(data["status"])] += 1
        if data["status"] == DONE:
            self.done += 1
            self._took_s.append(max(0.0, self.heard_s - self.began_s - due_s))

    def finish(self) -> LoadSecond:
        """The second that is over; another begins."""
        over = self.now
        if self._took_s:
            held = Latencies()
            held.record(self._took_s)
            over.outcome_latency = held.encoded()
        self._took_s = []
        self.now = LoadSecond(second=over.second + 1)
        return over


def channel_to(servers: LoadServers) -> grpc.aio.Channel:
    """To the first of them. Raises OSError for a file that cannot be read."""
    if not servers.ca:
        return grpc.aio.insecure_channel(servers.addresses[0])
    shown = (
        (Path(servers.key).read_bytes(), Path(servers.certificate).read_bytes())
        if (servers.certificate)
        else (None, None)
    )
    roots = None if servers.ca == "system" else Path(servers.ca).read_bytes()
    return grpc.aio.secure_channel(
        servers.addresses[0], grpc.ssl_channel_credentials(roots, *shown)
    )


async def read_outcomes(job: EventJob, servers: LoadServers, outcomes: Outcomes) -> None:
    """All outcomes behind the job's position, as they come, until it is cancelled. A stream that
    breaks is opened again where it was."""
    token = job.publishers.token
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    position = job.after_position
    async with channel_to(servers) as channel:
        feeds = feed_pb2_grpc.FeedServiceStub(channel)
        while True:
            request = feed_pb2.TailRequest(
                tenant=job.publishers.tenant, feeds=[OUTCOMES], after_position=position, follow=True
            )
            try:
                async for answer in feeds.Tail(request, metadata=metadata):
                    for one in answer.events:
                        content = one.event.text_data or one.event.binary_data
                        outcomes.heard(json.loads(content))
                    position = answer.position
            except grpc.aio.AioRpcError:
                pass  # it is away, and the outcomes are kept
            await asyncio.sleep(AGAIN_S)


async def follow_outcomes(
    job: EventJob,
    servers: LoadServers,
    *,
    clock: Callable[[], float] = time.monotonic,
    begin: Callable[[], float],
    expected: Callable[[], int | None],
    tell: Callable[[LoadSecond], None],
) -> None:
    """Returns once all have come, or nothing has for QUIET_S. begin: blocks until the clock starts,
    and says when it does; expected: how many must come, None while that is not known; tell: is
    given each second."""
    outcomes = Outcomes(job.publishers.source, clock)
    reading = asyncio.create_task(read_outcomes(job, servers, outcomes))
    try:
        outcomes.began_s = await asyncio.to_thread(begin)
        outcomes.heard_s = outcomes.began_s
        wanted: int | None = None
        while wanted is None or outcomes.done < wanted:
            next_s = outcomes.began_s + outcomes.now.second + 1
            await asyncio.sleep(max(0.0, next_s - clock()))
            tell(outcomes.finish())
            if wanted is None:
                wanted = expected()
                outcomes.heard_s = max(outcomes.heard_s, clock() if wanted is not None else 0.0)
            elif clock() - outcomes.heard_s > QUIET_S:
                break
            if reading.done():
                reading.result()  # it never ends by itself: what is wrong is raised
        tell(outcomes.finish())
    finally:
        reading.cancel()
