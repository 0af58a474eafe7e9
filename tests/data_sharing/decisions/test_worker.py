"""The decision worker: every event and timer once, with all its effects or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from control_plane.errors import Conflict
from data_sharing.decisions import history, worker_tables
from data_sharing.decisions.dead_letters import DeadLetterKind
from data_sharing.decisions.history import DecisionKind
from data_sharing.decisions.outbox import InstructionState
from data_sharing.decisions.worker import PARTITION, DecisionWorker
from data_sharing.event import Event
from data_sharing.feeds import log_tables
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.cell_cache import NEVER_MS, CellId, CellWrite
from data_sharing.rules.results import EvaluationResult
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS

BLINK = """
rules:
  - rule: slow-road
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    do: [{invoke: {application: lamp, action: blink, config: {times: e.data.minutes}}}]
"""
PLAN = """
plan: wake-up
owner: k
at: 2027-01-15T09:00
actions:
  light: {application: lamp, action: blink, config: {times: 3}}
"""
AT_MS = 1_800_003_600_000  # 2027-01-15T09:00Z, an hour after NOW_MS


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        yield made


async def add_plan(harness: DecisionHarness, text: str = PLAN) -> None:
    def work(db) -> None:
        harness.worker.join_transaction(db)
        plan = created(TENANT, parse_plan(text), harness.clock())
        harness.worker.plans.put(plan, None, now_ms=harness.clock())

    await harness.database.transact(work)


async def test_a_rule_that_fires_leaves_a_decision_an_instruction_and_a_judgement(harness) -> None:
    harness.rules(BLINK)
    await harness.publish(event({"minutes": 45}))
    (decision,) = harness.decisions()
    (stored,) = harness.instructions()
    assert (decision.kind, decision.rule, decision.position) == (DecisionKind.RULE, "slow-road", 1)
    assert decision.instructions == (stored.instruction.id,)
    assert stored.instruction.configuration == {"times": 45}
    assert [(one.id, one.position) for one in stored.instruction.causes] == [("e1", 1)]
    (judgement,) = harness.read(lambda db: history.judgements_of(db, TENANT, 1))
    assert (judgement.rule, judgement.verdict) == ("slow-road", "fired")
    assert harness.read(lambda db: worker_tables.decided_to(db, TENANT)) == (1, NOW_MS)
    assert (harness.worker.counts.decided, harness.worker.counts.fired) == (1, 1)


@pytest.mark.parametrize("written", [45, 45.0])
async def test_a_whole_reading_is_decided_and_sent_like_any_other(harness, written: float) -> None:
    harness.rules(BLINK.replace("e.data.minutes > 30", "e.data.minutes - 0.5 > 30.0"))
    await harness.publish(event({"minutes": written, "huge": 10**30, "none": None}))
    (stored,) = harness.instructions()
    assert msgspec.json.encode(stored.instruction.configuration) == b'{"times":45}'


async def test_numbers_beyond_64_bits_are_kept_with_what_a_rule_remembers(harness) -> None:
    text = BLINK.replace("when: e.data.minutes > 30", "debounce: {wait: 5m}\n    when: true")
    harness.rules(
        text.replace("times: e.data.minutes", "times: '[0, 3][int(e.data.minutes / 1e30)]'")
    )
    await harness.publish(event({"minutes": 10**30}))
    harness.worker.forget()
    harness.clock.now_ms += 400_000
    assert await harness.worker.tick()
    (stored,) = harness.instructions()
    assert stored.instruction.configuration == {"times": 3}


async def test_an_event_that_was_there_is_not_decided_again(harness) -> None:
    harness.rules(BLINK)
    await harness.publish(event({"minutes": 45}))
    await harness.publish(event({"minutes": 45}))
    assert len(harness.instructions()) == len(harness.decisions()) == 1
    assert harness.worker.counts.decided == 1


async def test_what_no_rule_is_about_leaves_nothing_but_how_far_it_is_decided(harness) -> None:
    harness.rules(BLINK)
    await harness.publish(event(feed="weather"), event({"minutes": 3}, id="e2"))
    assert harness.decisions() == harness.instructions() == harness.letters() == []
    assert harness.read(lambda db: worker_tables.decided_to(db, TENANT)) == (2, NOW_MS)


async def test_a_rule_that_fails_on_an_event_holds_up_nobody(harness) -> None:
    harness.rules(
        BLINK
        + """
  - rule: broken
    watch: {e: {feed: traffic}}
    when: 100 / int(e.data.minutes) > 0
    do: [{invoke: {application: lamp, action: blink}}]
