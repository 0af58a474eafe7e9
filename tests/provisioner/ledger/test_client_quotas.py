"""Quotas of clients over a real store: exact, whoever counts, whatever answers are lost."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_plane import keys, quota_keys
from control_plane.errors import PermissionDenied, Refused
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Store, Txn
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_bounds import ClientBounds, bounded
from provisioner.ledger.client_counting import ClientCounting
from provisioner.ledger.client_use import count_clients, read_use
from provisioner.ledger.fences import Fences
from provisioner.ledger.single_store import single_store_ledger
from provisioner.ledger.store_ledger import StoreLedger
from provisioner.ledger.tenant_fence import TenantFence
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.ledger_operations import WAIT_S, FirstWithRoom, Leaving
from tests.support.supervision import FailFast

SHOP = TenantSpec(id=TenantId("shop"))
names = itertools.count()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    await TenantRegistry(opened).apply(SHOP)
    for unit in ("a", "b"):
        record = encode_capacity(CapacityRecord(capacity=10_000))
        await opened.commit(Txn(then=[Put(keys.capacity(unit), record)]))
    yield opened
    await opened.close()


@asynccontextmanager
async def at_work(store: Store, heard: asyncio.Event | None = None) -> AsyncIterator[StoreLedger]:
    """A server's ledger, which follows the tenants, from when on `heard` is set."""
    view = FleetView(store, clock=time.monotonic)
    ledger = single_store_ledger(
        store,
        clock=time.monotonic,
        jitter=lambda: 0.0,
        new_id=lambda: f"p{next(names)}",
        supervisor=FailFast(),
        fences=Fences(TenantFence(heard=view.heard_of_tenants, taking=view.taking_clients)),
        counted=view.counted_clients,
    )
    await view.start()
    await ledger.start()
    ledger.follow(["a", "b"])

    async def follow() -> None:
        if heard is not None:
            await heard.wait()
        await view.run()

    running = [asyncio.create_task(one) for one in (follow(), ledger.run())]
    await asyncio.sleep(0)
    try:
        yield ledger
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def ask(ledger: StoreLedger, client: str, unit: str = "a", tenant: str = "shop") -> str:
    """How it ended: new, known, or why not."""
    wish = FirstWithRoom(ledger, client, [unit], tenant=tenant)
    wish.account = wish.choose()
    ledger.submit(wish)
    kind, what = await asyncio.wait_for(wish.outcome, WAIT_S)
    return what if kind == "failed" else kind


async def fill(ledger: StoreLedger, count: int, name: str = "c") -> list[str]:
    """So many at once, at both units, and so in both queues."""
    return await asyncio.gather(*(ask(ledger, f"{name}{n}", "ab"[n % 2]) for n in range(count)))


async def leave(store: Store, ledger: StoreLedger, client: str) -> str:
    pair = await store.get(keys.assignment("shop", client))
    assert pair is not None
    leaving = Leaving(ledger, pair)
    ledger.release(leaving)
    return await asyncio.wait_for(leaving.outcome, WAIT_S)


async def bound(
    store: Store, most: int, *, excess: bool = False, may_raise: bool = True, count: bool = True
) -> None:
    bounds = ClientBounds(store, session=lambda: "", new_id=lambda: f"q{next(names)}")
    await TenantRegistry(store).apply(
        SHOP,
        frozenset({"clients"}),
        change=lambda before, after: bounds.change(
            before, after, most, excess=excess, may_raise=may_raise
        ),
    )
    if count:
        await counting(store).count("shop")


def counting(store: Store) -> ClientCounting:
    return ClientCounting(store, tenants=dict, session=lambda: "", jitter=lambda: 0.0)


async def counted(store: Store) -> tuple[int, int]:
    """(as the ledger has it, as they stand)."""
    page = await store.range(keys.tenant("shop"), limit=1)
    name = await quota_name(store)
    use = await read_use(store, name)
    return use.clients, await count_clients(store, "shop", max(page.revision, use.revision))


