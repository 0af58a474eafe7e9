"""Tenants in the store: a field not given stays, one with clients is not removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
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


class Clients:
    """Answers, one for each time it is asked; the last one for ever."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)

    async def __call__(self, tenant_id: str) -> bool:
        assert tenant_id == "shop"
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def registry(store: EmbeddedStore, *answers: bool) -> TenantRegistry:
    return TenantRegistry(store, has_clients=Clients(*answers or (False,)))


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


async def test_a_tenant_that_changes_while_it_is_removed_stands(tmp_path: Path) -> None:
    store = await Meddled.open(tmp_path / "store.db")
    try:
        await TenantRegistry(store, has_clients=Clients(False)).apply(SHOP)
        store.hold_s = 2.0
        with pytest.raises(Conflict):
            await registry(store).remove("shop")
        assert await stored(store) is not None
    finally:
        await store.close()


async def test_one_without_clients_is_removed(store: EmbeddedStore) -> None:
    tenants = registry(store)
    await tenants.apply(SHOP)
    await tenants.remove("shop")
    assert await stored(store) is None
    with pytest.raises(NotFound):
        await tenants.remove("shop")


@pytest.mark.parametrize(
    "answers",
    [pytest.param((True,), id="it-has-clients"), pytest.param((False, True), id="one-came-then")],
)
async def test_one_with_clients_stands(store: EmbeddedStore, answers: tuple[bool, ...]) -> None:
    tenants = registry(store, *answers)
    await tenants.apply(SHOP)
    with pytest.raises(Refused, match="release them first"):
        await tenants.remove("shop")
    assert await stored(store) == SHOP


async def test_the_default_tenant_is_never_removed(store: EmbeddedStore) -> None:
    with pytest.raises(Refused, match="always exists"):
        await registry(store).remove("default")