"""
    )
    await harness.publish(event({"minutes": 0}), event({"minutes": 40}, id="e2"))
    (letter,) = harness.letters()
    assert (letter.kind, letter.rule, letter.event.id) == (DeadLetterKind.EVENT, "broken", "e1")
    assert letter.reason.startswith("error: ")
    assert {one.rule for one in harness.decisions()} == {"slow-road", "broken"}
    assert harness.worker.counts.failed == 1


async def test_an_instruction_that_cannot_be_carried_out_is_a_dead_letter_at_once(harness) -> None:
    harness.rules(BLINK.replace("times: e.data.minutes", "times: \"'often'\""))
    await harness.publish(event({"minutes": 45}))
    (stored,) = harness.instructions()
    assert stored.state is InstructionState.DEAD
    (letter,) = harness.letters()
    assert letter.instruction == stored.instruction.id
    assert "breaks the input schema of lamp blink at /times" in letter.reason


class FailsOn:
    """Rules with a defect: they raise at one event, as no rule ever may."""

    def __init__(self, rules, event_id: str) -> None:
        self._rules, self._event_id = rules, event_id
        self.policies = rules.policies

    def decide(self, event: Event, **how) -> EvaluationResult:
        if event.id == self._event_id:
            raise ZeroDivisionError("a defect of our own")
        return self._rules.decide(event, **how)


async def test_a_defect_at_one_event_does_not_take_its_neighbours_along(harness) -> None:
    harness.rules(BLINK)
    harness.worker.rules = FailsOn(harness.worker.rules, "e2")
    await harness.publish(*(event({"minutes": 45}, id=f"e{n}") for n in (1, 2, 3)))
    assert [one.position for one in harness.decisions()] == [1, 3]
    (letter,) = harness.letters()
    assert (letter.event.id, letter.rule) == ("e2", "")
    assert letter.reason == "it could not be decided: ZeroDivisionError: a defect of our own"


async def test_a_worker_that_was_replaced_decides_nothing_and_keeps_no_event(harness) -> None:
    harness.rules(BLINK)
    await harness.database.transact(lambda db: worker_tables.take_over(db, PARTITION))
    with pytest.raises(Conflict, match="another decision worker"):
        await harness.publish(event({"minutes": 45}))
    assert (await harness.log.bounds(TENANT)).last == 0
    assert harness.decisions() == []


async def test_what_a_rule_remembers_outlives_the_worker(harness) -> None:
    text = BLINK + "    cooldown: 10m\n"
    harness.rules(text)
    await harness.publish(event({"minutes": 45}))
    successor = DecisionHarness(harness.database, harness.clock)
    await successor.worker.start()
    successor.rules(text)
    await successor.publish(event({"minutes": 45}, id="e2"))
    assert len(successor.decisions()) == 1, "its cooldown is not over"


async def test_what_an_undone_transaction_changed_in_memory_is_forgotten(harness) -> None:
    harness.rules(BLINK + "    cooldown: 10m\n")

    def fails(db) -> None:
        harness.worker.follow(db, [event({"minutes": 45}, position=1)])
        raise ZeroDivisionError

    # The log must know the tenant, or deciding has no time of acceptance.
    await harness.publish(event(feed="weather", id="e0"))
    with pytest.raises(ZeroDivisionError):
        await harness.database.transact(fails)
    assert harness.decisions() == []
    await harness.publish(event({"minutes": 45}, id="e2"))
    assert len(harness.decisions()) == 1, "nothing had fired before"


async def test_a_timer_fires_once_and_says_how_late_it_was_noticed(harness) -> None:
    harness.rules(BLINK + "    debounce: {wait: 5m}\n")
    await harness.publish(event({"minutes": 45}))
    assert harness.decisions() == []
    assert not await harness.worker.tick()
    harness.clock.now_ms += 302_000
    assert await harness.worker.tick()
    assert not await harness.worker.tick()
    (decision,) = harness.decisions()
    assert (decision.position, decision.late_ms, decision.time_ms) == (0, 2_000, NOW_MS + 300_000)
    (judgement,) = harness.read(lambda db: history.timer_judgements(db, decision.id))
    assert judgement.rule == "slow-road"
    assert len(harness.instructions()) == 1


async def test_an_action_of_a_plan_runs_once_when_it_is_due(harness) -> None:
    await add_plan(harness)
    assert not await harness.worker.tick()
    harness.clock.now_ms = AT_MS
    assert await harness.worker.tick()
    assert not await harness.worker.tick()
    (decision,) = harness.decisions()
    assert (decision.kind, decision.plan) == (DecisionKind.PLANNED, "wake-up")
    (stored,) = harness.instructions()
    assert (stored.instruction.plan, stored.instruction.occurrence_ms) == ("wake-up", AT_MS)


async def test_an_action_that_is_later_than_it_is_wanted_is_missed(harness) -> None:
    await add_plan(harness)
    harness.clock.now_ms = AT_MS + 301_000
    assert await harness.worker.tick()
    (decision,) = harness.decisions()
    assert decision.kind is DecisionKind.MISSED
    assert harness.instructions() == []


async def test_deciding_an_event_again_by_one_rule_leaves_the_others_out(harness) -> None:
    harness.rules(BLINK + BLINK.replace("rules:", "").replace("slow-road", "other"))
    await harness.publish(event({"minutes": 3}))
    (record,) = (await harness.log.read(TENANT, 0)).records
    harness.rules(BLINK.replace("> 30", "> 2"), version=2)
    await harness.database.transact(
        lambda db: harness.worker.decide_again(db, record.event(), "slow-road")
    )
    assert [one.rule for one in harness.decisions()] == ["slow-road"]
    assert [one.rule_version for one in harness.decisions()] == [2]


async def test_state_that_means_nothing_any_more_is_deleted(harness) -> None:
    harness.rules(BLINK + "    cooldown: 10m\n")
    await harness.publish(event({"minutes": 45}))
    assert await harness.worker.expire_state() == 0
    harness.clock.now_ms += 366 * 86_400_000
    assert await harness.worker.expire_state() == 1


async def test_a_worker_that_has_not_started_has_no_fence(harness) -> None:
    other = DecisionWorker(harness.database, None, wall_ms=harness.clock)
    with pytest.raises(Conflict):
        await harness.database.transact(other.join_transaction)
    assert harness.worker.fence == 1


PARKING = """
rules:
  - rule: poison
    watch: {e: {feed: traffic}}
    park_after: 2
    retry_after: 1m
    when: 100 / int(e.data.minutes) > 0
    do: [{invoke: {application: lamp, action: blink}}]
