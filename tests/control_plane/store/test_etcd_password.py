"""An etcd comes to ask for a password: once, again, at once by several, after a run cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from etcd3aio.auth import AuthService

from control_plane.errors import InvalidInput
from control_plane.store.etcd import EtcdStore, StoreRefused
from control_plane.store.etcd.password import USER, require_password
from control_plane.store.port import Put, StoreUnavailable, Txn
from tests.support.etcd import StartEtcd

WITHIN_S = 30.0
PASSWORD = "correct horse"


@pytest.fixture
def endpoints(own_etcd: StartEtcd) -> list[str]:
    """Of an etcd that asks for nothing."""
    return list(own_etcd(arguments=("--bcrypt-cost=4",)).endpoints)


@pytest.fixture
async def auth(endpoints: list[str]) -> AsyncIterator[AuthService]:
    async with grpc.aio.insecure_channel(endpoints[0]) as channel:
        yield AuthService(channel)


async def required(endpoints: list[str], password: str = PASSWORD, within_s: float = WITHIN_S):
    return await require_password(endpoints, tls=None, password=password, timeout_s=within_s)


async def lets_in(endpoints: list[str], password: str | None) -> bool:
    user = None if password is None else USER
    try:
        store = await EtcdStore.connect(endpoints, user=user, password=password)
    except StoreRefused:
        return False
    await store.close()
    return True


async def test_it_asks_from_then_on_and_a_second_time_changes_nothing(
    endpoints: list[str],
) -> None:
    assert await lets_in(endpoints, None)
    assert [await required(endpoints) for _ in range(3)] == [True, False, False]
    assert not await lets_in(endpoints, None)
    assert not await lets_in(endpoints, "guess")
    assert await lets_in(endpoints, PASSWORD)


async def test_another_password_is_refused_and_changes_nothing(endpoints: list[str]) -> None:
    await required(endpoints)
    with pytest.raises(StoreRefused, match="log in as root"):
        await required(endpoints, "another")
    assert await lets_in(endpoints, PASSWORD)


@pytest.mark.parametrize("steps", range(1, 5))
async def test_a_run_that_was_cut_short_is_made_up_for(
    endpoints: list[str], auth: AuthService, steps: int
) -> None:
    """After each step; the user had another password then."""
    for step in (
        lambda: auth.user_add(USER, "of a run before"),
        lambda: auth.user_change_password(USER, "of another"),
        lambda: auth.role_add(USER),
        lambda: auth.user_grant_role(USER, USER),
    )[:steps]:
        await step()
    assert await required(endpoints) is True
    assert not await lets_in(endpoints, "of a run before")
    assert await lets_in(endpoints, PASSWORD)


async def test_several_at_once_come_to_the_same(endpoints: list[str]) -> None:
    found = await asyncio.gather(*(required(endpoints) for _ in range(5)))
    assert any(found)
    assert await lets_in(endpoints, PASSWORD)
    assert not await lets_in(endpoints, None)


async def test_a_store_that_is_open_meanwhile_goes_on(endpoints: list[str]) -> None:
    """As servers are whose settings have the password before etcd asks for it."""
    store = await EtcdStore.connect(endpoints, user=USER, password=PASSWORD)
    try:
        await store.commit(Txn(then=[Put(b"k", b"before")]))
        await required(endpoints)
        await store.commit(Txn(then=[Put(b"k", b"after")]))
        found = await store.get(b"k")
        assert found is not None
        assert found.value == b"after"
    finally:
        await store.close()


async def test_nobody_there_is_said_in_time() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        await required(["127.0.0.1:1"], within_s=0.3)


async def test_an_empty_password_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        await required(["127.0.0.1:1"], "")
