"""The reader reads in groups, and for nobody who does not wait any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Compare, KeyValue, Put, Txn, TxnResult
from provisioner.ledger.reader import BATCH, Reader


class Look:
    """One lookup and its outcome."""

    def __init__(self, name: str, expires_at: float = 100.0) -> None:
        self.key = name.encode()
        self.expires_at = expires_at
        self.outcome: asyncio.Future[KeyValue | ServiceError | None]
        self.outcome = asyncio.get_running_loop().create_future()

    def found(self, found: KeyValue | None) -> None:
        self.outcome.set_result(found)

    def failed(self, error: ServiceError) -> None:
        self.outcome.set_result(error)


class Counting:
    """A real store that notes the keys of each read."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.reads: list[list[bytes]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        self.reads.append([operation.key for operation in txn.then])
        return await self._store.commit(txn, timeout_s=timeout_s)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Counting]:
    real = await EmbeddedStore.open(tmp_path / "store.db")
    await real.commit(Txn(then=[Put(b"a", b"1")]))
    yield Counting(real)
    await real.close()


async def read(store: Counting, looks: list[Look], *, now: float) -> None:
    reader = Reader(store, clock=lambda: now)
    for look in looks:
        reader.look_up(look)
    running = asyncio.create_task(reader.run())
    await asyncio.gather(*(look.outcome for look in looks))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_who_has_gone_is_not_read_for(store: Counting) -> None:
    gone = [Look(f"gone-{n}", expires_at=4.9) for n in range(3 * BATCH)]
    waiting = [Look("a"), Look("b")]
    await read(store, [*gone, *waiting], now=5.0)
    assert store.reads == [[b"a", b"b"]]
    assert all(isinstance(look.outcome.result(), Unavailable) for look in gone)
    found = waiting[0].outcome.result()
    assert isinstance(found, KeyValue)
    assert (found.value, waiting[1].outcome.result()) == (b"1", None)


async def test_when_everybody_has_gone_nothing_is_read(store: Counting) -> None:
    await read(store, [Look("a", expires_at=1.0)], now=5.0)
    assert store.reads == []


class Broken(Counting):
    """Fails as nobody foresaw."""

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        raise ZeroDivisionError


class Everything:
    """Rules by which all is read here."""

    def reads(self, key: bytes) -> bool:
        return True

    def compares(self) -> tuple[Compare, ...]:
        return ()

    async def refused(self, result: TxnResult) -> None:
        raise AssertionError

    def forward(self, lookup: Any) -> None:
        raise AssertionError


@pytest.mark.parametrize("rules", [None, Everything()], ids=["one-store", "by-rules"])
async def test_what_nobody_foresaw_reaches_who_waits_and_the_owner(
    store: Counting, rules: Everything | None
) -> None:
    reader = Reader(Broken(store._store), rules, clock=lambda: 0.0)
    looks = [Look("a"), Look("b")]
    for look in looks:
        reader.look_up(look)
    with pytest.raises(ZeroDivisionError):
        await reader.run()
    assert [type(look.outcome.result()) for look in looks] == [Unavailable, Unavailable]


async def test_a_tenant_with_thousands_of_lookups_leaves_room_in_the_next_read(
    store: Counting,
) -> None:
    flood = [Look(f"{keys.ASSIGNMENTS.decode()}bank/c{n}") for n in range(5 * BATCH)]
    other = Look(f"{keys.ASSIGNMENTS.decode()}city/alice")
    await read(store, [*flood, other], now=5.0)
    assert other.key in store.reads[0]
    assert len(store.reads[0]) == BATCH
