"""What a platform makes of instructions, with its journal on a real disk: run once, told until
recorded, refused by name."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from control_plane.errors import Refused
from data_sharing.instruction import Instruction, Performance, Performed
from data_sharing.platforms.host import HostedApplication, PlatformHost
from data_sharing.platforms.journal import KEEP_AFTER_DEADLINE_MS, Journal
from data_sharing.platforms.reports import Report
from data_sharing.runtimes.port import Invocation, InvocationStatus, Outcome
from data_sharing.signing import (
    Delivery,
    InstructionRefusal,
    InstructionVerifier,
    RefusalReason,
    SigningKey,
    sign,
)
from tests.support.fakes.runner import FakeInstalled, FakeRunner, echo
from tests.support.instructions import NOW_MS, RING, Clock

KEY = SigningKey.of(b"k" * 32)
WAIT_S = 30.0


class Platform:
    """A host on a journal in `folder`, and what it reported. `dies` leaves the disk as a
    SIGKILL would."""

    def __init__(
        self,
        journal: Journal,
        answer: Callable[[Invocation], Outcome] = echo,
        *,
        capacity: int = 8,
        threads: int = 2,
    ) -> None:
        self.clock = Clock()
        self.runner = FakeRunner(threads)
        self.alarm = FakeInstalled(answer)
        self.reports: list[Report] = []
        self._news = asyncio.Event()
        self.journal = journal
        self.host = PlatformHost(
            "hub",
            InstructionVerifier("acme", "hub", {KEY.key_id: KEY.public_bytes()}),
            self.journal,
            self.runner,
            capacity=capacity,
            wall_ms=self.clock,
            report=self._heard,
        )
        self.host.add(HostedApplication(application="alarm", version="1.0.0", installed=self.alarm))

    @classmethod
    async def on(
        cls, folder: Path, answer: Callable[[Invocation], Outcome] = echo, **how: int
    ) -> Platform:
        return cls(await Journal.open(folder / "journal", now_ms=NOW_MS), answer, **how)

    def _heard(self, report: Report) -> None:
        self.reports.append(report)
        self._news.set()

    def give(self, instruction: Instruction = RING, *, fence: int = 1, attempt: int = 1):
        delivery = Delivery(
            instruction=instruction, platform="hub", partition="0", fence=fence, attempt=attempt
        )
        self.host.accept(sign(delivery, KEY, self.clock()))

    async def hears(self, count: int) -> list[Report]:
        async with asyncio.timeout(WAIT_S):
            while len(self.reports) < count:
                self._news.clear()
                await self._news.wait()
        return self.reports

    async def runs(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.runner.at_once < count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def outcome(self, instruction: Instruction = RING, **how: int) -> Performed:
        before = len(self.reports)
        self.give(instruction, **how)
        report = (await self.hears(before + 1))[before]
        assert isinstance(report, Performed)
        return report

    async def reason(self, instruction: Instruction = RING, **how: int) -> RefusalReason:
        before = len(self.reports)
        self.give(instruction, **how)
        report = (await self.hears(before + 1))[before]
        assert isinstance(report, InstructionRefusal)
        return report.reason

    async def close(self) -> None:
        await self.host.drain(WAIT_S)
        await self.journal.close()


def failing(invocation: Invocation) -> Outcome:
    return Outcome(status=InvocationStatus.FAILED, message="no water", stderr_tail="empty tank")


async def test_an_action_runs_and_its_outcome_is_told(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    done = await platform.outcome()
    assert (done.status, done.output) == (Performance.DONE, '{"volume":40}')
    assert (done.instruction, done.attempt, done.platform) == ("i-1", 1, "hub")
    assert platform.alarm.invocations == [
        Invocation(action="ring", input='{"volume":40}', key="i-1")
    ]
    await platform.close()


async def test_a_replay_is_answered_with_the_recorded_outcome(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    first = await platform.outcome()
    again = await platform.outcome()
    assert again == first  # `replayed` is not compared
    assert (first.replayed, again.replayed) == (False, True)
    assert len(platform.alarm.invocations) == 1
    await platform.close()


async def test_a_replay_after_a_restart_is_answered_too(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    first = await platform.outcome()
    await platform.close()
    restarted = await Platform.on(tmp_path)
    assert await restarted.outcome() == first
    assert restarted.alarm.invocations == []
    await restarted.close()


async def test_an_id_used_for_another_instruction_is_refused(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    await platform.outcome()
    other = replace(RING, configuration={"volume": 100})
    assert await platform.reason(other) is RefusalReason.REPLAYED
    assert len(platform.alarm.invocations) == 1
    await platform.close()


async def test_while_it_runs_a_second_delivery_waits_for_the_same_outcome(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    platform.runner.hold.clear()
    platform.give()
    platform.give()
    platform.runner.hold.set()
    await platform.hears(1)
    await platform.close()
    assert len(platform.reports) == 1
    assert len(platform.alarm.invocations) == 1


async def test_a_failure_is_an_outcome_and_a_further_attempt_runs_again(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path, failing)
    once = replace(RING, idempotent=True)
    failed = await platform.outcome(once)
    assert (failed.status, failed.message) == (Performance.FAILED, "no water (empty tank)")
    platform.alarm.answer = echo
    assert (await platform.outcome(once, attempt=2)).status is Performance.DONE
    assert (await platform.outcome(once, attempt=1)).attempt == 2  # an old delivery, come late
    assert len(platform.alarm.invocations) == 2
    await platform.close()


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        pytest.param(replace(RING, application="tea"), RefusalReason.NOT_HOSTED, id="not-here"),
        pytest.param(
            replace(RING, version="2.0.0"), RefusalReason.NOT_HOSTED, id="another-version"
        ),
        pytest.param(replace(RING, artifact="0" * 64), RefusalReason.NOT_HOSTED, id="another-file"),
        pytest.param(
            replace(RING, deadline_ms=NOW_MS - 1), RefusalReason.EXPIRED, id="after-its-deadline"
        ),
    ],
)
async def test_what_cannot_be_followed_is_refused_by_name(
    tmp_path: Path, instruction: Instruction, expected: RefusalReason
) -> None:
    platform = await Platform.on(tmp_path)
    assert await platform.reason(instruction) is expected
    assert platform.alarm.invocations == []
    await platform.close()


async def test_a_replaced_worker_is_not_followed_also_after_a_restart(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    await platform.outcome(fence=5)
    later = replace(RING, id="i-2")
    assert await platform.reason(later, fence=4) is RefusalReason.STALE_FENCE
    await platform.close()
    restarted = await Platform.on(tmp_path)
    assert await restarted.reason(later, fence=4) is RefusalReason.STALE_FENCE
    assert (await restarted.outcome(later, fence=5)).status is Performance.DONE
    await restarted.close()


async def test_more_than_its_capacity_is_refused_and_threads_bound_what_runs(
    tmp_path: Path,
) -> None:
    platform = await Platform.on(tmp_path, capacity=4, threads=2)
    platform.runner.hold.clear()
    for number in range(6):
        platform.give(replace(RING, id=f"i-{number}"))
    await platform.runs(2)
    platform.runner.hold.set()
    reports = await platform.hears(6)
    refused = [report for report in reports if isinstance(report, InstructionRefusal)]
    assert [(one.instruction, one.reason) for one in refused] == [
        ("i-4", RefusalReason.BUSY),
        ("i-5", RefusalReason.BUSY),
    ]
    assert platform.runner.most_at_once == 2
    await platform.close()


async def test_a_deadline_that_passes_in_the_queue_is_refused_and_not_run(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path, threads=1)
    platform.runner.hold.clear()
    platform.give()
    platform.give(replace(RING, id="i-2"))
    await asyncio.sleep(0)
    platform.clock.now_ms = RING.deadline_ms + 1
    platform.runner.hold.set()
    reports = {report.instruction: report for report in await platform.hears(2)}
    late = reports["i-2"]
    assert isinstance(late, InstructionRefusal)
    assert late.reason is RefusalReason.EXPIRED
    await platform.close()


async def died_while_running(folder: Path, instruction: Instruction) -> Platform:
    """A platform that was killed while its action ran, and another that took its disk over."""
    platform = await Platform.on(folder)
    platform.runner.hold.clear()
    platform.give(instruction)
    await platform.runs(1)
    copy = folder / "after"
    copy.mkdir()
    with sqlite3.connect(folder / "journal") as db:  # what a crash leaves: all that was committed
        db.execute("VACUUM INTO ?", (str(copy / "journal"),))
    platform.runner.hold.set()
    await platform.close()
    return await Platform.on(copy)


async def test_of_a_killed_action_that_is_not_idempotent_the_outcome_is_unknown(
    tmp_path: Path,
) -> None:
    restarted = await died_while_running(tmp_path, RING)
    restarted.host.report_unrecorded()
    told = restarted.reports[0]
    assert isinstance(told, Performed)
    assert (told.status, told.platform, told.replayed) == (Performance.UNKNOWN, "hub", True)
    assert (await restarted.outcome()).status is Performance.UNKNOWN
    assert restarted.alarm.invocations == []
    await restarted.close()


async def test_a_killed_action_that_is_idempotent_runs_again(tmp_path: Path) -> None:
    once = replace(RING, idempotent=True)
    restarted = await died_while_running(tmp_path, once)
    restarted.host.report_unrecorded()
    assert restarted.reports == []
    assert (await restarted.outcome(once)).status is Performance.DONE
    await restarted.close()


async def test_outcomes_are_told_again_until_they_are_recorded(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    first = await platform.outcome()
    await platform.close()
    restarted = await Platform.on(tmp_path)
    restarted.host.report_unrecorded()
    assert restarted.reports == [first]
    await restarted.journal.mark_recorded([(first.instruction, first.attempt)], NOW_MS)
    restarted.reports.clear()
    restarted.host.report_unrecorded()
    assert restarted.reports == []
    assert await restarted.outcome() == first  # still known: its deadline is not over
    await restarted.close()


async def test_what_is_recorded_and_over_is_forgotten(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    done = await platform.outcome()
    over_ms = RING.deadline_ms + KEEP_AFTER_DEADLINE_MS + 1
    await platform.journal.mark_recorded([], over_ms)
    assert len(platform.journal) == 1  # nobody recorded its outcome
    await platform.journal.mark_recorded([(done.instruction, done.attempt)], over_ms)
    assert len(platform.journal) == 0
    await platform.close()
    reopened = await Journal.open(tmp_path / "journal", now_ms=over_ms)
    assert len(reopened) == 0
    await reopened.close()


async def test_what_was_recorded_before_a_restart_is_forgotten_when_it_is_over(tmp_path) -> None:
    platform = await Platform.on(tmp_path)
    told = [(done.instruction, done.attempt) for done in [await platform.outcome()]]
    await platform.journal.mark_recorded(told, NOW_MS)
    await platform.journal.mark_recorded(told, NOW_MS)  # told twice
    await platform.close()
    over_ms = RING.deadline_ms + KEEP_AFTER_DEADLINE_MS + 1
    reopened = await Journal.open(tmp_path / "journal", now_ms=NOW_MS)
    await reopened.mark_recorded([], over_ms - 1)
    assert len(reopened) == 1
    await reopened.mark_recorded([], over_ms)
    assert len(reopened) == 0
    await reopened.close()


async def test_a_leaving_platform_finishes_and_takes_nothing_more(tmp_path: Path) -> None:
    platform = await Platform.on(tmp_path)
    platform.runner.hold.clear()
    platform.give()
    leaving = asyncio.create_task(platform.host.drain(WAIT_S))
    await asyncio.sleep(0)
    assert await platform.reason(replace(RING, id="i-2")) is RefusalReason.BUSY
    platform.runner.hold.set()
    assert await leaving
    assert platform.host.running == 0
    await platform.journal.close()


async def test_a_journal_has_one_owner_and_must_be_one(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "journal", now_ms=NOW_MS)
    with pytest.raises(Refused, match="another process"):
        await Journal.open(tmp_path / "journal", now_ms=NOW_MS)
    await journal.close()
    (tmp_path / "junk").write_bytes(b"x" * 5000)
    with pytest.raises(Refused, match="not a Homeport database"):
        await Journal.open(tmp_path / "junk", now_ms=NOW_MS)
