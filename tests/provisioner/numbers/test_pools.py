"""Pools of numbers: one account has a number, however many ask; released, it rests."""

from __future__ import annotations

import asyncio
import random

import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound, OutcomeUnknown, StoreUnavailable
from control_plane.store.port import Delete, Txn
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.numbers.pools import REST_MS, PoolEmpty
from provisioner.numbers.records import (
    MOST_OF_ACCOUNT,
    MOST_TECHNICAL,
    AccountNumberBook,
    NumberRecord,
)
from provisioner.organisations.records import decoded
from tests.support.directory_servers import TENANT, home, homes
from tests.support.fakes.network_store import NetworkStore
from tests.support.number_servers import POOL, TECHNICAL, VIRTUAL, NumberServer, number
from tests.support.organisation_servers import InterruptedStore


async def server_with(*last: int, accounts: tuple[str, ...] = ("anna",)) -> NumberServer:
    server = NumberServer(NetworkStore())
    await homes(server.store, *accounts)
    if last:
        await server.virtual(*last)
    return server


async def test_numbers_are_added_once() -> None:
    server = await server_with(1, 2)
    assert await server.virtual(2, 3) == 1
    assert [one.number for one in await server.pools.page(TENANT, "", 100)] == [
        number(1), number(2), number(3),
    ]  # fmt: skip
    assert [one.number for one in await server.pools.page(TENANT, number(1), 1)] == [number(2)]


@pytest.mark.parametrize(
    ("tenant", "pool", "kind"),
    [
        pytest.param("other", POOL, VIRTUAL, id="another-tenant"),
        pytest.param(TENANT, "more", VIRTUAL, id="another-pool"),
        pytest.param(TENANT, POOL, TECHNICAL, id="another-kind"),
    ],
)
async def test_a_number_is_one_tenant_s_of_one_pool_and_kind(tenant, pool, kind) -> None:
    server = await server_with(1)
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.pools.add(tenant, pool, kind, [number(2), number(1)])
    assert refused.value.reason == "NUMBER_ELSEWHERE"
    assert await server.store.get(keys.number(number(2))) is None  # all or none


async def test_a_number_of_a_tenant_that_is_gone_is_nobody_s() -> None:
    server = await server_with(1)
    prefixes = keys.of_numbers(TENANT)
    await server.store.commit(Txn(then=[Delete(one, prefix=True) for one in prefixes]))
    assert await server.virtual(1, tenant="other") == 1


async def test_an_account_has_one_number_of_a_pool() -> None:
    server = await server_with(1, 2)
    first = await server.pools.assign(TENANT, "anna", POOL)
    assert await server.pools.assign(TENANT, "anna", POOL) == first
    assert await server.pools.assign(TENANT, "anna", POOL, first.number) == first


async def test_a_number_is_given_to_one_of_those_who_ask_for_it() -> None:
    server = await server_with(1, accounts=("anna", "ben"))
    await server.pools.assign(TENANT, "anna", POOL, number(1))
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.pools.assign(TENANT, "ben", POOL, number(1))
    assert refused.value.reason == "NUMBER_NOT_FREE"
    with pytest.raises(PoolEmpty):
        await server.pools.assign(TENANT, "ben", POOL)


async def test_a_technical_number_is_nobody_s() -> None:
    server = await server_with()
    await server.technical(101)
    with pytest.raises(ClaimNotAllowed):
        await server.pools.assign(TENANT, "anna", "technical", number(101))
    with pytest.raises(PoolEmpty):
        await server.pools.assign(TENANT, "anna", "technical")


async def test_who_has_no_home_gets_no_number_and_no_other_tenant_s_is_given() -> None:
    server = await server_with(1)
    with pytest.raises(NotFound):
        await server.pools.assign(TENANT, "carla", POOL)
    await server.pools.add("other", "theirs", VIRTUAL, [number(9)])
    with pytest.raises(NotFound):
        await server.pools.assign(TENANT, "anna", "theirs", number(9))
    with pytest.raises(NotFound):
        await server.pools.release(TENANT, number(9), remove=False)


