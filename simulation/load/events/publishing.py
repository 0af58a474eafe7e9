"""Publishing: what one process of a load with events is made of, and where its calls go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from simulation.load.connections import Connections, Heard, LoadConnection, LoadServers
from simulation.load.counts import LoadSecond
from simulation.load.events.event_kinds import EventSettings, Way, way_in
from simulation.load.events.event_plan import event_plan_of
from simulation.load.events.event_recorder import EventRecorder
from simulation.load.events.http_connection import HttpUserConnection
from simulation.load.events.messages import EventEncoder, Publishers
from simulation.load.open_loop import OpenLoop
from simulation.load.plan import LoadPlan, Longitudes
from simulation.load.settings import LoadSettings
from simulation.population.population import Population


@dataclass(frozen=True, slots=True, kw_only=True)
class EventJob:
    """http: host:port of the HTTP server; empty: all goes over gRPC. after_position: outcomes of
    the run are behind it in the log."""

    events: EventSettings
    publishers: Publishers
    http: str = ""
    after_position: int = 0


class WaysOut:
    """A ConnectionPool of both kinds: to the gRPC servers, and to the HTTP server where there is
    one."""

    def __init__(self, job: EventJob, servers: LoadServers, count: int, heard: Heard) -> None:
        self._pools = [Connections(servers, count, heard)]
        if job.http:
            to = replace(servers, addresses=[job.http], protocol="http/1.1")
            self._pools.append(Connections(to, count, heard, HttpUserConnection))

    async def connect(self) -> None:
        """Opens all of them. Raises OSError and TimeoutError where one cannot be opened."""
        for pool in self._pools:
            await pool.connect()

    async def mend(self) -> None:
        """Opens again what goes, until it is cancelled."""
        await asyncio.gather(*(pool.mend() for pool in self._pools))

    def pick(self, kind: int) -> LoadConnection | None:
        """One that has room for a call of this kind; None: none has."""
        return self._pools[1 if way_in(kind) is Way.HTTP else 0].pick()

    @property
    def connected(self) -> bool:
        """Whether any is open, with room or not."""
        return any(pool.connected for pool in self._pools)

    @property
    def under_way(self) -> int:
        """Calls on all of them."""
        return sum(pool.under_way for pool in self._pools)

    def flush(self) -> None:
        """Sends what was opened since."""
        for pool in self._pools:
            pool.flush()

    def close(self) -> None:
        """Ends all of them."""
        for pool in self._pools:
            pool.close()


def event_loop_of(
    job: EventJob,
    settings: LoadSettings,
    servers: LoadServers,
    *,
    process: int,
    population: Population,
    longitudes: Longitudes,
    tell: Callable[[LoadSecond], None],
) -> tuple[OpenLoop, LoadPlan]:
    """The loop of process number `process`, and its plan. tell: is given each second."""
    events = job.events if job.http else replace(job.events, http_share=0.0)
    plan = event_plan_of(settings, events, process, longitudes)
    encoder = EventEncoder(
        job.publishers,
        population,
        process=process,
        at_s=plan.at_s,
        grpc_host=servers.addresses[0],
        http_host=job.http,
        scheme=servers.scheme,
        seed=settings.seed,
        timeout_s=settings.timeout_s,
    )
    loop = OpenLoop(
        servers,
        settings,
        encoder,
        EventRecorder(time.process_time),
        clock=time.monotonic,
        tell=tell,
        pool=lambda heard: WaysOut(job, servers, settings.connections, heard),
    )
    return loop, plan
