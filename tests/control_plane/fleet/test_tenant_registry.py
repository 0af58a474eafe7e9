"""Tenants in the store: a field not given stays, and what may not be written is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import Refused
from control_plane.fleet.records import decode_tenant
from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.unit import DEFAULT_TENANT, TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn

SHOP = TenantSpec(id=TenantId("shop"), hold_s=300.0, ticket_ttl_s=60.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


def registry(store: EmbeddedStore) -> TenantRegistry:
    return TenantRegistry(store)


async def stored(store: EmbeddedStore, name: str = "shop") -> TenantSpec | None:
    pair = await store.get(keys.tenant(name))
    return decode_tenant(pair) if pair else None


async def test_what_is_not_given_stays(store: EmbeddedStore) -> None:
    tenants = registry(store)
    await tenants.apply(SHOP)
    other = TenantSpec(id=SHOP.id, ticket_ttl_s=90.0)
    applied, _ = await tenants.apply(other, frozenset({"ticket_ttl_s"}))
    assert (applied.hold_s, applied.ticket_ttl_s) == (300.0, 90.0)
    reset, _ = await tenants.apply(TenantSpec(id=SHOP.id), frozenset({"hold_s"}))
    assert reset == await stored(store)
    assert (reset.hold_s, reset.ticket_ttl_s) == (0.0, 90.0)
    whole, _ = await tenants.apply(TenantSpec(id=SHOP.id))
    assert whole == TenantSpec(id=SHOP.id)


async def test_the_default_tenant_is_changed_from_what_it_is_unwritten(
    store: EmbeddedStore,
) -> None:
    wanted = TenantSpec(id=DEFAULT_TENANT.id, hold_s=5.0, ticket_ttl_s=1.0)
    applied, _ = await registry(store).apply(wanted, frozenset({"hold_s"}))
    assert (applied.hold_s, applied.ticket_ttl_s) == (5.0, DEFAULT_TENANT.ticket_ttl_s)


class Meddled(EmbeddedStore):
    """Somebody else writes the tenant between each read and the write that follows it."""

    hold_s = 0.0

    async def get(self, key, *, timeout_s=None):  # type: ignore[no-untyped-def]
        found = await super().get(key, timeout_s=timeout_s)
        if self.hold_s < 3.0 and key == keys.tenant("shop"):
            self.hold_s += 1.0
            stands = b'{"id":"shop","hold_s":%d}' % self.hold_s
            await self.commit(Txn(then=[Put(key, stands)]))
        return found


async def test_two_operators_who_change_different_fields_both_get_their_way(
    tmp_path: Path,
) -> None:
    store = await Meddled.open(tmp_path / "store.db")
    try:
        spec = TenantSpec(id=SHOP.id, ticket_ttl_s=90.0)
        applied, _ = await registry(store).apply(spec, frozenset({"ticket_ttl_s"}))
        assert (applied.hold_s, applied.ticket_ttl_s) == (3.0, 90.0)
    finally:
        await store.close()


async def test_what_the_check_refuses_is_not_written(store: EmbeddedStore) -> None:
    seen = []

    def check(before: TenantSpec | None, after: TenantSpec) -> None:
        seen.append((before, after))
        if after.hold_s > 400:
            raise Refused("too long")

    await registry(store).apply(SHOP, check=check)
    longer = TenantSpec(id=SHOP.id, hold_s=500.0)
    with pytest.raises(Refused):
        await registry(store).apply(longer, frozenset({"hold_s"}), check=check)
    assert await stored(store) == SHOP
    assert seen[0] == (None, SHOP)
    assert seen[1][0] == SHOP
