"""Clients that came to held places are told of until that is written, and once if it goes well."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager

import grpc

from control_plane.identity.admission import TicketVerifier
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from deployment_units.agent.admitted import BATCH, AdmittedHolds
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.wiring import build_agent
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support.fakes.fleet_service import FakeFleet

WAIT_S = 10.0
ISSUER = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))


def names(count: int) -> list[tuple[str, str, int]]:
    return [("t", f"c{n}", 1) for n in range(count)]


def holds_of(clients: list[tuple[str, str, int]], **bounds: int) -> AdmittedHolds:
    holds = AdmittedHolds(**bounds)
    for client in clients:
        holds.add(*client)
    return holds


def test_each_client_is_told_once_and_again_for_its_next_epoch() -> None:
    holds = holds_of([("t", "a", 1), ("t", "a", 1), ("u", "a", 1), ("t", "a", 2)])
    stream = holds.begin_stream()
    assert holds.next_batch(stream) == (("t", "a", 1), ("u", "a", 1), ("t", "a", 2))
    holds.acknowledge(stream, 3)
    holds.add("t", "a", 1)
    assert len(holds) == 0
    assert not holds.waiting.is_set()


def test_what_was_told_stays_until_as_much_was_written() -> None:
    holds = holds_of(names(3))
    stream = holds.begin_stream()
    first = holds.next_batch(stream)
    holds.acknowledge(stream, 2)
    assert holds.next_batch(stream) == ()
    holds.add("t", "later", 1)
    holds.acknowledge(stream, 3)
    assert holds.next_batch(stream) == (("t", "later", 1),)
    holds.acknowledge(stream, 3)
    assert len(holds) == 1
    holds.acknowledge(stream, 4)
    assert len(holds) == 0
    assert len(first) == 3


def test_after_a_break_it_is_told_again_and_counted_anew() -> None:
    holds = holds_of(names(3))
    stream = holds.begin_stream()
    holds.next_batch(stream)
    stream = holds.begin_stream()
    assert holds.next_batch(stream) == tuple(names(3))
    holds.acknowledge(stream, 3)
    assert len(holds) == 0


def test_an_answer_to_something_else_acknowledges_nothing() -> None:
    holds = holds_of(names(1))
    stream = holds.begin_stream()
    holds.acknowledge(stream, 0)
    holds.next_batch(stream)
    holds.acknowledge(stream, 0)
    assert len(holds) == 1


def test_batches_are_bounded_and_nothing_gets_lost_between_them() -> None:
    clients = names(2 * BATCH + 5)
    holds = holds_of(clients)
    stream = holds.begin_stream()
    assert holds.many.is_set()
    seen: list[tuple[str, str, int]] = []
    while part := holds.next_batch(stream):
        assert len(part) <= BATCH
        seen += part
        holds.acknowledge(stream, len(seen))
    assert seen == clients


def test_memory_is_bounded_whatever_happens() -> None:
    holds = holds_of(names(25), kept=10, remembered=10)
    stream = holds.begin_stream()
    assert len(holds) == 10
    assert holds.dropped == 15
    holds.next_batch(stream)
    holds.acknowledge(stream, 10)
    assert len(holds._acknowledged) == 10
    for client in names(25):
        holds.add(*client)
    holds.next_batch(stream)
    holds.acknowledge(stream, 20)
    assert len(holds._acknowledged) == 10


def test_the_end_of_an_old_line_takes_nothing_away_from_the_new_one() -> None:
    """A stream that broke may ask for its next beat once more."""
    holds = holds_of(names(2))
    old = holds.begin_stream()
    new = holds.begin_stream()
    assert holds.next_batch(old) == ()
    assert holds.next_batch(new) == tuple(names(2))
    holds.acknowledge(old, 2)
    assert len(holds) == 2
    holds.acknowledge(new, 2)
    assert len(holds) == 0


async def until(condition) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.01)


@asynccontextmanager
async def agent(address: str):
    """An agent of unit u, and how to be admitted by it."""
    built = build_agent(AgentSettings(unit="u", server=address), None)
    await built.server.start()
    stream = asyncio.create_task(built.registration.run())
    async with asyncio.timeout(WAIT_S):
        await built.registration.registered.wait()
    async with grpc.aio.insecure_channel(built.endpoint) as channel:
        stub = unit_pb2_grpc.UnitServiceStub(channel)

        async def admit(client: str, *, held: bool, unit: str = "u") -> bool:
            ticket = ISSUER.issue(unit, "t", client, 1, time.time(), 60.0, held=held)
            answer = await stub.Admit(unit_pb2.AdmitRequest(ticket=ticket), timeout=WAIT_S)
            admitted: bool = answer.admitted
            return admitted

        try:
            yield admit
        finally:
            built.registration.leave()
            await asyncio.wait_for(stream, WAIT_S)
            await built.server.stop(0)


async def test_an_agent_tells_of_held_clients_it_admitted_and_of_no_others() -> None:
    fleet = FakeFleet(ISSUER)
    async with fleet.serving() as address, agent(address) as admit:
        assert await admit("plain", held=False)
        assert not await admit("stranger", held=True, unit="v")
        for _ in range(3):
            assert await admit("held", held=True)
        await until(lambda: fleet.admitted)
        beats = len(fleet.beats)
        assert await admit("held", held=True)
        await until(lambda: len(fleet.beats) > beats + 2)
    assert fleet.admitted == [("t", "held", 1)]


async def test_an_agent_tells_again_after_a_break_what_was_not_acknowledged() -> None:
    fleet = FakeFleet(ISSUER)
    fleet.forgetful = True
    async with fleet.serving() as address, agent(address) as admit:
        assert await admit("held", held=True)
        await until(lambda: fleet.admitted)
        assert fleet.admitted == [("t", "held", 1)]
        fleet.forgetful = False
        fleet.end_streams()
        await until(lambda: len(fleet.admitted) == 2)
        beats = len(fleet.beats)
        await until(lambda: len(fleet.beats) > beats + 2)
    assert fleet.admitted == [("t", "held", 1)] * 2


async def test_eddsa_tickets_carry_the_hold_too() -> None:
    door = TicketVerifier("u", ISSUER.keys_for("u"))
    now = time.time()
    for issue in (ISSUER.issue, ISSUER.issue_eddsa):
        assert door.verify(issue("u", "t", "a", 1, now, 60.0, held=True), now).held
        assert not door.verify(issue("u", "t", "a", 1, now, 60.0), now).held
