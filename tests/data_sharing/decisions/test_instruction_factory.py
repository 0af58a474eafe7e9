"""Instructions from what was decided, and what is wrong with one that cannot be carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_sharing.decisions.instruction_factory import MOST_CAUSES, InstructionFactory
from data_sharing.plans.changes import apply, user_change
from data_sharing.plans.due_actions import advance
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.effects import Cause, EventRef, Invoke
from tests.support.decisions_harness import TENANT, decision_harness, find_lamp
from tests.support.instructions import NOW_MS

FACTORY = InstructionFactory(find_lamp)


def effect(application: str = "lamp", action: str = "blink", times: object = 3, events: int = 1):
    refs = tuple(EventRef("/road", f"e{n}", n) for n in range(1, events + 1))
    return Invoke(
        "x1", TENANT, application, action, {"times": times}, NOW_MS + 1_000, "wake-up", 77,
        Cause(rule="r", rule_version=4, events=refs),
    )  # fmt: skip


def test_an_effect_becomes_an_instruction_for_the_current_version() -> None:
    new = FACTORY.of_effect(effect(), NOW_MS)
    made = new.instruction
    assert (new.fault, new.needs_approval) == ("", False)
    assert (made.id, made.version, made.artifact) == ("i-x1", "1.2.0", "a" * 64)
    assert (made.application, made.action, made.configuration) == ("lamp", "blink", {"times": 3})
    assert (made.deadline_ms, made.decided_at_ms) == (NOW_MS + 1_000, NOW_MS)
    assert (made.rule, made.rule_version, made.plan, made.occurrence_ms) == ("r", 4, "wake-up", 77)
    assert made.idempotent
    assert [(one.source, one.id, one.position) for one in made.causes] == [("/road", "e1", 1)]


def test_only_so_many_causes_are_named() -> None:
    made = FACTORY.of_effect(effect(events=MOST_CAUSES + 5), NOW_MS).instruction
    assert len(made.causes) == MOST_CAUSES


def test_an_action_that_needs_approval_says_so_and_is_not_idempotent() -> None:
    new = FACTORY.of_effect(effect(action="unlock"), NOW_MS)
    assert new.needs_approval
    assert not new.instruction.idempotent


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param(
            effect(application="kettle"), "tenant home has no application kettle", id="application"
        ),
        pytest.param(effect(action="dance"), "lamp 1.2.0 has no action dance", id="action"),
        pytest.param(
            effect(times="often"),
            "the configuration breaks the input schema of lamp blink at /times: ",
            id="configuration",
        ),
    ],
)
def test_what_cannot_be_carried_out_says_why(wrong: Invoke, expected: str) -> None:
    new = FACTORY.of_effect(wrong, NOW_MS)
    assert new.fault.startswith(expected)
    assert new.instruction.id == "i-x1", "it is kept all the same, as a dead letter"


async def test_an_action_of_a_plan_says_how_the_plan_had_been_changed(tmp_path: Path) -> None:
    text = """
plan: wake-up
owner: k
at: 2027-01-15T08:00
actions: {light: {application: lamp, action: blink, config: {times: 3}}}
"""
    async with decision_harness(tmp_path) as harness:
        plan = created(TENANT, parse_plan(text), NOW_MS - 1_000)
        change = user_change(
            plan, change_id="u-1", occurrence_ms=None,
            fields={"actions.light.config.times": 9}, user="ann", note="", expected_version=0,
        )  # fmt: skip
        changed = apply(plan, change, now_ms=NOW_MS - 1_000)

        def work(db):
            harness.worker.join_transaction(db)
            harness.worker.plans.put(plan, None, now_ms=NOW_MS - 1_000)
            harness.worker.plans.put(changed.plan, changed.record, now_ms=NOW_MS - 1_000)
            (due,) = advance(changed.plan, now_ms=NOW_MS).due
            return FACTORY.of_plan(db, changed.plan, due, NOW_MS).instruction, due

        made, due = await harness.database.transact(work)
        assert made.configuration == {"times": 9}
        assert made.id == f"i-{due.id}"
        assert (made.rule, made.causes) == ("", ())
        assert made.modification == {
            "actions.light.config.times": {"value": 9, "by": "user ann", "change": "u-1"}
        }
