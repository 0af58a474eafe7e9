"""A known client without a key is bound to the one it shows, once it has proved itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.store.embedded.store import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.ledger.assignment import decode_assignment, with_key
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.provisioning.key_binding import KeyBinder, RecordStore

AT = keys.assignment("city", "alice")
RECORD = encode_assignment(
    "dublin", 2, 7, "IE:53.3,-6.3~20", 3, "home", '["nearest","database",1.0,9]'
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    await store.commit(Txn(then=[Put(AT, RECORD)]))
    yield store
    await store.close()


async def settled(binder: KeyBinder, reached) -> None:
    """Runs the binder until that is so."""
    running = asyncio.create_task(binder.run())
    try:
        async with asyncio.timeout(10):
            while not await reached():  # noqa: ASYNC110 - the store says so, nobody else
                await asyncio.sleep(0)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_the_record_gets_the_key_and_keeps_the_rest(store):
    binder = KeyBinder(lambda key: RecordStore(store))
    binder.bind(await store.get(AT), "digest")

    async def bound() -> bool:
        return decode_assignment((await store.get(AT)).value).key == "digest"

    await settled(binder, bound)
    before, after = decode_assignment(RECORD), decode_assignment((await store.get(AT)).value)
    assert (after.unit, after.epoch, after.home, after.why) == (
        before.unit, before.epoch, before.home, before.why,
    )  # fmt: skip


async def test_a_record_that_was_written_since_is_left_alone(store):
    binder = KeyBinder(lambda key: RecordStore(store))
    found = await store.get(AT)
    moved = encode_assignment("virginia", 3, 9, "")
    await store.commit(Txn(then=[Put(AT, moved)]))
    other = keys.assignment("city", "bob")
    await store.commit(Txn(then=[Put(other, RECORD)]))
    binder.bind(found, "digest")
    binder.bind(await store.get(other), "digest")

    async def second_is_bound() -> bool:
        return b"digest" in (await store.get(other)).value

    await settled(binder, second_is_bound)
    assert (await store.get(AT)).value == moved


async def test_a_client_that_is_written_nowhere_is_passed_over(store):
    other = keys.assignment("city", "bob")
    await store.commit(Txn(then=[Put(other, RECORD)]))
    binder = KeyBinder(lambda key: RecordStore(store) if key == other else None)
    binder.bind(await store.get(AT), "digest")
    binder.bind(await store.get(other), "digest")

    async def second_is_bound() -> bool:
        return b"digest" in (await store.get(other)).value

    await settled(binder, second_is_bound)
    assert (await store.get(AT)).value == RECORD


def test_fields_that_are_not_known_stay():
    assert (
        with_key(b'{"unit":"u","later":{"x":1}}', "d") == b'{"unit":"u","later":{"x":1},"key":"d"}'
    )
