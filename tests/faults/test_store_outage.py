"""The store is gone altogether, and compacted while a watcher is away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from control_plane.store.snapshot import read_snapshot
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support.fault_harness import ROOM, FaultHarness, fault_harness

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

OUTAGE_S = 60.0
ABSENT_S = 20.0
KNOWN = 500
RATE = 50.0  # calls per second of known clients during the outage
DEADLINE_S = 5.0
AWAY_S = 8.0


@dataclass(slots=True)
class Told:
    """What known clients heard while the store was away."""

    asked: int = 0
    stale: int = 0
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Crowd:
    """Known clients: their homes, and what they hear when they ask for them again."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._homes: dict[str, pb.ProvisionResponse] = {}

    async def settle(self) -> None:
        """Gives every client a home."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            for n in range(KNOWN):
                self._homes[f"known-{n}"] = await ask(stub, f"known-{n}", "")

    async def ask_for(self, length_s: float) -> Told:
        """Asks for the homes with the tickets, at an even rate."""
        told, names = Told(), list(self._homes)
        async with grpc.aio.insecure_channel(self._address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                while time.monotonic() < began + length_s:
                    group.create_task(self._one(stub, names[told.asked % KNOWN], told))
                    told.asked += 1
                    await asyncio.sleep(max(0.0, began + told.asked / RATE - time.monotonic()))
        return told

    async def _one(self, stub: pb_grpc.ProvisioningServiceStub, name: str, told: Told) -> None:
        was = self._homes[name].assignment
        try:
            answer = await ask(stub, name, self._homes[name].ticket)
        except grpc.aio.AioRpcError as error:
            told.failures.append(f"{name}: {error.code().name} {error.details()}")
            return
        told.stale += answer.stale
        now = answer.assignment
        if (now.unit_id, now.epoch) != (was.unit_id, was.epoch):
            told.wrong.append(name)


async def ask(
    stub: pb_grpc.ProvisioningServiceStub, name: str, ticket: str
) -> pb.ProvisionResponse:
    request = pb.ProvisionRequest(client_id=name, ticket=ticket)
    answer: pb.ProvisionResponse = await stub.Provision(request, timeout=DEADLINE_S)
    return answer


async def revive(on: FaultHarness) -> None:
    """Starts all members again."""
    for member in on.cluster.members:
        on.cluster.spawn(member)
    for member in on.cluster.members:
        await asyncio.to_thread(member.wait_until_healthy, time.monotonic() + 30.0)


async def outage(on: FaultHarness, address: str, length_s: float) -> Told:
    """Gives clients homes, kills all members, and asks for those homes with their tickets."""
    crowd = Crowd(address)
    await crowd.settle()
    on.cluster.kill()
    told = await crowd.ask_for(length_s)
    await revive(on)
    return told


def snapshot_holds_the_fleet(on: FaultHarness, file: Path) -> bool:
    """Whether a server could start from it."""
    found = read_snapshot(file, endpoints=on.cluster.endpoints)
    return found is not None and len(found.under(b"/homeport/v1/capacity/")) == len(ROOM)


async def test_known_clients_are_answered_through_a_minute_without_store(tmp_path, record):
    """P4. They show their last ticket; all three members are killed."""
    async with fault_harness(tmp_path) as on:
        (server,) = await on.serve(1)
        await on.fleet()
        told = await outage(on, server.address, OUTAGE_S)
        on.traffic(processes=1, rate=200)
        await on.flowing(400)
        outcome = await on.verdict()
    answered = told.asked - len(told.failures)
    note = f"{answered:,} of {told.asked:,} known clients answered meanwhile"
    record("all three members killed for 60 s", outcome, known_stale=told.stale, note=note)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert told.wrong == []
    assert told.failures == [], f"P4: {len(told.failures)} of {told.asked} got no answer"
    assert told.stale > told.asked * 0.9, "the store was not away"


async def test_without_answers_from_tickets_known_clients_fail(tmp_path):
    """P4 stands on the ticket that a client shows: taken out, nobody is answered."""
    async with fault_harness(tmp_path, members=1) as on:
        program = ("-m", "tests.faults.broken_server", "answer_nobody_from_tickets")
        (server,) = await on.serve(1, program=program)
        await on.fleet()
        told = await outage(on, server.address, 3.0)
    assert len(told.failures) > told.asked * 0.9


async def test_a_server_that_starts_without_its_store_answers_known_clients(tmp_path, record):
    """P4, the hard way: all three members are killed, and the server too. The one started in
    its place has seen nobody, and knows its fleet and its keys from the snapshot."""
    file = tmp_path / "snapshot"
    async with fault_harness(tmp_path) as on:
        port = await on.serve_at_one_port(f"--snapshot={file}")
        await on.fleet()
        await on.until(lambda: snapshot_holds_the_fleet(on, file), "the snapshot")
        crowd = Crowd(f"127.0.0.1:{port}")
        await crowd.settle()
        on.cluster.kill()
        on.servers[-1].kill()
        await on.serve_one(f"--listen=127.0.0.1:{port}", f"--snapshot={file}")
        told = await crowd.ask_for(ABSENT_S)
        await revive(on)
        on.servers = on.servers[-1:]
        on.traffic(processes=1, rate=200)
        await on.flowing(400)
        outcome = await on.verdict()
    answered = told.asked - len(told.failures)
    note = f"{answered:,} of {told.asked:,} known clients answered meanwhile"
    record("server started while all three members are away for 20 s", outcome,
           known_stale=told.stale, note=note)  # fmt: skip
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert told.wrong == []
    assert told.failures == [], f"P4: {len(told.failures)} of {told.asked} got no answer"
    assert told.stale == told.asked, "the store was not away"


async def test_without_its_snapshot_a_server_waits_for_its_store(tmp_path):
    """What the above stands on: taken out, nobody serves until the store is back."""
    file = tmp_path / "snapshot"
    async with fault_harness(tmp_path, members=1) as on:
        await on.serve(1, f"--snapshot={file}")
        await on.fleet()
        await on.until(lambda: snapshot_holds_the_fleet(on, file), "the snapshot")
        on.cluster.kill()
        on.servers[0].kill()
        broken = on.spawn(
            f"--snapshot={file}",
            program=("-m", "tests.faults.broken_server", "forget_the_snapshot"),
        )
        intact = await on.serve_one(f"--snapshot={file}")
        assert intact.process.poll() is None
        assert not broken.serves, "it serves, without having seen anything"
        await revive(on)
        await asyncio.to_thread(broken.__enter__)


async def test_history_compacted_while_a_provisioner_is_away_is_read_anew(tmp_path, record):
    async with fault_harness(
        tmp_path, members=1, arguments=("--heartbeat-interval=10", "--election-timeout=100")
    ) as on:
        first, second = await on.serve(2)
        await on.fleet()
        on.traffic(processes=2, rate=300, at=[first, second])
        await on.flowing()
        for _ in range(2):
            second.freeze()
            try:
                await asyncio.sleep(AWAY_S)  # its lease runs out, its watches fall behind
                await on.store.compact(on.judge.revision)
                await on.flowing(200)
                await on.store.compact(on.judge.revision)
            finally:
                second.thaw()
            on.traffic(processes=1, rate=200, at=[second, first])
            await on.flowing(1_000)
        outcome = await on.verdict()
    record("history compacted while a provisioner is stopped for 8 s", outcome)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
