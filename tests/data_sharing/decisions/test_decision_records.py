"""Decisions as they are kept: ids that the same causes give again, and a sentence for people."""

from __future__ import annotations

from msgspec.structs import replace

from data_sharing.decisions.decision_records import action_due, rule_fired
from data_sharing.decisions.history import DecisionKind
from data_sharing.instruction import Cause, Instruction
from data_sharing.plans.due_actions import DueAction
from data_sharing.rules.effects import Cause as EffectCause
from data_sharing.rules.effects import EventRef, Invoke, PlanChange
from data_sharing.rules.results import EffectOutcome, EffectStatus, RuleOutcome, RuleVerdict

NOW_MS = 1_800_000_000_000
BLINK = Invoke("x1", "home", "lamp", "blink", {"times": 3}, NOW_MS, "", None, EffectCause())
LATER = PlanChange(
    "x2", "home", "wake-up", None, (("shift_ms", 60_000), ("cancelled", False)), 5, EffectCause()
)
FIRED = RuleOutcome(
    "r",
    4,
    RuleVerdict.FIRED,
    events=(EventRef("/road", "e1", 7),),
    effects=(
        EffectOutcome(BLINK, EffectStatus.TAKEN),
        EffectOutcome(LATER, EffectStatus.OVERRULED, field="shift_ms", reason="a user did"),
    ),
)


def fired(outcome: RuleOutcome = FIRED, position: int = 7, now_ms: int = NOW_MS, cause=None):
    return rule_fired(
        "home", outcome, {"x1": "i-x1"}, now_ms=now_ms, position=position, cause=cause, late_ms=9
    )


def test_what_a_rule_did_is_said_effect_by_effect() -> None:
    made = fired()
    assert made.summary == ("rule r fired: invoke lamp blink (taken), change wake-up (overruled)")
    assert made.effects == (
        {"does": "invoke", "of": "lamp blink", "to": {"times": 3}, "fate": "taken", "reason": ""},
        {"does": "change", "of": "wake-up", "to": {"shift_ms": 60_000}, "fate": "overruled",
         "reason": "a user did"},
    )  # fmt: skip
    assert (made.instructions, made.late_ms, made.kind) == (("i-x1",), 9, DecisionKind.RULE)
    assert made.causes == (Cause(source="/road", id="e1", position=7),)


def test_a_rule_without_effects_had_nothing_to_do() -> None:
    assert fired(replace(FIRED, effects=())).summary == "rule r fired: nothing to do"


def test_the_id_is_that_of_the_causes_and_not_of_the_clock() -> None:
    assert fired().id == fired(now_ms=NOW_MS + 1).id
    different = {
        fired().id,
        fired(position=8).id,
        fired(replace(FIRED, version=5)).id,
        fired(replace(FIRED, plan_id="wake-up")).id,
        fired(replace(FIRED, events=(EventRef("/road", "e2", 7),))).id,
    }
    assert len(different) == 5


def test_what_time_did_is_told_apart_by_the_time_and_names_its_cause() -> None:
    timed = replace(FIRED, events=())
    cause = Cause(source="timer", id="t1")
    first = fired(timed, position=0, cause=cause)
    second = fired(timed, position=0, now_ms=NOW_MS + 1, cause=cause)
    assert first.causes == (cause,)
    assert first.id != second.id


def test_what_one_time_did_at_two_keys_is_two_decisions() -> None:
    """At the end of a window no event tells them apart."""
    ended = replace(FIRED, events=())
    ids = {fired(replace(ended, key=key), position=0).id for key in ("anna", "ben")}
    assert len(ids) == 2


def due(skipped: bool) -> DueAction:
    return DueAction(
        "a1", "home", "wake-up", 2, NOW_MS, "light", "lamp", "blink", {"times": 3}, NOW_MS, 1_500,
        skipped, NOW_MS + 1_000,
    )  # fmt: skip


def test_an_action_of_a_plan_is_due_or_too_late() -> None:
    ordered = Instruction(
        id="i-a1", tenant="home", application="lamp", version="1", artifact="a", action="blink",
        configuration={}, deadline_ms=NOW_MS, idempotent=True, decided_at_ms=NOW_MS,
        correlation="flow", hops=2,
    )  # fmt: skip
    done = action_due(due(skipped=False), ordered, NOW_MS + 1_500)
    assert (done.id, done.kind, done.instructions) == ("c-a1", DecisionKind.PLANNED, ("i-a1",))
    assert (done.correlation, done.hops) == ("flow", 2)
    assert done.summary == "light: lamp blink is due"
    missed = action_due(due(skipped=True), None, NOW_MS + 1_500)
    assert missed.kind is DecisionKind.MISSED
    assert missed.summary == "light: lamp blink is not wanted any more, 1.5 s after it was due"
