"""Changes in a store decide their own outcome: whoever dies at whatever step, and however late a
transaction comes, the log says of a change that it was made where it was, and only there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from control_plane import keys
from control_plane.audit.change import AuditedChange, changing
from control_plane.audit.entry import AuditEntry, AuditPhase, Transactions, decode_entry
from control_plane.audit.marked_store import MarkedStore
from control_plane.audit.store_log import StoreAuditLog
from control_plane.errors import OutcomeUnknown, Unavailable
from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.unit import TenantSpec
from control_plane.store.port import Delete, Get, Put, Store, Txn, absent
from tests.support.audit_chains import asked
from tests.support.contracts.audit_log_contract import Wall, all_of, fault
from tests.support.etcd import either_store
from tests.support.fakes.faulty_store import FaultyStore

CITY = TenantSpec(id="city")
MOST_STEPS = 12  # calls of a store from what is asked to its outcome; there are fewer


@pytest.fixture(params=["embedded", "etcd"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with either_store(request, tmp_path) as opened:
        yield opened


class Died(BaseException):
    """The process is not there any more."""


class InterruptedStore:
    """A real store before whose n-th call, or after it, something happens; it may raise Died, and
    then every later call does."""

    def __init__(self, store: Store, at: int, *, after: bool, then: Callable[[], Any]) -> None:
        self._store, self._at, self._after, self._then = store, at, after, then
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name not in ("get", "range", "commit"):
            return real

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            mine = self.calls
            if mine == self._at and not self._after:
                await self._then()
            result = await real(*arguments, **named)
            if mine == self._at and self._after:
                await self._then()
            return result

        return call


async def dies() -> None:
    raise Died


def log_of(store: Any, session: str) -> StoreAuditLog:
    return StoreAuditLog(store, wall=Wall(), new_id=lambda: "of-another", session=lambda: session)


async def begun(
    store: Any, transactions: Transactions = Transactions.ONE, session: str = "gone"
) -> tuple[AuditEntry, AuditedChange]:
    """What was asked of a server whose session has ended."""
    entry = asked(1, transactions=transactions)
    entry = replace(entry, sequence=await log_of(store, session).append(entry))
    change = AuditedChange(marked=transactions is not Transactions.UNMARKED)
    change.sequence = entry.sequence
    return entry, change


async def ended(store: Any, entry: AuditEntry, phase: AuditPhase = AuditPhase.DONE) -> None:
    outcome = replace(entry, id="own", phase=phase, asked=entry.sequence)
    await log_of(store, "gone").append(outcome)


async def applied(store: Any, change: AuditedChange) -> None:
    with changing(change):
        await TenantRegistry(MarkedStore(store)).apply(CITY)


async def is_there(store: Store) -> bool:
    return await store.get(keys.tenant(CITY.id)) is not None


async def outcomes(store: Store) -> list[AuditEntry]:
    """Of all that was asked; the chain is whole, and no mark is left."""
    log = log_of(store, "reader")
    assert await fault(log) is None
    page = await store.range(keys.ROOT.encode() + b"audit/", keys_only=True)
    marks = [
        pair.key for pair in page.items if pair.key.startswith((keys.AUDIT_OPEN, keys.AUDIT_MADE))
    ]
    assert marks == []
    entries = [decode_entry(one.content) for one in await all_of(log)]
    return [one for one in entries if one.phase is not AuditPhase.ASKED]


@pytest.mark.parametrize("after", [False, True], ids=["before-the-call", "after-the-call"])
async def test_a_server_may_die_at_any_step(store: Store, after: bool):
    finished = False
    for at in range(1, MOST_STEPS):
        await store.commit(Txn(then=[Delete(keys.ROOT.encode(), prefix=True)]))
        dying = InterruptedStore(store, at, after=after, then=dies)
        try:
            entry, change = await begun(dying)
            await applied(dying, change)
            await ended(dying, entry)
            finished = True
        except Died:
            pass
        await log_of(store, "next").end_abandoned(set())
        told = await outcomes(store)
        assert len(told) == (1 if await all_of(log_of(store, "next")) else 0)
        made = await is_there(store)
        assert [one.phase for one in told] == [
            AuditPhase.DONE if made else AuditPhase.FAILED for _ in told
        ], at
        assert told or not made
        if finished:
            return
    pytest.fail("there are more steps than this test tries")


@pytest.mark.parametrize("after", [False, True], ids=["before-the-call", "after-the-call"])
async def test_a_change_may_come_at_any_step_of_whoever_ends_it(store: Store, after: bool):
    """Its server was only slow. Without the comparison the log would say that nothing was changed,
    and then something is."""
    for at in range(1, MOST_STEPS):
        await store.commit(Txn(then=[Delete(keys.ROOT.encode(), prefix=True)]))
        _, change = await begun(store)
        refused = False

        async def late(change: AuditedChange = change) -> None:
            nonlocal refused
            try:
                await applied(store, change)
            except Unavailable as error:
                refused = "has its outcome already" in error.message
                assert refused

        interrupted = InterruptedStore(store, at, after=after, then=late)
        while not await log_of(interrupted, "next").end_abandoned(set()):
            pass
        over = interrupted.calls < at
        if over:
            await late()
        (told,) = await outcomes(store)
        made = await is_there(store)
        assert told.phase is (AuditPhase.DONE if made else AuditPhase.FAILED), at
        assert refused is not made
        if over:
            return
    pytest.fail("there are more steps than this test tries")


@pytest.mark.parametrize(
    ("fault_", "phase"), [("lost before", AuditPhase.FAILED), ("lost after", AuditPhase.DONE)]
)
async def test_what_the_store_did_not_say_its_marks_do(
    store: Store, fault_: str, phase: AuditPhase
):
    faulty = FaultyStore(store, lambda txn: any(isinstance(one, Put) for one in txn.then))
    entry, change = await begun(store)
    faulty.faults.append(fault_)
    with pytest.raises(OutcomeUnknown):
        await applied(faulty, change)
    await ended(store, entry, AuditPhase.UNKNOWN)
    (told,) = await outcomes(store)
    assert told.phase is phase


async def test_a_call_that_fails_behind_its_change_has_made_it(store: Store):
    entry, change = await begun(store)
    await applied(store, change)
    await ended(store, entry, AuditPhase.FAILED)
    (told,) = await outcomes(store)
    assert told.phase is AuditPhase.DONE
    assert "the change was made" in told.message


@pytest.mark.parametrize(
    ("made", "phase", "said"),
    [
        (0, AuditPhase.FAILED, "nothing was changed"),
        (1, AuditPhase.UNKNOWN, "1 of its transactions was made"),
        (2, AuditPhase.UNKNOWN, "2 of its transactions were made"),
    ],
)
async def test_of_several_transactions_it_is_told_how_many(
    store: Store, made: int, phase: AuditPhase, said: str
):
    _, change = await begun(store, Transactions.SEVERAL)
    with changing(change):
        for number in range(made):
            await MarkedStore(store).commit(Txn(then=[Put(keys.tenant(f"t{number}"), b"")]))
    assert await log_of(store, "next").end_abandoned(set()) == 1
    (told,) = await outcomes(store)
    assert told.phase is phase
    assert said in told.message


async def test_an_outcome_stands_there_once(store: Store):
    """Another server took this one for gone; both tell the same change."""
    entry, change = await begun(store)
    await applied(store, change)
    assert await log_of(store, "next").end_abandoned(set()) == 1
    assert await log_of(store, "gone").append(
        replace(entry, id="own", phase=AuditPhase.FAILED, asked=entry.sequence)
    ) == 0  # fmt: skip
    assert [one.phase for one in await outcomes(store)] == [AuditPhase.DONE]


async def test_what_other_tasks_write_is_not_of_the_call(store: Store):
    _, change = await begun(store)
    marked = MarkedStore(store)

    async def of_others() -> None:
        await marked.commit(Txn(then=[Put(keys.tenant("other"), b"")]))

    with changing(change):
        await asyncio.create_task(of_others())
        await marked.commit(Txn(then=[Get(keys.tenant("other"))]))  # it changes nothing
    await of_others()
    assert await store.get(keys.audit_made(change.sequence)) is None
    assert await store.get(keys.tenant("other")) is not None


async def test_results_are_those_that_were_asked_for(store: Store):
    _, change = await begun(store)
    key = keys.tenant("city")
    txn = Txn(
        creates=[(key, b"1")], compares=[absent(b"x")], then=[Put(b"y", b"")],
        otherwise=[Get(b"y")],
    )  # fmt: skip
    with changing(change):
        for succeeds in (True, False):
            got = await MarkedStore(store).commit(txn)
            assert got.succeeded is succeeds
    assert len(got.results) == 2
    assert [pair.key for pair in got.results[0]] == [key]
    assert [pair.key for pair in got.results[1]] == [b"y"]
