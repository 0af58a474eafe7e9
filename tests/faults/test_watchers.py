"""Three thousand watchers on two provisioners, one of which is killed (-9) while a unit is
being drained: every watcher goes on at the other one, and none misses where it lives now."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import grpc
import pytest

import homeport
from control_plane import keys
from control_plane.store.etcd import EtcdStore
from control_plane.store.port import range_all
from homeport import AssignmentChange, AssignmentChangeKind
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from provisioner.ledger.assignment import decode_assignment
from tests.support import servers
from tests.support.etcd import store_of

WATCHERS = 3_000
ON_EACH_CONNECTION = 100
RELEASED = 200
RATE = 1_500.0  # moves a second: the drain takes some two seconds
WAIT_S = 120.0
IN_IRELAND = (53.3, -6.3)


class Watcher:
    """One client's application: what it was told, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: list[AssignmentChange] = []

    def hear(self, change: AssignmentChange) -> None:
        self.told.append(change)

    @property
    def home(self) -> tuple[str, int] | None:
        if not self.told or self.told[-1].assignment is None:
            return None
        return self.told[-1].assignment.unit_id, self.told[-1].assignment.epoch


@pytest.mark.faults
@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_killed_provisioner_loses_no_watcher_anything(
    own_etcd, tmp_path: Path, transport: str
) -> None:
    url = own_etcd().url
    with ExitStack() as processes:
        one, two = servers.start(processes, tmp_path, url, 2, f"--transport={transport}")
        async with AsyncExitStack() as stack:
            watchers = await watch_all(stack, one, two)
            store = await stack.enter_async_context(store_of(url))
            await until(lambda: all(w.told for w in watchers), "every watch to begin")
            await drain(two.address)
            await until(lambda: sum(len(w.told) > 1 for w in watchers) > 200, "moves")
            one.kill()
            async with homeport.AsyncClient(two.address) as client:
                for watcher in watchers[:RELEASED]:
                    await client.release(watcher.name)
            await until_drained(two.address)
            truth = await homes(store)
            assert {unit for unit, _ in truth.values()} == {"virginia"}
            await until(
                lambda: all(w.home == truth.get(w.name) for w in watchers), "everybody to know"
            )
    for watcher in watchers:
        assert watcher.told[0].kind is AssignmentChangeKind.HOME
        epochs = [change.assignment.epoch for change in watcher.told if change.assignment]
        assert epochs == sorted(set(epochs)), "told twice, or out of order"


async def watch_all(
    stack: AsyncExitStack, one: servers.Server, two: servers.Server
) -> list[Watcher]:
    """Provisions everybody at dublin, and watches, half of them on each server."""
    await servers.apply(one.address, servers.units(dublin=WATCHERS, virginia=2 * WATCHERS))
    watchers = [Watcher(f"client-{n}") for n in range(WATCHERS)]
    at = [homeport.ClientAt(client_id=w.name, position=IN_IRELAND) for w in watchers]
    async with homeport.AsyncClient(one.address) as client, asyncio.timeout(WAIT_S):
        await seen_by(client)
        async for result in client.provision_many(at, with_tickets=False):
            assert result.ok, result.error
    for start in range(0, WATCHERS, ON_EACH_CONNECTION):
        order = [one, two] if start % (2 * ON_EACH_CONNECTION) else [two, one]
        client = await stack.enter_async_context(
            homeport.AsyncClient([server.address for server in order])
        )
        for watcher in watchers[start : start + ON_EACH_CONNECTION]:
            await stack.enter_async_context(client.follow(watcher.name, watcher.hear))
    return watchers


async def seen_by(client: homeport.AsyncClient) -> None:
    """Returns when the server places clients at dublin."""
    while True:
        try:
            home = await client.provision("probe", position=IN_IRELAND)
        except homeport.Refused:
            await asyncio.sleep(0.05)
            continue
        await client.release("probe")
        if home.unit_id == "dublin":
            return


async def drain(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        await fleet_grpc.FleetServiceStub(channel).DrainUnit(
            fleet.DrainUnitRequest(unit_id="dublin", rate_per_s=RATE), timeout=WAIT_S
        )


async def until_drained(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(WAIT_S):
        stub = fleet_grpc.FleetServiceStub(channel)
        while True:
            unit = await stub.GetUnit(fleet.GetUnitRequest(unit_id="dublin"), timeout=WAIT_S)
            if unit.state == fleet.UNIT_STATE_DRAINED:
                return
            await asyncio.sleep(0.1)


async def homes(store: EtcdStore) -> dict[str, tuple[str, int]]:
    """Where everybody lives, as the store has it."""
    found = {}
    for pair in (await range_all(store, keys.ASSIGNMENTS)).items:
        record = decode_assignment(pair.value)
        found[pair.key.decode().rpartition("/")[2]] = (record.unit, record.epoch)
    return found


async def until(condition, what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - the others are processes
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None
