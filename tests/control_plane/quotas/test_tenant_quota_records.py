"""Quotas in tenants' records as a server hears of them that needs nothing else of the records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from control_plane import keys
from control_plane.fleet.records import encode_tenant
from control_plane.fleet.unit import TenantId, TenantMemory, TenantQuota, TenantSpec
from control_plane.fleet.unit import TenantRemoval as Mark
from control_plane.quotas.tenant_quota_records import TenantQuotaRecords
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Health, Page, Put, StoreUnavailable, Txn, WatchBatch

EVENTS = TenantQuota(quota="events", counted_by="tenant", per_s=5.0)
TAILS = TenantQuota(quota="tails", counted_by="address", per_s=2.0)


class Replaceable:
    """A store that can be away, and be another one when it is back."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store
        self.away = False
        self.health = Health(connected=True, cluster="one")

    async def range(self, prefix: bytes, **more: Any) -> Page:
        if self.away:
            raise StoreUnavailable("the store is away")
        return await self.store.range(prefix, **more)

    async def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        async for batch in self.store.watch(prefix, from_revision=from_revision):
            yield batch

    def becomes(self, store: EmbeddedStore, cluster: str) -> None:
        self.store, self.away, self.health.cluster = store, False, cluster


class Scene:
    def __init__(self, folder: Path, store: EmbeddedStore) -> None:
        self.folder = folder
        self.store = Replaceable(store)
        self.heard: dict[str, Collection[TenantQuota]] = {}
        self.memory: dict[str, TenantMemory] = {}
        self.wall = 1_000.0
        self.records = TenantQuotaRecords(
            self.store,  # type: ignore[arg-type]
            self._follow,
            self.memory.__setitem__,
            wall=lambda: self.wall,
        )

    def _follow(self, tenant: str, quotas: Collection[TenantQuota]) -> None:
        self.heard[tenant] = tuple(quotas)

    async def write(self, tenant: str, *quotas: TenantQuota, **more: Any) -> None:
        spec = TenantSpec(id=TenantId(tenant), quotas=quotas, **more)
        await self.put(tenant, encode_tenant(spec))

    async def put(self, tenant: str, value: bytes) -> None:
        await self.store.store.commit(Txn(then=[Put(keys.tenant(TenantId(tenant)), value)]))

    async def remove(self, tenant: str) -> None:
        await self.store.store.commit(Txn(then=[Delete(keys.tenant(TenantId(tenant)))]))

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(2_000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"heard {self.heard}")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    made = Scene(tmp_path, store)
    yield made
    await store.close()


@pytest.fixture
async def followed(scene: Scene) -> AsyncIterator[Scene]:
    await scene.write("shop", EVENTS)
    await scene.records.start(timeout_s=20)
    running = asyncio.gather(*(task() for task in scene.records.tasks().values()))
    yield scene
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_they_are_known_once_started_and_followed_from_then_on(followed: Scene) -> None:
    assert followed.heard == {"shop": (EVENTS,)}
    await followed.write("city", TAILS)
    await followed.write("shop", TAILS, EVENTS)
    await followed.until(lambda: followed.heard == {"shop": (TAILS, EVENTS), "city": (TAILS,)})
    await followed.write("shop")
    await followed.remove("city")
    await followed.until(lambda: followed.heard == {"shop": (), "city": ()})


async def test_what_else_a_record_says_is_not_kept_and_changes_nothing(followed: Scene) -> None:
    followed.heard.clear()
    await followed.write("shop", EVENTS, hold_s=7.0)
    await followed.write("bank", hold_s=7.0)
    await followed.write("city", TAILS)
    await followed.until(lambda: "city" in followed.heard)
    assert followed.heard == {"bank": (), "city": (TAILS,)}


async def test_a_tenant_that_is_being_removed_has_its_quotas_to_the_end(followed: Scene) -> None:
    mark = Mark(by="s")
    await followed.write("shop", TAILS, removal=mark)
    await followed.until(lambda: followed.heard["shop"] == (TAILS,))
    await followed.remove("shop")
    await followed.until(lambda: followed.heard["shop"] == ())


async def test_a_damaged_record_is_named_and_the_others_live_on(followed: Scene) -> None:
    await followed.put("shop", b"{")
    await followed.write("city", TAILS)
    await followed.until(lambda: followed.heard.get("city") == (TAILS,))
    assert list(followed.records.damaged_keys()) == [keys.tenant(TenantId("shop")).decode()]
    await followed.write("shop", EVENTS)
    await followed.until(lambda: followed.heard["shop"] == (EVENTS,))
    assert list(followed.records.damaged_keys()) == []


async def test_a_store_that_is_away_at_the_start_is_heard_when_it_is_back(scene: Scene) -> None:
    await scene.write("shop", EVENTS)
    scene.store.away, scene.store.health.connected = True, False
    await scene.records.start(timeout_s=20)
    assert (scene.heard, scene.records.status.current) == ({}, False)
    running = asyncio.gather(*(task() for task in scene.records.tasks().values()))
    scene.store.away, scene.store.health.connected = False, True
    await scene.until(lambda: scene.heard == {"shop": (EVENTS,)})
    assert scene.records.status.current
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_one_that_says_nothing_is_not_waited_for(scene: Scene) -> None:
    async def silent(prefix: bytes, **more: Any) -> Page:
        await asyncio.Event().wait()
        raise AssertionError

    scene.store.range = silent  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        await scene.records.start(timeout_s=0.01)
    assert not scene.records.status.current


async def test_while_it_is_away_what_was_heard_last_holds_and_its_age_is_told(
    followed: Scene,
) -> None:
    followed.records.status.poll()
    followed.store.health.connected = False
    followed.wall += 50.0
    assert (followed.records.status.current, followed.records.status.age_s) == (False, 50.0)
    assert followed.heard == {"shop": (EVENTS,)}


async def test_another_store_is_read_from_its_beginning(followed: Scene) -> None:
    """Whose revisions are far behind those that were seen; quotas stay until it is read."""
    for _ in range(5):
        await followed.write("city", TAILS)
    await followed.until(lambda: followed.heard.get("city") == (TAILS,))
    other = await EmbeddedStore.open(followed.folder / "other.db")
    try:
        followed.store.becomes(other, "two")
        await followed.write("city", EVENTS)
        followed.store.away = True
        followed.records.status.poll()
        await asyncio.sleep(0)
        assert followed.heard == {"shop": (EVENTS,), "city": (TAILS,)}
        followed.store.away = False
        await followed.until(lambda: followed.heard == {"shop": (), "city": (EVENTS,)})
        await followed.write("shop", TAILS)
        await followed.until(lambda: followed.heard["shop"] == (TAILS,))
    finally:
        await other.close()


async def test_bounds_of_memory_are_followed_until_the_record_says_nothing_of_them(
    followed: Scene,
) -> None:
    assert followed.memory == {"shop": TenantMemory()}
    await followed.write("shop", EVENTS, memory=TenantMemory(rule_keys=5))
    await followed.until(lambda: followed.memory["shop"] == TenantMemory(rule_keys=5))
    await followed.remove("shop")
    await followed.until(lambda: followed.memory["shop"] == TenantMemory())
