"""Removing tenants: whole or not at all, whoever dies in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from control_plane import keys, quota_keys
from control_plane.errors import Conflict, NotFound, Refused, StoreUnavailable
from control_plane.fleet.records import decode_tenant
from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.tenant_removal import TenantRemover
from control_plane.fleet.unit import TenantId, TenantQuota, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Store, Txn

SHOP = TenantSpec(
    id=TenantId("shop"),
    hold_s=300.0,
    quotas=(TenantQuota(quota="lookups", counted_by="tenant", per_s=5.0),),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    await TenantRegistry(opened).apply(SHOP)
    yield opened
    await opened.close()


class Clients:
    """So many clients, of whom two are released at a time. before: awaited before each look."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.before: Callable[[], Awaitable[object]] | None = None

    async def any_of(self, tenant_id: str) -> bool:
        if self.before is not None:
            await self.before()
        return self.count > 0

    async def release_some(self, tenant_id: str) -> int:
        released = min(2, self.count)
        self.count -= released
        return released


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def remover(
    store: Store, clients: Clients, *, name: str = "p-1", clock: Clock | None = None,
    clusters: tuple[Store, ...] = (),
) -> TenantRemover:  # fmt: skip
    return TenantRemover(
        store, clients, session=lambda: name, clock=clock or Clock(), assignment_clusters=clusters
    )


async def stored(store: Store) -> TenantSpec | None:
    pair = await store.get(keys.tenant("shop"))
    return decode_tenant(pair) if pair else None


async def test_one_without_clients_is_removed_with_what_let_them_in(store):
    secret = (
        keys.enrolment_group("shop", "g"), keys.bootstrap_token("shop", "t"),
        keys.policy("shop"), keys.policy_version("shop", 1),
        keys.POLICY_PINS + b"shop/anna", keys.POLICY_PIN_COUNTS + b"shop",
        *of_quota(quota_keys.client_quota("shop", "q1")),
    )  # fmt: skip
    others = (
        keys.POLICY_PINS + b"shop-2/anna", keys.POLICY_PIN_COUNTS + b"shop-2",
        *of_quota(quota_keys.client_quota("shop-2", "q1")), *of_quota("shop"),
    )  # fmt: skip
    await store.commit(Txn(then=[Put(key, b"x") for key in (*secret, *others)]))
    step = await remover(store, Clients()).remove("shop")
    assert step.revision > 0
    assert await stored(store) is None
    assert [await store.get(key) for key in secret] == [None] * len(secret)
    assert all([await store.get(key) for key in others])
    with pytest.raises(NotFound):
        await remover(store, Clients()).remove("shop")


def of_quota(name: str) -> list[bytes]:
    """All that the ledger keeps of a quota of clients, or of a unit."""
    return [keys.capacity(name), keys.usage(name, "p-1~0"), keys.fence(name), keys.starving(name)]


async def test_one_with_clients_stands_as_it_was(store):
    with pytest.raises(Refused, match="release them first"):
        await remover(store, Clients(1)).remove("shop")
    assert await stored(store) == SHOP


async def test_while_clients_are_looked_for_the_mark_stands_and_nobody_applies_the_tenant(store):
    clients, seen = Clients(), []

    async def look() -> None:
        seen.append(await stored(store))
        with pytest.raises(Refused, match="being removed"):
            await TenantRegistry(store).apply(SHOP)

    clients.before = look
    await remover(store, clients).remove("shop")
    assert seen[0].removal is not None
    assert await store.get(keys.TENANTS_FENCE) is not None


async def test_with_clients_it_goes_step_by_step(store):
    clients, one = Clients(5), remover(store, Clients())
    one = remover(store, clients)
    steps = [await one.remove_with_clients("shop") for _ in range(3)]
    assert [(bool(step.revision), step.released) for step in steps] == [
        (False, 2), (False, 2), (True, 1),
    ]  # fmt: skip
    assert await stored(store) is None


async def test_a_removal_with_clients_is_undone_by_one_without(store):
    clients = Clients(5)
    await remover(store, clients).remove_with_clients("shop")
    with pytest.raises(Refused):
        await remover(store, clients, name="p-2").remove("shop")
    assert await stored(store) == SHOP
    assert clients.count == 3


async def test_the_default_tenant_is_never_removed(store):
    for call in (remover(store, Clients()).remove, remover(store, Clients()).remove_with_clients):
        with pytest.raises(Refused, match="always exists"):
            await call("default")


