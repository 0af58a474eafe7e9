"""Why an event or a decision led to what it did, and why rules did nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import NotFound
from data_sharing.management.explanations import (
    PASSED_OVER,
    Explanation,
    explain_decision,
    explain_event,
    position_of,
)
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS

RULES = """
rules:
  - rule: slow-road
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    do: [{invoke: {application: lamp, action: blink}}]
  - rule: other-road
    watch: {e: {feed: traffic}}
    when: e.data.road == "A100" && e.data.minutes > 5
    do: [{invoke: {application: lamp, action: blink}}]
"""


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        made.rules(RULES)
        yield made


def explained(harness: DecisionHarness, position: int) -> Explanation:
    return harness.read(lambda db: explain_event(db, harness.worker.rules, TENANT, position))


async def test_an_event_is_explained_by_every_rule_of_its_feed(harness) -> None:
    await harness.publish(event({"minutes": 45, "road": "A1"}))
    found = explained(harness, 1)
    assert found.event is not None
    assert (found.event.id, found.time_ms) == ("e1", NOW_MS)
    assert [(one.rule, one.verdict) for one in found.judgements] == [("slow-road", "fired")]
    (other,) = found.passed_over
    assert (other.rule, other.verdict) == ("other-road", PASSED_OVER)
    assert other.clauses is not None
    assert other.clauses.parts[0].read["e.data.road"] == "A1"
    assert [one.rule for one in found.decisions] == ["slow-road"]
    assert [one.instruction.action for one in found.instructions] == ["blink"]


async def test_a_rule_that_an_event_satisfies_in_part_is_told_clause_by_clause(harness) -> None:
    await harness.publish(event({"minutes": 7, "road": "A1"}))
    found = {one.rule: one.clauses for one in explained(harness, 1).passed_over}
    far, near = found["slow-road"], found["other-road"]
    assert far is not None
    assert near is not None
    assert (far.outcome, far.parts) == ("false", ())
    assert [(one.text, one.outcome, one.read) for one in near.parts] == [
        ('e.data.road == "A100"', "false", {"e.data.road": "A1"}),
        ("e.data.minutes > 5", "true", {"e.data.minutes": 7}),
    ]


async def test_a_rule_that_came_later_says_that_it_was_not_in_force(harness) -> None:
    await harness.publish(event({"minutes": 3, "road": "A1"}))
    harness.rules(RULES.replace("> 30", "> 2"))
    late = {one.rule: one.detail for one in explained(harness, 1).passed_over}["slow-road"]
    assert late == "this version of the rule was not in force when the event was decided"


async def test_an_event_of_another_feed_concerns_no_rule(harness) -> None:
    await harness.publish(event(feed="weather"))
    found = explained(harness, 1)
    assert found.judgements == found.passed_over == found.decisions == found.instructions == []


async def test_a_decision_is_explained_by_its_event(harness) -> None:
    await harness.publish(event({"minutes": 45}))
    (decision,) = harness.decisions()
    found = harness.read(lambda db: explain_decision(db, harness.worker.rules, TENANT, decision.id))
    assert found == explained(harness, 1)


async def test_a_decision_that_time_made_has_no_event(harness) -> None:
    harness.rules(RULES + "    debounce: {wait: 5m}\n")
    await harness.publish(event({"minutes": 8, "road": "A100"}))
    harness.clock.now_ms += 300_000
    assert await harness.worker.tick()
    (decision,) = harness.decisions()
    found = harness.read(lambda db: explain_decision(db, harness.worker.rules, TENANT, decision.id))
    assert (found.event, found.decisions, found.passed_over) == (None, [decision], [])
    assert [one.rule for one in found.judgements] == ["other-road"]
    assert len(found.instructions) == 1


async def test_an_event_is_found_by_its_name(harness) -> None:
    await harness.publish(event(), event(id="e2"))
    assert harness.read(lambda db: position_of(db, TENANT, "/road", "e2")) == 2
    with pytest.raises(NotFound, match='no event "e3" of "/road"'):
        harness.read(lambda db: position_of(db, TENANT, "/road", "e3"))


async def test_what_is_not_there_is_not_explained(harness) -> None:
    with pytest.raises(NotFound, match="no event at position 1"):
        explained(harness, 1)
    with pytest.raises(NotFound, match='no decision "c-1"'):
        harness.read(lambda db: explain_decision(db, harness.worker.rules, TENANT, "c-1"))


async def test_an_event_that_no_step_takes_is_told_what_the_steps_ask(harness) -> None:
    harness.rules("""
rules:
  - rule: jam-after-jam
    watch: {first: {feed: traffic}, second: {feed: traffic}}
    sequence:
      within: 1h
      steps:
        - {step: first, when: first.data.minutes > 30}
        - {step: second, when: second.data.minutes > 60 && second.data.minutes > first.data.minutes}
    when: "true"
    do: [{invoke: {application: lamp, action: blink}}]
""")
    await harness.publish(event({"minutes": 7}), event({"minutes": 40}, id="e2"))
    (told,) = explained(harness, 1).passed_over
    assert told.detail.startswith("no step of its sequence takes it")
    assert told.clauses is not None
    assert [(one.outcome, one.read) for one in told.clauses.parts] == [
        ("false", {"first.data.minutes": 7}),
        ("false", {"second.data.minutes": 7}),
    ]
    (taken,) = explained(harness, 2).judgements
    assert taken.verdict == "waiting"
    assert taken.detail.startswith("seen first = e2; waits for step 2 of 2, second (traffic where")
