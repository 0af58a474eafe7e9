"""The decision worker stops where it is told that it is enough, and goes on there: nothing is
decided twice, nothing is left out, and neither timers nor plans take a transaction for long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from data_sharing.decisions import worker_tables
from data_sharing.decisions.due_work import POSTPONED_MS
from data_sharing.decisions.history import DecisionKind
from data_sharing.event import Event
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event

BLINK = """
rules:
  - rule: slow-road
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    do: [{invoke: {application: lamp, action: blink, config: {times: e.data.minutes}}}]
"""
LATER = BLINK.replace("    when:", "    debounce: {wait: 5m}\n    when:")
PLAN = """
plan: wake-{n}
owner: k
at: 2027-01-15T09:00
actions:
  light: {application: lamp, action: blink, config: {times: 3}}
"""
AT_MS = 1_800_003_600_000  # 2027-01-15T09:00Z


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        yield made


def after(decided: int) -> Callable[[], bool]:
    """That it is enough, from this event on."""
    asked = count(1)
    return lambda: next(asked) >= decided


async def follow_some(harness: DecisionHarness, events: list[Event], most: int) -> int:
    decided: int = await harness.database.transact(
        lambda db: harness.worker.follow(db, events, after(most))
    )
    return decided


def positions(harness: DecisionHarness, tenant: str = TENANT) -> list[int]:
    return [one.position for one in harness.decisions(tenant)]


def decided_to(harness: DecisionHarness, tenant: str = TENANT) -> int:
    return harness.read(lambda db: worker_tables.decided_to(db, tenant))[0]


async def test_it_stops_in_the_middle_and_goes_on_there(harness) -> None:
    harness.rules(BLINK)
    events = [event({"minutes": 45}, id=f"e{n}", position=n) for n in range(1, 8)]
    assert await follow_some(harness, events, 3) == 3
    assert (positions(harness), decided_to(harness)) == ([1, 2, 3], 3)
    assert harness.worker.counts.decided == 3
    assert await follow_some(harness, events[3:], 100) == 4
    assert (positions(harness), decided_to(harness)) == ([*range(1, 8)], 7)


async def test_it_stops_between_tenants_and_within_the_second_one(harness) -> None:
    harness.rules(BLINK)
    bank = [event({"minutes": 1}, id=f"b{n}", tenant="bank", position=n) for n in (1, 2)]
    shop = [event({"minutes": 45}, id=f"s{n}", position=n) for n in (1, 2, 3)]
    assert await follow_some(harness, [*bank, *shop], 2) == 2
    assert (decided_to(harness, "bank"), decided_to(harness)) == (2, 0)
    assert await follow_some(harness, [*shop, *bank], 2) == 2
    assert (decided_to(harness), positions(harness)) == (2, [1, 2])


class PoisonedRules:
    """Rules with a defect of ours: one event cannot be decided at all."""

    def __init__(self, rules, poison: str) -> None:
        self._rules, self._poison = rules, poison
        self.policies = rules.policies

    def decide(self, event, **others):
        if event.id == self._poison:
            raise ZeroDivisionError(event.id)
        return self._rules.decide(event, **others)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 6])
async def test_with_an_event_that_cannot_be_decided_it_stops_as_well(harness, most: int) -> None:
    harness.rules(BLINK)
    harness.worker.rules = PoisonedRules(harness.worker.rules, "e3")
    rest = [event({"minutes": 45}, id=f"e{n}", position=n) for n in range(1, 7)]
    while rest:
        decided = await follow_some(harness, rest, most)
        assert 1 <= decided <= most
        del rest[:decided]
    assert positions(harness) == [1, 2, 4, 5, 6]
    assert [letter.event.id for letter in harness.letters()] == ["e3"]
    assert decided_to(harness) == 6


async def test_costly_timers_take_a_transaction_each_and_plans_have_their_turn(tmp_path) -> None:
    seconds = count()
    async with decision_harness(tmp_path) as made:
        harness = DecisionHarness(made.database, made.clock, monotonic=lambda: float(next(seconds)))
        await harness.worker.start()
        harness.rules(LATER)
        await harness.publish(*(event({"minutes": 45}, id=f"e{n}", key=f"k{n}") for n in range(5)))

        def add_plans(db) -> None:
            harness.worker.join_transaction(db)
            for n in range(3):
                plan = created(TENANT, parse_plan(PLAN.replace("{n}", str(n))), harness.clock())
                harness.worker.plans.put(plan, None, now_ms=harness.clock())

        await harness.database.transact(add_plans)
        harness.clock.now_ms = AT_MS
        kinds = []
        while await harness.worker.tick():
            kinds.append([one.kind for one in harness.decisions()])
        assert sorted(kinds[0]) == [DecisionKind.RULE, DecisionKind.PLANNED]
        assert [len(one) for one in kinds] == [2, 4, 6, 7, 8]
        fired = [one for one in harness.decisions() if one.kind is DecisionKind.RULE]
        assert sorted(one.causes[0].id for one in fired) == [f"e{n}" for n in range(5)]


class RulesWithADefect(PoisonedRules):
    """At the timers of one key."""

    def due(self, timer, **others):
        if timer.key == self._poison:
            raise ZeroDivisionError(timer.key)
        return self._rules.due(timer, **others)


async def test_a_timer_that_cannot_be_decided_holds_up_nothing_and_is_tried_again(harness) -> None:
    """Neither other timers nor plans; once the defect is gone, it counts as it was."""
    harness.rules(LATER)
    rules = harness.worker.rules
    await harness.publish(*(event({"minutes": 45}, id=f"e{n}", key=f"k{n}") for n in range(5)))
    harness.worker.replace_rules(RulesWithADefect(rules, "k2"))

    def add_plan(db) -> None:
        harness.worker.join_transaction(db)
        plan = created(TENANT, parse_plan(PLAN.replace("{n}", "0")), harness.clock())
        harness.worker.plans.put(plan, None, now_ms=harness.clock())

    await harness.database.transact(add_plan)
    harness.clock.now_ms = AT_MS
    for _ in range(3):
        await harness.worker.tick()
    fired = [one.causes[0].id for one in harness.decisions() if one.kind is DecisionKind.RULE]
    assert sorted(fired) == ["e0", "e1", "e3", "e4"]
    assert [one.kind for one in harness.decisions()].count(DecisionKind.PLANNED) == 1
    assert harness.worker.counts.failed >= 1
    assert not await harness.worker.tick()
    harness.worker.replace_rules(rules)
    harness.clock.now_ms += POSTPONED_MS
    assert await harness.worker.tick()
    fired = [one.causes[0].id for one in harness.decisions() if one.kind is DecisionKind.RULE]
    assert sorted(fired) == [f"e{n}" for n in range(5)]


async def test_a_plan_that_cannot_be_read_holds_up_nothing(harness) -> None:
    def add_plans(db) -> None:
        harness.worker.join_transaction(db)
        for n in range(3):
            plan = created(TENANT, parse_plan(PLAN.replace("{n}", str(n))), harness.clock())
            harness.worker.plans.put(plan, None, now_ms=harness.clock())
        db.execute("UPDATE plans SET body = x'ff' WHERE id = 'wake-0'")
        harness.worker.plans.forget()

    await harness.database.transact(add_plans)
    harness.clock.now_ms = AT_MS
    while await harness.worker.tick():
        assert len(harness.decisions()) <= 2
    assert [one.kind for one in harness.decisions()] == [DecisionKind.PLANNED] * 2
    harness.clock.now_ms += POSTPONED_MS
    assert await harness.worker.tick()
    assert len(harness.decisions()) == 2
