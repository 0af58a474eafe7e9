"""Nobody makes a client of a tenant that is being removed, whatever his server has heard of it."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from control_plane import keys
from control_plane.errors import DataLoss, Refused, ServiceError
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.records import decode_tenant, encode_tenant
from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.tenant_removal import TenantRemover
from control_plane.fleet.unit import TenantId, TenantRemoval, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import MAX_OPERATIONS, Delete, KeyValue, Put, Store, Txn
from provisioner.fleet_view import FleetView
from provisioner.ledger.fences import Fences
from provisioner.ledger.single_store import single_store_ledger
from provisioner.ledger.store_ledger import StoreLedger
from provisioner.ledger.tenant_fence import TenantFence
from provisioner.provisioning.tenant_clients import TenantClients
from tests.support.ledger_operations import WAIT_S, FirstWithRoom
from tests.support.supervision import FailFast

RACERS = 16
SHOP = TenantSpec(id=TenantId("shop"))
names = itertools.count()


@pytest.fixture
async def store(tmp_path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    record = CapacityRecord(capacity=10_000)
    await opened.commit(Txn(then=[Put(keys.capacity("a"), encode_capacity(record))]))
    yield opened
    await opened.close()


@asynccontextmanager
async def server(
    store: Store, *, hears: bool = True, fenced: bool = True
) -> AsyncIterator[StoreLedger]:
    """A ledger beside what its server knows of tenants. hears: whether it hears of changes."""
    known = FleetView(store, clock=time.monotonic)
    await known.start()
    fence = TenantFence(heard=known.heard_of_tenants, taking=known.taking_clients)
    ledger = single_store_ledger(
        store,
        clock=time.monotonic,
        jitter=lambda: 0.0,
        new_id=lambda: f"p{next(names)}",
        supervisor=FailFast(),
        fences=Fences(fence) if fenced else Fences(),
    )
    await ledger.start()
    ledger.follow(["a"])
    tasks = [asyncio.create_task(ledger.run())]
    if hears:
        tasks.append(asyncio.create_task(known.run()))
    await asyncio.sleep(0)
    try:
        yield ledger
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(
    ledger: StoreLedger, client: str, *, within_s: float = WAIT_S, tenant: str = "shop"
) -> tuple[str, str]:
    wish = FirstWithRoom(ledger, client, ["a"], tenant=tenant)
    wish.expires_at = time.monotonic() + within_s
    choice = wish.choose()
    if isinstance(choice, ServiceError):
        return ("failed", choice.reason)
    wish.account = choice
    ledger.submit(wish)
    return await asyncio.wait_for(wish.outcome, WAIT_S)


def remover_of(store: Store, name: str = "p-remover") -> TenantRemover:
    async def nobody_is_released(tenant: str, client: str) -> bool:
        raise AssertionError("asked to release")

    clients = TenantClients(store, [store], store, release=nobody_is_released)
    return TenantRemover(store, clients, session=lambda: name, clock=time.monotonic)


async def clients_of(store: Store) -> list[bytes]:
    return [pair.key for pair in (await store.range(keys.assignments_of("shop"))).items]


async def test_a_server_that_has_not_heard_of_the_removal_makes_no_client(store):
    await TenantRegistry(store).apply(SHOP)
    async with server(store, hears=False) as deaf:
        assert (await ask(deaf, "before"))[0] == "new"
        with pytest.raises(Refused, match="has clients"):
            await remover_of(store).remove("shop")
        stands = await store.get(keys.tenant("shop"))
        assert decode_tenant(stands) == SHOP
        assert (await ask(deaf, "after", within_s=0.5))[0] == "failed"
        assert (await ask(deaf, "before", within_s=0.5))[0] == "failed"
    async with server(store) as anew:  # which knows that the tenant stands
        assert (await ask(anew, "again"))[0] == "new"


async def test_without_the_fence_such_a_server_makes_an_orphan(store):
    """So that the tests beside this one are known to look where it happens."""
    await TenantRegistry(store).apply(SHOP)
    async with server(store, hears=False, fenced=False) as deaf:
        await remover_of(store).remove("shop")
        assert (await ask(deaf, "orphan", within_s=1.0))[0] == "new"
    async with server(store, hears=False) as late:
        assert (await ask(late, "another", within_s=0.5))[0] == "failed"


async def test_clients_of_other_tenants_are_not_concerned(store):
    registry = TenantRegistry(store)
    await registry.apply(SHOP)
    await registry.apply(TenantSpec(id=TenantId("city")))
    async with server(store) as one:
        assert (await ask(one, "c", tenant="city"))[0] == "new"
        await remover_of(store).remove("shop")
        told = await asyncio.gather(
            *(ask(one, f"s{n}") for n in range(20)),
            *(ask(one, f"c{n}", tenant="city") for n in range(20)),
            ask(one, "c", tenant="city"),
        )
    assert told[:20] == [("failed", "REFUSED")] * 20
    assert [one[1] for one in told[20:]] == ["a"] * 21


@pytest.mark.parametrize("seed", range(6))
async def test_removals_and_newcomers_race_and_nobody_is_orphaned(store, seed):
    """Three servers, of which one is deaf, and sixteen clients at a time; after each removal that
    was told as done no client of the tenant stands, then or later."""
    rng = random.Random(seed)
    registry, removed = TenantRegistry(store), 0
    async with server(store) as first, server(store) as second, server(store, hears=False) as deaf:
        for turn in range(8):
            await registry.apply(SHOP)

            async def newcomer(number: int, turn: int = turn) -> None:
                await asyncio.sleep(rng.random() * 0.02)
                which = rng.choice([first, second, deaf])
                await ask(which, f"{turn}-{number}", within_s=0.3)

            async def remove() -> bool:
                await asyncio.sleep(rng.random() * 0.02)
                try:
                    await remover_of(store).remove("shop")
                except Refused:
                    return False
                assert await clients_of(store) == []
                return True

            some = rng.choice([0, 2, RACERS])
            async with asyncio.TaskGroup() as group:
                done = group.create_task(remove())
                for number in range(some):
                    group.create_task(newcomer(number))
            stands = await store.get(keys.tenant("shop"))
            if done.result():
                removed += 1
                assert stands is None
                assert await clients_of(store) == []
            else:
                assert decode_tenant(stands).removal is None
                await store.commit(Txn(then=[Delete(keys.assignments_of("shop"), prefix=True)]))
    assert removed


@pytest.mark.parametrize("value", [b"soon", b"\xff", b"1" * 5_000])
async def test_a_fence_that_cannot_be_read_is_not_adopted_and_is_told(caplog, value):
    """Batches go on comparing the one before, and are refused; nothing is raised."""

    async def heard(revision: int) -> bool:
        raise AssertionError("nobody can know which revision it asks for")

    fence = TenantFence(heard=heard, taking={b"shop"})
    before = fence.compare
    await fence.adopt(KeyValue(keys.TENANTS_FENCE, value, 7, 7, 1))
    assert fence.compare == before
    assert "tenants-fence is damaged" in caplog.text


async def test_a_client_under_a_key_that_is_nobodys_stops_its_tenants_removal_and_is_named(store):
    await store.commit(Txn(then=[Put(keys.assignments_of("shop") + b"\xff", b"{}")]))
    clients = TenantClients(store, [store], store, release=_never_asked)
    with pytest.raises(DataLoss, match=r"shop/\\xff is damaged in the store; delete that key"):
        await clients.release_some("shop")


async def _never_asked(tenant: str, client: str) -> bool:
    raise AssertionError(f"{tenant}/{client} is no client")


async def test_nothing_is_asked_of_each_client_where_all_who_wait_stand_whatever_was_fenced():
    """A bound on a tenant's clients rewrites the fence, too: nobody is to pay for it."""
    taking = {b"shop", b"city"}

    async def heard(revision: int) -> bool:
        return True

    fences = Fences(TenantFence(heard=heard, taking=taking))
    crowd = [b"shop", *(b"t%d" % n for n in range(MAX_OPERATIONS))]
    assert fences.asked([b"nobody"]) is None  # never written
    await fences.adopt(FencedStore())
    assert fences.asked([b"shop", b"city"]) is None
    assert fences.asked(crowd) is not None
    taking.discard(b"city")
    assert fences.asked([b"shop"]) is None
    refusal = fences.asked([b"shop", b"city"])
    assert refusal is not None
    assert refusal(keys.assignment("shop", "c")) is None
    assert "city is removed" in str(refusal(keys.assignment("city", "c")))


class FencedStore:
    """In which the fence was written once."""

    async def get(self, key: bytes) -> KeyValue:
        return KeyValue(key, b"", 7, 7, 1)


async def test_a_view_knows_who_takes_clients(store):
    registry, view = TenantRegistry(store), FleetView(store, clock=time.monotonic)
    await registry.apply(SHOP)
    await view.start()
    running = asyncio.create_task(view.run())
    assert view.taking_clients == {b"default", b"shop"}
    for removal, takes in (
        (None, {b"default", b"shop", b"city"}),
        (TenantRemoval(by="p"), {b"default", b"shop"}),
    ):
        city = TenantSpec(id=TenantId("city"), removal=removal)
        await store.commit(Txn(then=[Put(keys.tenant("city"), encode_tenant(city))]))
        assert await view.heard_of_tenants((await store.range(keys.TENANTS)).revision)
        assert view.taking_clients == takes
    await remover_of(store).remove("shop")
    assert await view.heard_of_tenants((await store.range(keys.TENANTS)).revision)
    assert view.taking_clients == {b"default"}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
