"""Rules about time, decided by a worker on a database: what was begun before a restart is ended
after it, once, and what time alone held back is told as a decision."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from data_sharing.decisions import worker_tables
from data_sharing.decisions.forgetting import Forgetting
from data_sharing.management.explanations import explain_decision
from data_sharing.sharing.policies import Memory
from tests.support.decisions_harness import DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS
from tests.support.rule_harness import TENANT

MINUTE_MS = 60_000

SILENT = """
rules:
  - rule: silent
    watch: {beat: {feed: beat}}
    absent_for: 5m
    when: "true"
    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]
"""
# NOW_MS is on a Friday, at 08:00 UTC.
QUIET = SILENT.replace(
    "    when:",
    '    active_hours: {open: [{from: "09:00", to: "10:00"}], outside: OUTSIDE}\n    when:',
)


async def pass_by(harness: DecisionHarness, minutes: int) -> None:
    """Until nothing is due any more."""
    harness.clock.now_ms += minutes * MINUTE_MS
    while await harness.worker.tick():
        pass


async def test_absence_is_decided_once_after_a_restart_and_says_how_late_that_was(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path) as first:
        first.rules(SILENT)
        await first.publish(event({}, feed="beat"))
        assert first.decisions() == []
    for minutes in (65, 66):
        async with decision_harness(tmp_path) as again:
            again.rules(SILENT)
            await pass_by(again, minutes)
            (decision,) = again.decisions()
            (stored,) = again.instructions()
    assert [one.id for one in decision.causes] == ["e1"]
    assert decision.time_ms == NOW_MS + 5 * MINUTE_MS
    assert decision.late_ms == 60 * MINUTE_MS
    assert decision.instructions == (stored.instruction.id,)


async def test_an_event_that_comes_before_the_silence_is_decided_takes_it_back(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path) as harness:
        harness.rules(SILENT)
        await harness.publish(event({}, feed="beat"))
        harness.clock.now_ms += 6 * MINUTE_MS  # nobody has looked at timers
        beat = event({}, feed="beat", id="e2", time_ms=NOW_MS + 4 * MINUTE_MS)
        await harness.publish(beat)
        await pass_by(harness, 0)
        assert harness.decisions() == []
        await pass_by(harness, 3)
        (decision,) = harness.decisions()
    assert [one.id for one in decision.causes] == ["e2"]


async def test_an_absence_outside_the_hours_is_told_as_a_decision_that_did_nothing(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path) as harness:
        harness.rules(QUIET.replace("OUTSIDE", "drop"))
        await harness.publish(event({}, feed="beat"))
        await pass_by(harness, 6)
        (decision,) = harness.decisions()
        assert harness.instructions() == []
        told = harness.read(
            lambda db: explain_decision(db, harness.worker.rules, TENANT, decision.id)
        )
    assert decision.summary.startswith("rule silent did not fire (quiet-hours): outside its hours")
    assert [one.verdict for one in told.judgements] == ["quiet-hours"]


async def test_an_absence_outside_the_hours_is_acted_on_when_they_open_once(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path) as harness:
        harness.rules(QUIET.replace("OUTSIDE", "defer"))
        await harness.publish(event({}, feed="beat"))
        await pass_by(harness, 59)
        assert [one.instructions for one in harness.decisions()] == [()]
    async with decision_harness(tmp_path) as again:
        again.rules(QUIET.replace("OUTSIDE", "defer"))
        await pass_by(again, 61)
        (stored,) = again.instructions()
        fired = [one for one in again.decisions() if one.instructions]
    assert [one.time_ms for one in fired] == [NOW_MS + 60 * MINUTE_MS]
    assert fired[0].instructions == (stored.instruction.id,)


async def test_what_is_deferred_is_not_acted_on_where_the_hours_are_over_when_a_server_is_back(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path) as harness:
        harness.rules(QUIET.replace("OUTSIDE", "defer"))
        await harness.publish(event({}, feed="beat"))
        await pass_by(harness, 6)
        await pass_by(harness, 180)
        assert harness.instructions() == []
        await pass_by(harness, 22 * 60)
        assert len(harness.instructions()) == 1


async def test_a_rule_that_is_retired_leaves_nothing_of_its_limits(tmp_path: Path) -> None:
    limited = SILENT.replace(
        "    when:", "    limits: [{at_most: 1, per: 1h, of: rule}]\n    when:"
    )
    async with decision_harness(tmp_path) as harness:
        harness.rules(limited)
        await harness.publish(event({}, feed="beat"))
        await pass_by(harness, 6)
        await harness.publish(event({}, feed="beat", id="e2", time_ms=harness.clock()))

        def kinds() -> list[str]:
            found = harness.read(lambda db: db.execute("SELECT kind FROM cells").fetchall())
            return sorted(kind for (kind,) in found)

        assert kinds() == ["limit", "rule"]

        def retire(db: sqlite3.Connection) -> None:
            worker_tables.delete_limit(db, TENANT, "silent")
            harness.worker.begin_anew(db, [Memory(TENANT, "rule", "silent")])

        await harness.database.transact(retire)
        assert kinds() == ["rule"]
        harness.rules("rules: []")
        while await Forgetting(harness.database, harness.worker).step():
            pass
        assert kinds() == []
        assert harness.read(lambda db: worker_tables.due_timers(db, 1 << 60, 9)) == []
