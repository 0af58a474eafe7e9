"""A load against a server of gRPC's own: users arrive when they are due, come back when they are
told to, and are given up in time."""

from __future__ import annotations

import asyncio
import itertools
import time
import tracemalloc
from typing import Any

import grpc
import numpy as np
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from simulation.load.calls import CallEncoder, Callers
from simulation.load.connections import LoadServers
from simulation.load.counts import LoadSecond, together
from simulation.load.latencies import Latencies
from simulation.load.open_loop import CHUNK, OpenLoop, arriving_calls
from simulation.load.plan import LoadPlan
from simulation.load.preparation import BATCH, FULL_TRIES, TRIES
from simulation.load.recorder import Recorder
from simulation.load.settings import LoadSettings
from simulation.load.user_kinds import UserKind
from simulation.population.population import Population
from tests.support.scripted_provisioning import at_home, home, refused, serving, turned_away


def planned(*calls: tuple[float, int, int], prepared: tuple[int, ...] = ()) -> LoadPlan:
    """at, kind, user."""
    return LoadPlan(
        at_s=np.array([at for at, _, _ in calls]),
        kinds=np.array([kind for _, kind, _ in calls], dtype=np.uint8),
        users=np.array([user for _, _, user in calls], dtype=np.int64),
        places=np.zeros(len(calls), dtype=np.uint16),
        prepared=np.array(prepared, dtype=np.int64),
    )


async def ran(
    address: str,
    plan: LoadPlan,
    population: Population,
    *,
    callers: Callers | None = None,
    homeless: int = 0,
    **given: Any,
) -> LoadSecond:
    settings = LoadSettings(**{"connections": 1, "timeout_s": 20.0, **given})
    seconds: list[LoadSecond] = []
    servers = LoadServers(addresses=[address])
    encoder = CallEncoder(
        callers or Callers(tenant="default", run="r", token="secret"), population,
        authority=address, scheme="http", seed=settings.seed, timeout_s=settings.timeout_s,
    )  # fmt: skip
    loop = OpenLoop(
        servers, settings, encoder, Recorder(time.process_time),
        clock=time.monotonic, tell=seconds.append,
    )  # fmt: skip
    await loop.connect()
    assert await loop.prepare(plan.prepared, encoder, lambda done: None) == homeless
    async with asyncio.timeout(60):
        await loop.run(plan, time.monotonic())
    assert [one.second for one in seconds] == list(range(len(seconds)))
    return together(seconds, 0)


