"""The history: decisions and what rules made of events, as they are read back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from data_sharing.decisions import history
from data_sharing.decisions.history import Decision, DecisionKind, EventOutcomes
from data_sharing.instruction import Cause
from data_sharing.rules.effects import Cause as EffectCause
from data_sharing.rules.effects import Invoke
from data_sharing.rules.results import (
    ClauseOutcome,
    EffectOutcome,
    EffectStatus,
    RuleOutcome,
    RuleVerdict,
)
from tests.support.decisions_harness import ALL, tables


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with tables(history.SCHEMA) as made:
        yield made


def decision(number: int, *, position: int = 0, rule: str = "r", plan: str = "") -> Decision:
    return Decision(
        id=f"c-{number}", tenant="acme", kind=DecisionKind.RULE, time_ms=number, summary="fired",
        position=position, rule=rule, rule_version=2, plan=plan,
        causes=(Cause("/s", "e", "t", position),), effects=({"does": "invoke"},),
        instructions=("i-1",), late_ms=3,
    )  # fmt: skip


def outcome(rule: str, verdict: RuleVerdict = RuleVerdict.NOT_MATCHED, **more: Any) -> RuleOutcome:
    return RuleOutcome(rule, 1, verdict, **more)


def test_a_decision_is_read_back_whole_by_its_id_and_tenant(db) -> None:
    history.put(db, decision(1, position=7))
    assert history.get(db, "acme", "c-1") == decision(1, position=7)
    assert history.get(db, "other", "c-1") is None
    assert history.get(db, "acme", "c-2") is None


def test_decisions_of_an_event_come_in_their_order(db) -> None:
    history.put(db, decision(1, position=7), decision(2), decision(3, position=7))
    assert [one.id for one in history.of_event(db, "acme", 7)] == ["c-1", "c-3"]
    assert history.of_event(db, "acme", 8) == []


def test_a_page_goes_on_below_a_row_and_can_be_of_one_rule_and_plan(db) -> None:
    history.put(
        db, *(decision(n, rule="a" if n % 2 else "b", plan="p" * (n > 2)) for n in range(6))
    )
    first = history.page(db, "acme", ALL, 2)
    assert [one.id for _, one in first] == ["c-5", "c-4"]
    assert [one.id for _, one in history.page(db, "acme", first[-1][0], 9)] == [
        "c-3", "c-2", "c-1", "c-0",
    ]  # fmt: skip
    assert [one.id for _, one in history.page(db, "acme", ALL, 9, rule="a", plan="p")] == [
        "c-5", "c-3",
    ]  # fmt: skip
    assert history.page(db, "other", ALL, 9) == []


def test_what_rules_made_of_an_event_is_read_back_with_clauses_and_effects(db) -> None:
    clauses = ClauseOutcome("e.data.n > 1", "true", {"e.data.n": 5})
    effect = Invoke("x", "acme", "lamp", "blink", {}, 9, "", None, EffectCause(rule="r"))
    fired = outcome(
        "r", RuleVerdict.FIRED, plan_id="p", detail="so", clauses=clauses,
        effects=(EffectOutcome(effect, EffectStatus.TAKEN, reason="first"),),
    )  # fmt: skip
    history.put_judgements(db, EventOutcomes("acme", 7, 1_000, [fired, outcome("s")]))
    first, second = history.judgements_of(db, "acme", 7)
    assert (first.rule, first.version, first.verdict) == ("r", 1, "fired")
    assert (first.plan, first.detail, first.clauses) == ("p", "so", clauses)
    assert first.effects == (("Invoke", "taken first"),)
    assert (second.rule, second.verdict, second.clauses) == ("s", "not-matched", None)
    assert history.judgements_of(db, "acme", 8) == []


def test_an_event_that_is_decided_once_more_adds_to_what_was_made_of_it(db) -> None:
    history.put_judgements(db, EventOutcomes("acme", 7, 1_000, [outcome("r")]))
    history.add_judgements(db, EventOutcomes("acme", 7, 2_000, [outcome("s")]))
    assert [one.rule for one in history.judgements_of(db, "acme", 7)] == ["r", "s"]


def test_judgements_of_a_timer_stand_under_its_decision_and_go_with_it(db) -> None:
    history.put(db, decision(1), decision(2))
    for number in (1, 2):
        history.put_timer_judgements(db, f"c-{number}", number, [outcome("r")])
    assert [one.rule for one in history.timer_judgements(db, "c-1")] == ["r"]
    assert history.trim(db, 2, 100) == 1
    assert history.get(db, "acme", "c-1") is None
    assert history.timer_judgements(db, "c-1") == []
    assert [one.rule for one in history.timer_judgements(db, "c-2")] == ["r"]


def test_only_the_oldest_are_trimmed_and_only_some_at_once(db) -> None:
    history.put(db, *(decision(n) for n in range(5)))
    assert history.trim(db, 3, 2) == 2
    assert history.trim(db, 3, 2) == 1
    assert history.trim(db, 3, 2) == 0
    assert [one.id for _, one in history.page(db, "acme", ALL, 9)] == ["c-4", "c-3"]


def test_judgements_go_with_their_events(db) -> None:
    history.put_judgements(
        db, *(EventOutcomes("acme", n, 0, [outcome("r")]) for n in range(1, 6)),
        EventOutcomes("other", 1, 0, [outcome("r")]),
    )  # fmt: skip
    assert history.trim_events(db, "acme", 3, 2) == 2
    assert history.trim_events(db, "acme", 3, 2) == 1
    assert [n for n in range(1, 6) if history.judgements_of(db, "acme", n)] == [4, 5]
    assert history.judgements_of(db, "other", 1)