async def test_a_released_number_rests_and_is_free_again() -> None:
    server = await server_with(1, accounts=("anna", "ben"))
    await server.pools.assign(TENANT, "anna", POOL)
    assert await server.pools.release(TENANT, number(1), remove=False)
    assert not await server.pools.release(TENANT, number(1), remove=False)
    with pytest.raises(PoolEmpty):
        await server.pools.assign(TENANT, "ben", POOL)
    with pytest.raises(ClaimNotAllowed):
        await server.pools.assign(TENANT, "ben", POOL, number(1))
    server.clock.now += REST_MS / 1_000
    assert (await server.pools.assign(TENANT, "ben", POOL)).number == number(1)


async def test_a_number_that_is_an_account_s_is_not_removed() -> None:
    server = await server_with(1)
    await server.pools.assign(TENANT, "anna", POOL)
    with pytest.raises(ClaimNotAllowed):
        await server.pools.release(TENANT, number(1), remove=True)
    await server.pools.release(TENANT, number(1), remove=False)
    assert await server.pools.release(TENANT, number(1), remove=True)
    assert not await server.pools.release(TENANT, number(1), remove=True)
    assert await server.virtual(1, tenant="other") == 1


async def test_a_later_client_of_a_name_has_nothing_of_the_earlier_one_s() -> None:
    server = await server_with(1, 2)
    first = await server.pools.assign(TENANT, "anna", POOL)
    await server.store.commit(home("anna", first_ms=2_000))
    assert (await server.pools.assign(TENANT, "anna", POOL)).number != first.number


@pytest.mark.parametrize("before", range(1, 6))
async def test_an_account_that_goes_meanwhile_gets_no_number(before: int) -> None:
    inner = (await server_with(1)).store
    store = InterruptedStore(inner)
    racing = NumberServer(store)

    async def release() -> None:
        await inner.commit(Txn(then=[Delete(keys.assignment(TENANT, "anna"))]))

    store.before, store.happens = before, release
    try:
        await racing.pools.assign(TENANT, "anna", POOL)
    except NotFound:
        (held,) = await racing.pools.page(TENANT, "", 10)
        assert not held.record.account
    else:
        assert store.happens is not None  # it never went


async def test_there_are_bounds() -> None:
    server = await server_with()
    for n in range(MOST_OF_ACCOUNT):
        await server.virtual(n, pool=f"pool-{n}")
        await server.pools.assign(TENANT, "anna", f"pool-{n}")
    await server.virtual(100)
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.pools.assign(TENANT, "anna", POOL)
    assert refused.value.reason == "TOO_MANY_NUMBERS"


async def test_a_tenant_has_so_many_technical_numbers() -> None:
    server = await server_with()
    wanted = [f"+4420794{n:05}" for n in range(MOST_TECHNICAL + 1)]
    for start in range(0, MOST_TECHNICAL, 40):
        await server.pools.add(TENANT, "t", TECHNICAL, wanted[start : start + 40])
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.pools.add(TENANT, "t", TECHNICAL, wanted[-1:])
    assert refused.value.reason == "TOO_MANY_NUMBERS"


@pytest.mark.parametrize("seed", range(20))
async def test_of_many_who_race_for_few_numbers_each_number_has_one(seed: int) -> None:
    """Over a network that loses and repeats messages: no number is two accounts', none is lost, and
    what an account's book says is what the numbers say."""
    rng = random.Random(seed)
    names = [f"a{n}" for n in range(8)]
    server = await server_with(1, 2, 3, accounts=tuple(names))
    store = NetworkStore(rng, faults=0.1)
    store.model = server.store.model
    racing = NumberServer(store)

    async def live(account: str) -> None:
        for _ in range(3):
            try:
                held = await racing.pools.assign(TENANT, account, POOL)
                if rng.random() < 0.3:
                    await racing.pools.release(TENANT, held.number, remove=False)
            except (PoolEmpty, Conflict, OutcomeUnknown, StoreUnavailable, NotFound):
                pass

    await asyncio.gather(*map(live, names))
    await asyncio.gather(*store.late)
    said: dict[str, list[str]] = {}
    for one in await server.pools.page(TENANT, "", 100):
        record = one.record
        free = await server.store.get(keys.free_number(TENANT, POOL, one.number))
        assert (free is None) == bool(record.account)
        assert isinstance(record, NumberRecord)
        if record.account:
            said.setdefault(record.account, []).append(one.number)
    for account in names:
        pair = await server.store.get(keys.account_numbers(TENANT, account))
        book = decoded(pair, AccountNumberBook) or AccountNumberBook()
        assert sorted(book.numbers) == sorted(said.get(account, []))
        assert len(book.numbers) <= 1