async def test_users_arrive_whether_or_not_those_before_them_are_answered(
    population: Population,
) -> None:
    """A loop that waits for answers would never send the second one."""
    second_came = asyncio.Event()

    async def held(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        if request.client_id.endswith("-0"):
            await second_came.wait()
        else:
            second_came.set()
        return home(request, times, context)

    async with serving(held) as (_, address):
        plan = planned((0.0, UserKind.NEW, 0), (0.05, UserKind.NEW, 1))
        told = await ran(address, plan, population)
    assert told.good["new"] == 2
    assert told.started == 2
    assert told.homes == {"eu-west": 2}
    latencies = Latencies(told.latencies["new"])
    assert latencies.max_ms() >= 50.0  # who had to wait, waited since it was due


async def test_a_stalled_generator_is_charged_for_all_who_were_due(population: Population) -> None:
    def stalled(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        if request.client_id.endswith("-0"):
            time.sleep(0.3)  # generator and server share a loop here: both stand still
        return home(request, times, context)

    async with serving(stalled) as (_, address):
        plan = planned(*((0.01 * number, UserKind.NEW, number) for number in range(20)))
        told = await ran(address, plan, population)
    held = Latencies(told.latencies["new"])
    assert held.count == 20
    assert held.at_ms(50) >= 100.0  # sent to answered would be a few ms for all but one
    assert Latencies(told.late).max_ms() >= 100.0


async def test_who_is_refused_comes_back_when_it_was_told_to_and_no_sooner(
    population: Population,
) -> None:
    def once(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        return refused(context, "OVERLOADED", 0.2) if times == 1 else home(request, times, context)

    async with serving(once) as (service, address):
        told = await ran(address, planned((0.0, UserKind.NEW, 5)), population, retries=1)
    assert (told.asked, told.came_back, told.arrived.total(), told.lost) == (2, 1, 1, 0)
    assert told.refused == {"OVERLOADED": 1}
    assert told.good.total() == 1
    assert told.delays_s == pytest.approx([0.2])
    assert service.asked[1][0] - service.asked[0][0] >= 0.2


async def test_who_may_not_come_back_any_more_is_lost(population: Population) -> None:
    def never(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        return refused(context, "OVERLOADED", 0.01)

    async with serving(never) as (_, address):
        told = await ran(address, planned((0.0, UserKind.NEW, 5)), population, retries=2)
    assert (told.asked, told.came_back, told.lost) == (3, 2, 1)


@pytest.mark.parametrize("delay_s", [None, "no details"])
async def test_a_refusal_that_says_nothing_of_when_is_counted_as_silent(
    population: Population, delay_s: Any
) -> None:
    async def silent(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        if delay_s is None:
            await refused(context, "OVERLOADED", None)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

    async with serving(silent) as (_, address):
        told = await ran(address, planned((0.0, UserKind.NEW, 5)), population, retries=5)
    assert (told.refused.total(), told.silent, told.came_back, told.lost) == (1, 1, 0, 1)


async def test_who_is_not_answered_in_time_is_given_up(population: Population) -> None:
    cancelled = asyncio.Event()

    async def never(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        try:
            await asyncio.sleep(3_600)
        finally:
            cancelled.set()

    async with serving(never) as (_, address):
        told = await ran(address, planned((0.0, UserKind.NEW, 5)), population, timeout_s=0.2)
        async with asyncio.timeout(20):
            await cancelled.wait()
    assert told.failed == {"no answer in time": 1} or told.failed == {"grpc-status 4": 1}
    assert told.good.total() == 0


async def test_known_users_have_a_home_before_the_clock_starts(population: Population) -> None:
    """In bulk, where a gateway speaks for them."""

    def some(one: pb.ClientOrigin, times: int) -> pb.ProvisionResult:
        if one.client_id.endswith("-3"):
            return turned_away(one, "UNAVAILABLE", 0.001)
        if one.client_id.endswith("-4"):
            return turned_away(one, "INVALID_ARGUMENT", None)
        if one.client_id.endswith("-5"):
            return turned_away(one, "RESOURCE_EXHAUSTED", 0.001)
        if one.client_id.endswith("-6") and times == 1:
            return turned_away(one, "UNAVAILABLE", 0.001)
        return at_home(one, times)

    everybody = tuple(range(1, BATCH + 11))
    async with serving(home, some) as (service, address):
        plan = planned((0.0, UserKind.KNOWN, 1), prepared=everybody)
        told = await ran(address, plan, population, homeless=3)
    assert told.good == {"known": 1}
    assert service.times["load-r-2"] == 1
    assert service.times["load-r-3"] == TRIES + 1
    assert service.times["load-r-4"] == 1
    assert service.times["load-r-5"] == FULL_TRIES + 1
    assert service.times["load-r-6"] == 2
    assert service.batches[:2] == [BATCH, 10]
    _, asked, headers = service.asked[0]
    assert headers["authorization"] == "Bearer secret"
    assert asked.without_tickets
    assert [one.address for one in asked.clients[:3]] == [
        population.user(number, 1).address for number in (1, 2, 3)
    ]


async def test_clients_of_their_own_get_their_homes_one_by_one(population: Population) -> None:
    def some(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        if request.client_id.endswith("-3"):
            return refused(context, "STORE_UNAVAILABLE", 0.01)
        return home(request, times, context)

    callers = Callers(tenant="default", run="r", group="line", group_key="k" * 43)
    async with serving(some) as (service, address):
        plan = planned((0.0, UserKind.KNOWN, 1), prepared=(1, 2, 3))
        told = await ran(address, plan, population, callers=callers, homeless=1)
    assert told.good == {"known": 1}
    assert told.started == 0
    assert service.times["load-r-2"] == 1
    assert service.batches == []


def test_a_plan_of_millions_stays_arrays(population: Population) -> None:
    """Its calls are made as they are asked for."""
    many = 1_000_000
    plan = LoadPlan(
        at_s=np.arange(many, dtype=np.float64),
        kinds=np.zeros(many, dtype=np.uint8),
        users=np.arange(many, dtype=np.int64),
        places=np.zeros(many, dtype=np.uint16),
        prepared=np.empty(0, dtype=np.int64),
    )
    tracemalloc.start()
    try:
        arriving = arriving_calls(plan)
        first = next(arriving)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (first.user, first.due_s) == (0, 0.0)
    assert peak < 4 << 20
    *_, last = itertools.islice(arriving, CHUNK + 5)
    assert (last.user, last.due_s) == (CHUNK + 5, CHUNK + 5.0)


async def test_what_a_gateway_and_what_clients_show(population: Population) -> None:
    async with serving(home) as (service, address):
        told = await ran(address, planned((0.0, UserKind.NEW, 4)), population)
        released = await ran(address, planned((0.0, UserKind.RELEASED, 4)), population)
        as_clients = Callers(
            tenant="default", run="c", group="line", group_key="k" * 43, forwarded=True
        )
        await ran(address, planned((0.0, UserKind.NEW, 4)), population, callers=as_clients)
    assert told.good == {"new": 1}
    assert released.good == {"released": 1}  # also one that has no home
    _, asked, headers = service.asked[0]
    assert asked.address == population.user(4, 1).address
    assert headers["authorization"] == "Bearer secret"
    _, asked, headers = service.asked[-1]
    assert asked.address == ""
    assert headers["authorization"].startswith("Bearer hmac.line.")
    assert len(headers["homeport-client-key"]) == 43
    assert headers["x-forwarded-for"] == population.user(4, 1).address


async def test_where_nobody_answers_users_count_as_failed(population: Population) -> None:
    """The server goes with the first call; who comes before it has gone is never answered."""

    async def leaves(request: pb.ProvisionRequest, times: int, context: Any) -> Any:
        if not leaving:
            leaving.append(asyncio.ensure_future(service.server.stop(None)))
        await asyncio.Event().wait()

    leaving: list[Any] = []
    async with serving(leaves) as (service, address):
        plan = planned(*((0.02 * number, UserKind.NEW, number) for number in range(30)))
        told = await ran(address, plan, population)
    assert told.good.total() == 0
    assert told.refused.total() + told.failed.total() == told.lost == told.asked == 30
