"""Outcomes as events: what rules can read of them."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.outcome_events import MOST_OUTPUT, OutcomeEvents, outcome_event
from data_sharing.feeds.port import Candidate
from data_sharing.instruction import OUTCOME_FEED, Performance, Performed
from tests.support.decisions_harness import TENANT, decision_harness, tables
from tests.support.instructions import NOW_MS, RING
from tests.support.sharing_parts import never

STORED = StoredInstruction(
    row=1, instruction=replace(RING, tenant=TENANT), state=InstructionState.SENT, platform="hub",
    attempt=1, deadline_ms=RING.deadline_ms, outcome=None, reason="",
)  # fmt: skip
DONE = Performed(
    instruction="i-1", attempt=2, status=Performance.DONE, platform="hub", output='{"volume":40}',
    started_at_ms=NOW_MS, ended_at_ms=NOW_MS + 5,
)  # fmt: skip
COUNTING = """
rules:
  - rule: after-outcome
    watch: {o: {feed: homeport.instruction.outcome}}
    when: o.data.status == "done"
    do: [{invoke: {application: lamp, action: blink}}]
"""


def test_an_outcome_has_an_event_of_its_own_for_each_attempt() -> None:
    made = outcome_event(STORED, DONE)
    assert (made.event.type, made.event.key) == (OUTCOME_FEED, "i-1")
    assert (made.event.source, made.event.id) == ("/homeport/decisions", "i-1/2")
    assert (made.event.time_ms, made.event.subject) == (NOW_MS + 5, "alarm")
    assert msgspec.json.decode(made.content) == made.event.data
    assert made.event.data["output"] == {"volume": 40}
    assert made.event.data["status"] == "done"


def test_the_outcome_of_a_plans_action_is_about_the_plan() -> None:
    of_plan = dataclasses.replace(STORED, instruction=replace(RING, plan="wake-up"))
    assert outcome_event(of_plan, DONE).event.key == "wake-up"


def test_a_long_output_stays_with_the_instruction() -> None:
    long = dataclasses.replace(DONE, output=msgspec.json.encode("x" * MOST_OUTPUT).decode())
    assert outcome_event(STORED, long).event.data["output"] is None


class FakeLog:
    """Collects what is appended."""

    def __init__(self) -> None:
        self.appended: list[Candidate] = []

    def append_inside(self, db: sqlite3.Connection, candidates: Sequence[Candidate]) -> None:
        self.appended += candidates


def test_an_outcome_is_appended_in_the_transaction_that_records_it() -> None:
    log = FakeLog()
    with tables() as db:
        OutcomeEvents(log, never).record(db, STORED, DONE)
    assert [one.event.id for one in log.appended] == ["i-1/2"]


def test_what_an_application_says_of_what_a_policy_covers_is_not_told() -> None:
    log = FakeLog()
    asked: list[tuple[str, str, int]] = []

    def governed(tenant: str, rule: str, version: int) -> bool:
        asked.append((tenant, rule, version))
        return True

    said = dataclasses.replace(DONE, message="it was 77317")
    with tables() as db:
        OutcomeEvents(log, governed).record(db, STORED, said)
    (one,) = log.appended
    assert (one.event.data["status"], one.event.data["output"]) == ("done", None)
    assert b"77317" not in one.content
    assert b"40" not in one.content.replace(str(NOW_MS).encode(), b"")
    what = STORED.instruction
    assert asked == [(what.tenant, what.rule, what.rule_version)]


async def test_rules_decide_it_there_once_and_readers_are_woken(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        harness.rules(COUNTING)
        events = OutcomeEvents(harness.log, never)
        for _ in range(2):
            await harness.database.transact(lambda db: events.record(db, STORED, DONE))
        assert [one.instruction.application for one in harness.instructions()] == ["lamp"]
        assert await harness.log.wait(TENANT, 0, 5.0)
        (record,) = (await harness.log.read(TENANT, 0)).records
        assert record.type == OUTCOME_FEED