@pytest.mark.parametrize("clients", [0, 3], ids=["empty", "with-clients"])
async def test_sixteen_removers_at_once_end_in_one_outcome(store, clients):
    told = await asyncio.gather(
        *(remover(store, Clients(clients), name=f"p-{n}").remove("shop") for n in range(16)),
        return_exceptions=True,
    )
    if clients:
        assert {type(one) for one in told} <= {Refused, Conflict}
        for _ in range(3):  # a mark that lost its remover in the crowd is taken back
            if (spec := await stored(store)) != SHOP:
                await remover(store, Clients(clients), name="p-x").go_on(spec, idle_s=1.0)
        assert await stored(store) == SHOP
    else:
        assert {type(one).__name__ for one in told} <= {"RemovalStep", "Conflict", "NotFound"}
        if (spec := await stored(store)) is not None:
            await remover(store, Clients(0), name="p-x").go_on(spec, idle_s=1.0)
        assert await stored(store) is None


class DiesAfter:
    """A store that is away for good after so many commits."""

    def __init__(self, store: Store, commits: int) -> None:
        self._store, self._left = store, commits

    async def get(self, key: bytes):
        self._check()
        return await self._store.get(key)

    async def commit(self, txn: Txn):
        self._check()
        self._left -= 1
        return await self._store.commit(txn)

    def _check(self) -> None:
        if self._left <= 0:
            raise StoreUnavailable("away")


@pytest.mark.parametrize("clients", [0, 1], ids=["empty", "with-clients"])
@pytest.mark.parametrize("commits", [1, 2])
async def test_a_removal_whose_server_dies_is_gone_on_with_or_undone(store, clients, commits):
    with contextlib.suppress(StoreUnavailable, Refused):
        await remover(DiesAfter(store, commits), Clients(clients), name="p-dead").remove("shop")
    spec = await stored(store)
    if spec is not None and spec.removal is not None:
        assert await remover(store, Clients(clients), name="p-2").go_on(spec, idle_s=30.0)
    assert await stored(store) == (SHOP if clients else None)


async def test_a_removal_with_clients_whose_server_dies_is_gone_on_with(store):
    clients = Clients(5)
    await remover(store, clients, name="p-dead").remove_with_clients("shop")
    other = remover(store, clients, name="p-2")
    while (spec := await stored(store)) is not None:
        await other.go_on(spec, idle_s=0.0)
    assert clients.count == 0


async def test_a_remover_that_lives_is_left_alone_until_it_is_idle(store):
    clock, clients = Clock(), Clients(9)
    await store.commit(Txn(then=[Put(keys.session("p-1"), b"")]))
    own = remover(store, clients, clock=clock)
    await own.remove_with_clients("shop")
    spec = await stored(store)
    assert not await remover(store, clients, name="p-2").go_on(spec, idle_s=30.0)
    assert not await own.go_on(spec, idle_s=30.0)
    clock.now += 31.0
    assert await own.go_on(spec, idle_s=30.0)
    await store.commit(Txn(then=[Delete(keys.session("p-1"))]))
    assert await remover(store, clients, name="p-2").go_on(await stored(store), idle_s=30.0)


async def test_the_fence_of_each_cluster_asks_for_the_newest_mark(store, tmp_path):
    clusters = [await EmbeddedStore.open(tmp_path / f"{name}.db") for name in "ab"]
    try:
        await clusters[1].commit(Txn(then=[Put(keys.TENANTS_FENCE, b"1000000")]))
        seen: list[list[bytes]] = []
        clients = Clients()

        async def look() -> None:
            pairs = [await one.get(keys.TENANTS_FENCE) for one in clusters]
            seen.append([pair.value for pair in pairs])

        clients.before = look
        await remover(store, clients, clusters=tuple(clusters)).remove("shop")
        fence = await store.get(keys.TENANTS_FENCE)
        assert seen == [[b"%d" % fence.mod_revision, b"1000000"]]
    finally:
        for one in clusters:
            await one.close()


async def test_names_go_with_their_tenant_and_no_others(store):
    made = [
        keys.handle_claim("shop", "u17r1.anna"), keys.identifier_claim("shop", "tel", "1.0"),
        keys.directory_account("shop", "anna"), keys.directory_proof("shop", "tel", "1.0", "anna"),
        keys.sent_codes("shop", "tel", "1.0"),
        keys.tenant_number("shop", "+442079460001"), keys.tenant_number_book("shop"),
        keys.free_number("shop", "people", "+442079460002"), keys.account_numbers("shop", "anna"),
    ]  # fmt: skip
    others = [
        keys.handle_claim("shop2", "u17r1.anna"), keys.directory_account("shop2", "anna"),
        keys.tenant_number("shop2", "+442079460003"), keys.tenant_number_book("shop2"),
    ]  # fmt: skip
    await store.commit(Txn(then=[Put(key, b"") for key in (*made, *others)]))
    await remover(store, Clients()).remove("shop")
    assert [await store.get(key) for key in made] == [None] * len(made)
    assert None not in [await store.get(key) for key in others]
