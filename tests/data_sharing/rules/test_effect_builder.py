"""Effects: what becomes JSON, and which of several rules' changes of one field is taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.effect_builder import (
    EffectFailed,
    RequestedEffect,
    json_of,
    resolve_effects,
)
from data_sharing.rules.effects import USER_PRIORITY, Cause, Hold, Invoke, PlanChange, PlanView
from data_sharing.rules.results import EffectStatus
from tests.support.rule_harness import TENANT, rules_of

TAKEN, UNCHANGED, OVERRULED = EffectStatus.TAKEN, EffectStatus.UNCHANGED, EffectStatus.OVERRULED


def rule(name: str, priority: int = 100) -> CompiledRule:
    text = f"""
rules:
  - rule: {name}
    priority: {priority}
    watch: {{t: {{feed: f}}}}
    when: "true"
    do: [{{invoke: {{application: a, action: b}}}}]
"""
    return rules_of(text).rules[TENANT, name]


def view(values: dict[str, Any] | None = None, holds: dict[str, Hold] | None = None) -> PlanView:
    return PlanView(
        id="p", version=1, name="p", owner="u", occurrence_ms=1_000, fields={},
        actions=frozenset(), values=values or {}, holds=holds or {}, every_values={},
        every_holds={},
    )  # fmt: skip


def change(plan: PlanView, priority: int = 100, **fields: Any) -> RequestedEffect:
    effect = PlanChange("e", TENANT, plan.id, 1_000, tuple(fields.items()), priority, Cause())
    return RequestedEffect(effect, plan)


def statuses(*requests: tuple[CompiledRule, RequestedEffect]) -> list[EffectStatus]:
    resolved = resolve_effects([(of, [effect]) for of, effect in requests])
    return [one.status for outcomes in resolved.outcomes for one in outcomes]


def test_the_first_rule_that_sets_a_field_wins_and_the_other_is_told_by_whom() -> None:
    plan = view()
    resolved = resolve_effects(
        [(rule("first"), [change(plan, cancelled=True)]),
         (rule("second"), [change(plan, cancelled=False, shift_ms=5)])]
    )  # fmt: skip
    assert [[(one.status, one.field) for one in each] for each in resolved.outcomes] == [
        [(TAKEN, "cancelled")],
        [(OVERRULED, "cancelled"), (TAKEN, "shift_ms")],
    ]
    assert resolved.outcomes[1][0].reason == "rule first set it for the same event"
    assert [one.fields for one in resolved.effects if isinstance(one, PlanChange)] == [
        (("cancelled", True),),
        (("shift_ms", 5),),
    ]


@pytest.mark.parametrize(
    ("hold", "priority", "expected"),
    [
        (Hold(100, "rule other"), 100, TAKEN),
        (Hold(101, "rule other"), 100, OVERRULED),
        (Hold(USER_PRIORITY, "user u"), 999, OVERRULED),
        (Hold(1, "rule other"), 100, TAKEN),
    ],
    ids=["equal", "lesser", "against-a-user", "greater"],
)
def test_a_field_stays_with_whoever_set_it_with_a_greater_priority(
    hold: Hold, priority: int, expected: EffectStatus
) -> None:
    plan = view(holds={"shift_ms": hold})
    assert statuses((rule("r", priority), change(plan, priority, shift_ms=9))) == [expected]


@pytest.mark.parametrize(
    ("is_set", "wanted", "expected"),
    [(True, True, UNCHANGED), (True, 1, TAKEN), (0, False, TAKEN), (2, 2.0, UNCHANGED)],
)
def test_what_is_so_already_is_unchanged_but_true_is_not_one(
    is_set: Any, wanted: Any, expected: EffectStatus
) -> None:
    assert statuses((rule("r"), change(view({"x": is_set}), x=wanted))) == [expected]


def test_an_unchanged_plan_is_no_effect() -> None:
    plan = view({"cancelled": True})
    resolved = resolve_effects([(rule("r"), [change(plan, cancelled=True)])])
    assert resolved.effects == ()


def test_invocations_do_not_compete() -> None:
    invoke = Invoke("e", TENANT, "a", "b", {}, 1, "", None, Cause())
    requests = [(rule(name), [RequestedEffect(invoke, None)]) for name in ("one", "two")]
    resolved = resolve_effects(requests)
    assert resolved.effects == (invoke, invoke)
    assert [one.status for each in resolved.outcomes for one in each] == [TAKEN, TAKEN]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (timedelta(minutes=-2), -120.0),
        (datetime(2026, 3, 2, 8, tzinfo=UTC), "2026-03-02T08:00:00Z"),
        ({"a": [1, timedelta(seconds=1)]}, {"a": [1, 1.0]}),
    ],
)
def test_values_as_json_has_them(value: Any, expected: Any) -> None:
    assert json_of(value, "x") == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", object()])
def test_a_value_without_a_form_in_json_fails_by_its_name(value: Any) -> None:
    with pytest.raises(EffectFailed, match=r"config\.x"):
        json_of({"y": [value]}, "config.x")