"""


async def test_the_dead_letter_of_a_parked_event_says_what_would_unpark_it(harness) -> None:
    harness.rules(PARKING)
    await harness.publish(*(event({"minutes": 0}, id=f"e{n}") for n in range(2)))
    harness.clock.now_ms += 1_000
    await harness.publish(event({"minutes": 40}, id="later"))
    letter = harness.letters()[-1]
    assert (letter.event.id, letter.rule) == ("later", "poison")
    assert letter.reason == (
        "parked: rule poison at key k for producer /road is parked since 2027-01-15T08:00:00Z, "
        "after 2 failures in a row; the last: divide by zero. The first event from "
        "2027-01-15T08:01:00Z on tries it again; `homeport rules retry poison --key k "
        "--source /road` runs it again now. Events that came meanwhile are dead letters: "
        "`homeport dlq redrive` decides one anew"
    )


async def test_a_parking_and_its_retry_outlive_the_worker(harness) -> None:
    harness.rules(PARKING)
    await harness.publish(*(event({"minutes": 0}, id=f"e{n}") for n in range(2)))
    successor = DecisionHarness(harness.database, harness.clock)
    await successor.worker.start()
    successor.rules(PARKING)
    await successor.publish(event({"minutes": 40}, id="parked"))
    assert successor.decisions() == []
    successor.clock.now_ms += 60_000
    await successor.publish(event({"minutes": 40}, id="retried"))
    assert [one.causes[0].id for one in successor.decisions()] == ["retried"]
    assert successor.worker.health(TENANT, "poison", 1).rows == {}


async def test_failures_of_an_undone_transaction_do_not_count(harness) -> None:
    harness.rules(PARKING)
    await harness.publish(event({"minutes": 0}, id="e0"))

    def fails(db) -> None:
        harness.worker.follow(db, [event({"minutes": 0}, position=2)])
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await harness.database.transact(fails)
    assert harness.worker.health(TENANT, "poison", 1).failures == 1
    await harness.publish(event({"minutes": 40}, id="good"))
    assert len(harness.decisions()) == 1


async def test_health_in_the_form_of_an_older_release_counts_as_none(harness) -> None:
    harness.rules(PARKING)
    cell = CellId(TENANT, "health", "poison", "")
    old = msgspec.msgpack.encode([1, 10, True, "divide by zero"])
    write = [CellWrite(cell, old, NEVER_MS)]
    await harness.database.transact(lambda db: worker_tables.store(db, write))
    await harness.worker.tick()
    assert harness.worker.state.parked == {}
    assert harness.worker.health(TENANT, "poison", 1).rows == {}
    await harness.publish(event({"minutes": 40}))
    assert len(harness.decisions()) == 1


LATE = """
rules:
  - rule: count
    watch: {e: {feed: traffic}}
    windows: {w: {over: 1m}}
    late: {allowed: 5s, then: dead_letter}
    when: window.w.count > 0
    do: [{invoke: {application: lamp, action: blink, config: {times: window.w.count}}}]
"""


async def test_a_late_event_that_is_a_dead_letter_is_decided_when_it_is_redriven(harness) -> None:
    harness.rules(LATE)
    await harness.publish(event(id="on-time"), event(id="late", time_ms=NOW_MS - 6_000))
    (letter,) = harness.letters()
    assert letter.reason.startswith("late: 6s older than the newest event of its key")
    assert harness.worker.counts.late == {(TENANT, "count"): 1}
    assert len(harness.instructions()) == 1
    late = harness.read(lambda db: log_tables.record_at(db, TENANT, letter.event.position)).event()
    await harness.database.transact(lambda db: harness.worker.decide_again(db, late, "count"))
    assert [one.instruction.configuration for one in harness.instructions()] == [{"times": 1}] * 2
