"""The audit log in a store: one chain whoever appends, and whatever is done past it is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.audit.chain import AuditRecord
from control_plane.audit.entry import decode_entry
from control_plane.audit.port import AuditLog
from control_plane.audit.store_log import StoreAuditLog
from control_plane.errors import Unavailable
from control_plane.store.port import Delete, Put, Store, Txn
from tests.support.audit_chains import TAMPERINGS, asked
from tests.support.contracts.audit_log_contract import AuditLogContract, Wall, all_of, fault
from tests.support.etcd import either_store
from tests.support.fakes.faulty_store import FaultyStore


@pytest.fixture(params=["embedded", "etcd"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with either_store(request, tmp_path) as opened:
        await opened.commit(Txn(then=[Put(keys.session("p-1"), b"")]))
        yield opened


@pytest.fixture
def wall() -> Wall:
    return Wall()


def log_of(store, wall: Wall, session: str = "p-1") -> StoreAuditLog:
    numbers = count()
    return StoreAuditLog(
        store,
        wall=wall,
        new_id=lambda: f"{session}-{next(numbers)}",
        session=lambda: session,
    )


@pytest.fixture
def audit_log(store: Store, wall: Wall) -> AuditLog:
    return log_of(store, wall)


@pytest.fixture
def others(store: Store, wall: Wall) -> Callable[[], AuditLog]:
    return lambda: log_of(store, wall)


@pytest.fixture
def successor(store: Store, wall: Wall) -> Callable[[], Awaitable[AuditLog]]:
    async def made() -> AuditLog:
        await store.commit(Txn(then=[Delete(keys.session("p-1")), Put(keys.session("p-2"), b"")]))
        return log_of(store, wall, "p-2")

    return made


class TestStoreAuditLog(AuditLogContract):
    """The contract."""


async def test_of_sixteen_servers_one_ends_what_another_left_open(store: Store, wall):
    left = await log_of(store, wall, "p-gone").append(asked(1))
    ended = await asyncio.gather(
        *(log_of(store, wall, f"p-{n}").end_abandoned(set()) for n in range(16))
    )
    assert sum(ended) <= 1
    while await log_of(store, wall).end_abandoned(set()):
        pass
    page = await log_of(store, wall).read(after=0, limit=99)
    assert [decode_entry(one.content).asked for one in page.records] == [0, left]
    assert page.open == set()
    assert await fault(log_of(store, wall)) is None


async def test_a_server_that_comes_back_is_not_ended_with(store: Store, wall):
    """Its session is looked at in the transaction that would end what it is at."""
    faulty = FaultyStore(store, writes_entries)
    await log_of(store, wall, "p-3").append(asked(1))

    real_commit = faulty.commit

    async def commit(txn: Txn, **kept):  # type: ignore[no-untyped-def]
        await store.commit(Txn(then=[Put(keys.session("p-3"), b"")]))
        return await real_commit(txn, **kept)

    faulty.commit = commit  # type: ignore[method-assign]
    assert await log_of(faulty, wall).end_abandoned(set()) == 0
    assert (await log_of(store, wall).read(after=0, limit=9)).open == {1}


async def test_what_was_trimmed_is_not_open_any_more(store: Store, wall):
    number = await log_of(store, wall, "p-gone").append(asked(1))
    await store.commit(Txn(then=[Delete(keys.audit_entry(number))]))
    assert await log_of(store, wall).end_abandoned(set()) == 0
    assert await store.get(keys.audit_open(number)) is None


def writes_entries(txn: Txn) -> bool:
    return any(key.startswith(keys.AUDIT_ENTRIES) for key, _ in txn.creates)


@pytest.mark.parametrize("lost", ["lost before", "lost after"])
async def test_what_may_have_been_written_stands_there_once(store: Store, wall, lost: str):
    faulty = FaultyStore(store, writes_entries)
    audit_log = log_of(faulty, wall)
    await audit_log.append(asked(1))
    faulty.faults.append(lost)
    assert await audit_log.append(asked(2)) == 2
    assert len(await all_of(audit_log)) == 2
    assert await fault(audit_log) is None


async def test_a_store_that_refuses_is_told(store: Store, wall):
    faulty = FaultyStore(store, writes_entries)
    faulty.faults.append("refused")
    with pytest.raises(Unavailable, match="cannot be written"):
        await log_of(faulty, wall).append(asked(1))
    assert await all_of(log_of(store, wall)) == []


async def rewrite(store: Store, records: list[AuditRecord]) -> None:
    """As somebody would who can write the store: these records, and the head as it is."""
    await store.commit(Txn(then=[Delete(keys.AUDIT_ENTRIES, prefix=True)]))
    for one in records:
        await store.commit(Txn(then=[Put(keys.audit_entry(one.sequence), one.hash + one.content)]))


@pytest.mark.parametrize("kind", TAMPERINGS.values(), ids=TAMPERINGS.keys())
async def test_each_kind_of_tampering_in_the_store_is_found(store, audit_log: AuditLog, kind):
    for number in range(6):
        await audit_log.append(asked(number))
    records = await all_of(audit_log)
    await rewrite(store, kind(records, 2))
    assert await fault(audit_log) == 3
    await rewrite(store, records)
    assert await fault(audit_log) is None


async def test_entries_that_are_gone_from_the_end_or_the_beginning_are_missed(store, audit_log):
    for number in range(4):
        await audit_log.append(asked(number))
    records = await all_of(audit_log)
    await rewrite(store, records[:2])
    assert await fault(audit_log) == 3
    await rewrite(store, records[1:])
    assert await fault(audit_log) == 1


async def test_a_head_that_is_gone_lets_nobody_write_over_the_log(store, audit_log: AuditLog):
    await audit_log.append(asked(1))
    await store.commit(Txn(then=[Delete(keys.AUDIT_HEAD)]))
    with pytest.raises(Unavailable, match="damaged"):
        await audit_log.append(asked(2))
    assert len(await all_of(audit_log)) == 1


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"point": 1}'])
async def test_a_head_that_cannot_be_read_is_told(store, audit_log: AuditLog, value: bytes):
    await store.commit(Txn(then=[Put(keys.AUDIT_HEAD, value)]))
    with pytest.raises(Unavailable, match="damaged"):
        await audit_log.append(asked(1))
    with pytest.raises(Unavailable, match="damaged"):
        await audit_log.read(after=0, limit=1)


async def test_a_key_that_is_no_entry_is_found(store, audit_log: AuditLog):
    await audit_log.append(asked(1))
    await store.commit(Txn(then=[Put(keys.AUDIT_ENTRIES + b"zzz", b"x")]))
    assert await fault(audit_log) == 0


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"[" * 9_000])
async def test_an_entry_that_cannot_be_read_keeps_no_other_one_open(store, wall, caplog, content):
    """It stands first; every look tells the outcomes of the others, and names it once."""
    gone = log_of(store, wall, "p-gone")
    damaged = await gone.append(asked(1))
    await store.commit(Txn(then=[Put(keys.audit_entry(damaged), content)]))
    after = log_of(store, wall)
    for number in (2, 3):
        left = await gone.append(asked(number))
        assert await after.end_abandoned(set()) == 1
        assert await store.get(keys.audit_open(left)) is None
    assert await store.get(keys.audit_open(damaged)) is not None
    assert len(caplog.records) == 1
