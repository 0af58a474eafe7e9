"""What every audit log keeps to, whatever it stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from control_plane.audit.chain import AuditRecord
from control_plane.audit.entry import AuditPhase, decode_entry
from control_plane.audit.port import TRIM_AT_ONCE, AuditLog
from tests.support.audit_chains import asked, fault_of

DAY_MS = 86_400_000


class Wall:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000

    def __call__(self) -> float:
        return self.now_ms / 1_000


async def all_of(audit_log: AuditLog) -> list[AuditRecord]:
    return list((await audit_log.read(after=0, limit=10_000)).records)


async def fault(audit_log: AuditLog) -> int | None:
    """What a walk over all of it finds."""
    page = await audit_log.read(after=0, limit=10_000)
    return fault_of(page.records, page.head, page.trimmed)


class AuditLogContract:
    """Subclasses have fixtures: `audit_log`, `wall`, `others`, which makes one more log over the
    same store, and `successor`, which makes the log of a server that is there once that of
    `audit_log` has gone."""

    async def test_entries_follow_each_other(self, audit_log: AuditLog):
        assert [await audit_log.append(asked(n)) for n in range(3)] == [1, 2, 3]
        records = await all_of(audit_log)
        assert [decode_entry(one.content).id for one in records] == [asked(n).id for n in range(3)]
        assert await fault(audit_log) is None

    async def test_an_empty_log_is_whole(self, audit_log: AuditLog):
        assert await fault(audit_log) is None
        assert await all_of(audit_log) == []

    async def test_many_at_once_and_from_several_logs_make_one_chain(
        self, audit_log: AuditLog, others: Callable[[], AuditLog]
    ):
        logs = [audit_log, others()]
        sequences = await asyncio.gather(*(logs[n % 2].append(asked(n)) for n in range(60)))
        assert sorted(sequences) == list(range(1, 61))
        assert await fault(audit_log) is None

    async def test_times_never_go_back(self, audit_log: AuditLog, wall: Wall):
        await audit_log.append(asked(1))
        wall.now_ms -= 60_000
        await audit_log.append(asked(2))
        times = [decode_entry(one.content).time_ms for one in await all_of(audit_log)]
        assert times == [wall.now_ms + 60_000] * 2

    async def test_what_was_asked_is_open_until_its_outcome(self, audit_log: AuditLog):
        first = await audit_log.append(asked(1))
        second = await audit_log.append(asked(2))
        assert (await audit_log.read(after=0, limit=9)).open == {first, second}
        await audit_log.append(replace(asked(3), phase=AuditPhase.DONE, asked=first))
        assert (await audit_log.read(after=0, limit=9)).open == {second}
        assert (await audit_log.read(after=second, limit=9)).open == set()

    async def test_what_a_server_that_has_gone_left_open_has_an_unknown_outcome(
        self, audit_log: AuditLog, successor: Callable[[], Awaitable[AuditLog]]
    ):
        left = await audit_log.append(asked(1, request={"unit_id": "dublin"}))
        told = await audit_log.append(asked(2))
        await audit_log.append(replace(asked(3), phase=AuditPhase.DONE, asked=told))
        after = await successor()
        own = await after.append(asked(4))
        assert await after.end_abandoned({own}) == 1
        page = await after.read(after=0, limit=9)
        assert page.open == {own}
        outcome = decode_entry(page.records[-1].content)
        assert (outcome.phase, outcome.asked, outcome.code) == (AuditPhase.UNKNOWN, left, "")
        assert (outcome.method, outcome.caller) == (asked(1).method, asked(1).caller)
        assert outcome.request == {"unit_id": "dublin"}
        assert "look at the object" in outcome.message
        assert await fault(after) is None
        assert await after.end_abandoned({own}) == 0

    async def test_what_a_server_is_at_is_left_alone(self, audit_log: AuditLog):
        await audit_log.append(asked(1))
        assert await audit_log.end_abandoned(set()) == 0
        assert await audit_log.end_abandoned({1}) == 0

    async def test_a_page_is_what_was_asked_for(self, audit_log: AuditLog):
        for number in range(5):
            await audit_log.append(asked(number))
        page = await audit_log.read(after=2, limit=2)
        assert [one.sequence for one in page.records] == [3, 4]
        assert page.head.sequence == 5

    async def test_old_entries_go_and_the_chain_stays_whole(self, audit_log: AuditLog, wall: Wall):
        for number in range(TRIM_AT_ONCE + 10):
            await audit_log.append(asked(number))
        early_ms = wall.now_ms
        assert await audit_log.trim(before_ms=early_ms, keep=1_000) == 0
        wall.now_ms += DAY_MS
        await audit_log.append(asked(99))
        assert await audit_log.trim(before_ms=early_ms + 1, keep=1_000) == TRIM_AT_ONCE
        page = await audit_log.read(after=0, limit=1_000)
        assert page.trimmed.sequence == TRIM_AT_ONCE
        assert page.records[0].sequence == TRIM_AT_ONCE + 1
        assert min(page.open) == TRIM_AT_ONCE + 1
        assert decode_entry(page.records[-1].content).phase is AuditPhase.TRIMMED
        assert await fault(audit_log) is None
        # The rest is few, and not a day late.
        assert await audit_log.trim(before_ms=early_ms + 1, keep=1_000) == 0
        assert await audit_log.trim(before_ms=early_ms + DAY_MS + 1, keep=1_000) > 0
        assert await fault(audit_log) is None

    async def test_more_than_are_kept_go(self, audit_log: AuditLog):
        for number in range(TRIM_AT_ONCE + 20):
            await audit_log.append(asked(number))
        assert await audit_log.trim(before_ms=0, keep=40) == 0
        assert await audit_log.trim(before_ms=0, keep=20) == TRIM_AT_ONCE
        assert len(await all_of(audit_log)) == 21
        await audit_log.append(asked(99))
        assert await fault(audit_log) is None