async def quota_name(store: Store) -> str:
    (pair,) = (await store.range(keys.capacity(quota_keys.CLIENT_QUOTA))).items
    return pair.key[len(keys.CAPACITY) :].decode()


async def test_a_tenant_gets_as_many_clients_as_it_may_have_and_no_more(store):
    await bound(store, 5)
    async with at_work(store) as ledger:
        outcomes = [await ask(ledger, f"c{n}", "ab"[n % 2]) for n in range(4)]
        outcomes += [await eventually(ledger, "c4")]
        assert outcomes == ["new"] * 5
        assert await ask(ledger, "one more") == "QUOTA"
        assert await ask(ledger, "somebody else's", tenant="other") == "REFUSED"
    assert await counted(store) == (5, 5)


async def eventually(ledger: StoreLedger, client: str) -> str:
    """Where another queue holds the last place it gives it back when it is asked to."""
    for _ in range(500):
        outcome = await ask(ledger, client)
        if outcome != "QUOTA":
            return outcome
        await asyncio.sleep(0.01)
    return "QUOTA"


async def test_a_crowd_at_several_servers_never_exceeds_the_bound_and_reaches_it(store):
    await bound(store, 300)
    async with at_work(store) as one, at_work(store) as two:
        outcomes = await asyncio.gather(fill(one, 250, "x"), fill(two, 250, "y"))
        made = sum(what == "new" for some in outcomes for what in some)
        assert (made, made) == await counted(store)
        assert made <= 300
        for n in range(300 - made):
            assert await eventually(one, f"late{n}") == "new"
        assert await ask(one, "one more") == await ask(two, "another") == "QUOTA"
    assert await counted(store) == (300, 300)


async def test_who_is_released_makes_room_for_another(store):
    await bound(store, 3)
    async with at_work(store) as ledger:
        for n in range(3):
            assert await eventually(ledger, f"c{n}") == "new"
        assert await ask(ledger, "d") == "QUOTA"
        assert await leave(store, ledger, "c1") == "released"
        assert await eventually(ledger, "d") == "new"
        assert await ask(ledger, "e") == "QUOTA"
    assert await counted(store) == (3, 3)


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
async def test_a_lost_answer_is_counted_once(store, fault):
    await bound(store, 100)
    faulty = FaultyStore(store)
    async with at_work(faulty) as ledger:
        await ask(ledger, "first")
        faulty.faults.append(fault)
        assert await ask(ledger, "second") == "new"
        faulty.faults.append(fault)
        assert await leave(store, ledger, "first") in ("released", "changed")
    assert await counted(store) == (1, 1)


async def test_clients_from_before_are_counted_while_others_come_and_go(store):
    async with at_work(store) as ledger, at_work(store) as other:
        assert await fill(ledger, 500, "old") == ["new"] * 500
        await bound(store, 1_000, count=False)
        coming = asyncio.gather(fill(ledger, 200, "x"), fill(other, 200, "y"))
        going = asyncio.gather(*(leave(store, ledger, f"old{n}") for n in range(100)))
        await counting(store).count("shop")
        await coming
        assert await going == ["released"] * 100
        assert await counted(store) == (800, 800)


async def test_a_server_that_has_not_heard_of_it_makes_no_client_that_is_not_counted(store):
    heard = asyncio.Event()
    async with at_work(store, heard) as late:
        assert await ask(late, "before") == "new"
        await bound(store, 100)
        asking = asyncio.create_task(ask(late, "after"))
        for _ in range(1_000):
            if asking.done() or late.counts().conflicts:
                break
            await asyncio.sleep(0.01)
        heard.set()
        assert await asking == "new"
    assert await counted(store) == (2, 2)


async def test_the_bound_is_not_in_force_before_they_are_counted(store):
    async with at_work(store) as ledger:
        await bound(store, 2, count=False)
        assert await fill(ledger, 5) == ["new"] * 5
        await counting(store).count("shop")
        stands, _ = await counting(store).stands("shop")
        # There are more than the bound, and nobody accepted that.
        assert (stands.clients.counted, stands.clients.most) == (True, 0)
        assert await ask(ledger, "d") == "new"
    assert await counted(store) == (6, 6)


