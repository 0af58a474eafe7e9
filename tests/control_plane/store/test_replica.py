"""A replica that was restored is one until the store itself has been read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from control_plane.store.damaged import name_in, shown_key
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, KeyValue, Page, Put, StoreUnavailable, Txn
from control_plane.store.replica import Replica
from tests.support.odd_keys import write_odd_keys

PREFIX = b"things/"


class Away:
    """A store whose ranges fail until it is back."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.back = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def range(self, prefix: bytes, **more: Any) -> Page:
        if not self.back:
            raise StoreUnavailable("the store is away")
        return await self._store.range(prefix, **more)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Away]:
    real = await EmbeddedStore.open(tmp_path / "store.db")
    yield Away(real)
    await real.close()


def old(name: bytes, value: bytes) -> KeyValue:
    return KeyValue(PREFIX + name, value, 1, 1, 1)


async def test_it_shows_what_was_restored_and_then_what_the_store_says(store: Away) -> None:
    heard: list[tuple[str, bytes | None]] = []
    replica = Replica[bytes](
        store, PREFIX, lambda pair: pair.value, lambda name, record: heard.append((name, record)),
        keeps_pairs=True,
    )  # fmt: skip
    replica.restore([old(b"kept", b"1"), old(b"gone", b"1"), KeyValue(b"other/x", b"", 1, 1, 1)])
    assert (dict(replica.items), replica.listed) == ({"kept": b"1", "gone": b"1"}, False)
    written = await store.commit(
        Txn(then=[Put(PREFIX + b"kept", b"1"), Put(PREFIX + b"new", b"2")])
    )
    running = asyncio.create_task(replica.run())
    try:
        store.back = True
        assert await replica.wait_for_revision(written.revision, timeout_s=20)
        assert dict(replica.items) == {"kept": b"1", "new": b"2"}
        result = await store.commit(Txn(then=[Delete(PREFIX + b"kept")]))
        assert await replica.wait_for_revision(result.revision, timeout_s=20)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert heard == [
        ("kept", b"1"), ("gone", b"1"), ("gone", None), ("new", b"2"), ("kept", None)
    ]  # fmt: skip
    assert [pair.key for pair in replica.pairs] == [PREFIX + b"new"]


async def test_what_the_store_said_is_not_written_over_by_a_snapshot(store: Away) -> None:
    store.back = True
    await store.commit(Txn(then=[Put(PREFIX + b"a", b"new")]))
    replica = Replica[bytes](store, PREFIX, lambda pair: pair.value)
    await replica.start()
    replica.restore([old(b"a", b"old"), old(b"b", b"old")])
    assert dict(replica.items) == {"a": b"new"}


async def test_keys_that_are_nobodys_are_left_out_and_named_while_they_stand(store, caplog):
    """In the list, in the watch, and in a list that is read anew."""
    store.back = True
    await store.commit(Txn(then=[Put(PREFIX + b"good", b"1")]))
    odd = await write_odd_keys(store, PREFIX)
    unreadable = {key for key in odd if name_in(key, PREFIX) is None} - {PREFIX}
    replica = Replica[bytes](store, PREFIX, lambda pair: pair.value, keeps_pairs=True)
    await replica.start()
    running = asyncio.create_task(replica.run())
    try:
        result = await store.commit(Txn(then=[Put(key, b"2") for key in (*odd, PREFIX + b"new")]))
        assert await replica.wait_for_revision(result.revision, timeout_s=20)
        assert set(replica.items) == {"good", "new", "", "/"}
        assert set(replica.damaged_keys()) == {shown_key(key) for key in unreadable}
        gone = await store.commit(Txn(then=[Delete(key) for key in odd]))
        assert await replica.wait_for_revision(gone.revision, timeout_s=20)
        assert list(replica.damaged_keys()) == []
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert len(caplog.records) == len(unreadable)


async def test_what_vanished_while_nobody_looked_is_not_named_any_more(store: Away) -> None:
    def refuse(pair: KeyValue) -> bytes:
        raise RecursionError("brackets are nested too deep")

    store.back = True
    await store.commit(Txn(then=[Put(PREFIX + b"deep", b"["), Put(PREFIX + b"\xff", b"")]))
    replica = Replica[bytes](store, PREFIX, refuse, keeps_pairs=True)
    await replica.start()
    assert len(list(replica.damaged_keys())) == 2
    await store.commit(Txn(then=[Delete(PREFIX, prefix=True)]))
    await replica.start()
    assert (list(replica.damaged_keys()), list(replica.pairs)) == ([], [])
