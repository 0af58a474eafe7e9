"""Events over gRPC and HTTP from one loop: good, refused, late and lost, on both ways alike; and
outcomes, counted from when their events were due."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from aiohttp import web

from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc
from simulation.load.connections import LoadServers
from simulation.load.counts import LoadSecond, together
from simulation.load.events.event_kinds import EventKind, EventSettings, Way, kind_of
from simulation.load.events.event_recorder import EventRecorder
from simulation.load.events.messages import EventEncoder, Publishers, due_in, event_id
from simulation.load.events.outcomes import Outcomes
from simulation.load.events.publishing import EventJob, WaysOut
from simulation.load.latencies import Latencies
from simulation.load.open_loop import OpenLoop
from simulation.load.plan import LoadPlan
from simulation.load.settings import LoadSettings
from simulation.population.population import Population
from tests.support.scripted_provisioning import details

PUBLISHERS = Publishers(tenant="default", run="r1", token="secret")
QUIET, INVOKING = EventKind.QUIET, EventKind.INVOKING


class Feeds(feed_pb2_grpc.FeedServiceServicer):
    """Both doors of a data-sharing server that keeps what it is given and answers as told."""

    def __init__(self) -> None:
        self.over_grpc: list[Any] = []
        self.over_http: list[tuple[Any, Any]] = []
        self.refuse: Callable[[str, int], bool] = lambda name, times: False
        self.times: dict[str, int] = {}

    def _refused(self, name: str) -> bool:
        self.times[name] = self.times.get(name, 0) + 1
        return self.refuse(name, self.times[name])

    async def PublishEvent(self, request: Any, context: Any) -> Any:
        self.over_grpc.append((request, dict(context.invocation_metadata())))
        if self._refused(request.event.id):
            context.set_trailing_metadata(details("LOG_AWAY", 0.01))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return feed_pb2.PublishEventResponse(position=len(self.over_grpc))

    async def post(self, request: web.Request) -> web.Response:
        document = await request.json()
        self.over_http.append((request.headers, document))
        if self._refused(document["id"]):
            return web.json_response({"error": {}}, status=503, headers={"Retry-After": "0"})
        return web.json_response({"position": len(self.over_http), "duplicate": False})


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Feeds, str, str]]:
    feeds, server = Feeds(), grpc.aio.server()
    feed_pb2_grpc.add_FeedServiceServicer_to_server(feeds, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    application = web.Application()
    application.router.add_post("/v1/tenants/default/events", feeds.post)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield feeds, f"127.0.0.1:{port}", f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await server.stop(None)
        await runner.cleanup()


def planned(*calls: tuple[float, EventKind, Way, int]) -> LoadPlan:
    """at, kind, way, user."""
    return LoadPlan(
        at_s=np.array([at for at, _, _, _ in calls]),
        kinds=np.array([kind_of(kind, way) for _, kind, way, _ in calls], dtype=np.uint8),
        users=np.array([user for _, _, _, user in calls], dtype=np.int64),
        places=np.zeros(len(calls), dtype=np.uint16),
        prepared=np.empty(0, dtype=np.int64),
    )


async def ran(grpc_: str, http: str, plan: LoadPlan, population: Population, **given: Any) -> Any:
    settings = LoadSettings(**{"connections": 1, "timeout_s": 20.0, **given})
    seconds: list[LoadSecond] = []
    servers = LoadServers(addresses=[grpc_])
    job = EventJob(events=EventSettings(), publishers=PUBLISHERS, http=http)
    encoder = EventEncoder(
        PUBLISHERS, population, process=0, at_s=plan.at_s, grpc_host=grpc_, http_host=http,
        scheme="http", seed=1, timeout_s=settings.timeout_s,
    )  # fmt: skip
    loop = OpenLoop(
        servers, settings, encoder, EventRecorder(time.process_time),
        clock=time.monotonic, tell=seconds.append,
        pool=lambda heard: WaysOut(job, servers, settings.connections, heard),
    )  # fmt: skip
    await loop.connect()
    async with asyncio.timeout(60):
        await loop.run(plan, time.monotonic())
    return together(seconds, 0)


async def test_events_go_both_ways_and_say_the_same(population: Population) -> None:
    plan = planned((0.0, INVOKING, Way.GRPC, 3), (0.01, QUIET, Way.HTTP, 4),
                   (0.02, INVOKING, Way.HTTP, 3))  # fmt: skip
    async with serving() as (feeds, grpc_, http):
        told = await ran(grpc_, http, plan, population)
    assert told.good == {"grpc": 1, "http": 2}
    assert told.outcomes_due == 2
    assert set(told.latencies) == {"grpc", "http"}
    ((request, metadata),) = feeds.over_grpc
    assert (request.tenant, request.event.source) == ("default", "/load/r1")
    assert metadata["authorization"] == "Bearer secret"
    assert json.loads(request.event.text_data) == {
        "does": "invoking-0", "country": population.user(3, 1).country, "step": 0,
    }  # fmt: skip
    headers, document = feeds.over_http[1]
    assert headers["authorization"] == "Bearer secret"
    assert document["subject"] == request.event.attributes["subject"].ce_string == "load-r1-3"
    assert due_in(document["id"]) == pytest.approx(0.02)


async def test_who_is_refused_brings_the_same_event_again(population: Population) -> None:
    plan = planned((0.0, QUIET, Way.GRPC, 1), (0.0, QUIET, Way.HTTP, 2))
    async with serving() as (feeds, grpc_, http):
        feeds.refuse = lambda name, times: times == 1
        told = await ran(grpc_, http, plan, population, retries=1)
    assert told.good == {"grpc": 1, "http": 1}
    assert told.refused == {"LOG_AWAY": 1, "UNAVAILABLE": 1}
    assert (told.came_back, told.lost) == (2, 0)
    assert set(feeds.times.values()) == {2}


async def test_an_http_answer_that_comes_too_late_is_nobodys(population: Population) -> None:
    """Its connection goes with it: the next one has its own answer."""
    came = asyncio.Event()

    async with serving() as (feeds, grpc_, _):
        answer = feeds.post

        async def slow(request: web.Request) -> web.Response:
            made = await answer(request)
            if len(feeds.over_http) == 1:
                await came.wait()
            return made

        application = web.Application()
        application.router.add_post("/v1/tenants/default/events", slow)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            plan = planned((0.0, QUIET, Way.HTTP, 1), (2.0, INVOKING, Way.HTTP, 2))
            port = runner.addresses[0][1]
            told = await ran(grpc_, f"127.0.0.1:{port}", plan, population, timeout_s=1.0)
        finally:
            came.set()
            await runner.cleanup()
    assert told.failed == {"no answer in time": 1}
    assert told.good == {"http": 1}


def test_outcomes_count_from_when_their_events_were_due() -> None:
    now = [100.0]
    outcomes = Outcomes("/load/r1", lambda: now[0])
    outcomes.began_s = 100.0

    def heard(source: str, name: str, status: str) -> None:
        outcomes.heard({"status": status, "causes": [{"source": source, "id": name}]})

    now[0] = 103.0
    heard("/load/r1", event_id(0, 7, 2.5), "done")
    heard("/load/r1", event_id(0, 8, 2.5), "failed")
    heard("/load/other", event_id(0, 9, 2.5), "done")
    heard("/load/r1", "no id of ours", "done")
    outcomes.heard({"status": "done"})
    over = outcomes.finish()
    assert over.outcomes == {"done": 1, "failed": 1}
    assert outcomes.done == 1
    whole = together([over, outcomes.finish()], 0)
    assert whole.outcomes == over.outcomes
    assert Latencies(whole.outcome_latency).max_ms() == pytest.approx(500.0, rel=0.01)