async def test_who_counts_twice_adds_once(store):
    async with at_work(store) as ledger:
        await fill(ledger, 10)
        await bound(store, 100, count=False)
        await asyncio.gather(*(counting(store).count("shop") for _ in range(3)))
        await fill(ledger, 5, "d")
    assert await counted(store) == (15, 15)


async def test_a_bound_below_what_there_is_is_refused_unless_that_is_accepted(store):
    await bound(store, 10)
    async with at_work(store) as ledger:
        await fill(ledger, 6)
        with pytest.raises(Refused, match="has 6 clients, more than 4"):
            await bound(store, 4)
        await bound(store, 4, excess=True)
        assert await ask(ledger, "d") == "QUOTA"
        assert await ask(ledger, "c0") == "QUOTA"  # the use case looks it up, and it has its home
        for n in range(3):
            assert await leave(store, ledger, f"c{n}") == "released"
        assert await eventually(ledger, "d") == "new"
        assert await ask(ledger, "e") == "QUOTA"
    assert await counted(store) == (4, 4)


async def test_a_raised_bound_lets_more_in_and_one_taken_off_everybody(store):
    await bound(store, 1)
    async with at_work(store) as ledger:
        assert await eventually(ledger, "c0") == "new"
        assert await ask(ledger, "c1") == "QUOTA"
        await bound(store, 2)
        assert await eventually(ledger, "c1") == "new"
        assert await ask(ledger, "c2") == "QUOTA"
        await bound(store, 0)
        assert await eventually(ledger, "c2") == "new"
        for prefix in quota_keys.of_client_quotas("shop"):
            assert not (await store.range(prefix)).items
        await bound(store, 3)
        assert await ask(ledger, "c3") == "QUOTA"
    assert await counted(store) == (3, 3)


async def test_what_an_expired_server_held_is_free_again(store):
    await bound(store, 40)
    async with at_work(store) as gone:
        await fill(gone, 8)
        async with at_work(store) as ledger:
            await gone.session.close()
            for n in range(32):
                assert await eventually(ledger, f"d{n}") == "new"
            assert await ask(ledger, "one more") == "QUOTA"
            assert await counted(store) == (40, 40)


async def test_a_batch_changes_one_key_of_the_quota_however_many_clients_are_in_it(store):
    await bound(store, 10_000)
    faulty = FaultyStore(store)
    async with at_work(faulty) as ledger:
        await ask(ledger, "first")
        before = faulty.commits
        assert await fill(ledger, 600) == ["new"] * 600
        assert faulty.commits - before < 40


async def test_a_tenant_without_a_bound_is_counted_nowhere(store):
    async with at_work(store) as ledger:
        assert await fill(ledger, 10) == ["new"] * 10
    assert not (await store.range(keys.capacity(quota_keys.CLIENT_QUOTA))).items
    assert not (await store.range(keys.usage(quota_keys.CLIENT_QUOTA, "")[:-1])).items


async def test_who_is_of_one_tenant_lowers_its_bound_and_does_not_raise_it(store):
    await bound(store, 10, may_raise=False)
    await bound(store, 5, may_raise=False)
    for most in (6, 0):
        with pytest.raises(PermissionDenied):
            await bound(store, most, may_raise=False)


@pytest.mark.parametrize(
    ("most", "fenced"),
    [
        pytest.param(4, True, id="lowered: who has not heard of it may make no client"),
        pytest.param(5, False, id="as it was"),
        pytest.param(6, False, id="raised"),
    ],
)
def test_a_bound_that_is_lowered_has_a_new_fence(most: int, fenced: bool) -> None:
    writes = bounded("tenant:shop:q", CapacityRecord(capacity=5, settled=2), most)
    assert [one.key for one in writes if isinstance(one, Put)] == [
        keys.capacity("tenant:shop:q"),
        *([keys.fence("tenant:shop:q")] if fenced else []),
    ]
