"""Who uses an action that is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_sharing.decisions.action_users import MOST_NAMED, ActionUsers
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.management.planning import Planning
from tests.support.decisions_harness import CATALOGUE, TENANT, decision_harness
from tests.support.fakes.offload import FakeOffload

RULE = """
  - rule: NAME
    watch: {e: {feed: switched}}
    when: e.data.on
    do: [{invoke: {application: lamp, action: blink}}, {invoke: {application: lamp, action: blink}}]
"""
PLAN = """
plan: NAME
owner: k
at: 2027-01-15T09:00
actions: {light: {application: lamp, action: ACTION}}
"""


@pytest.mark.parametrize("tenant", [TENANT, "other"])
async def test_rules_in_force_and_plans_to_come_are_users(tmp_path: Path, tenant: str) -> None:
    ids = iter("abcdefgh")
    async with decision_harness(tmp_path) as harness:
        rules = RuleRegistry(
            harness.database,
            harness.worker,
            lambda: CATALOGUE,
            FakeOffload(),
            wall_ms=harness.clock,
        )
        planning = Planning(
            harness.database, harness.worker, lambda: CATALOGUE, FakeOffload(),
            wall_ms=harness.clock,
            new_id=lambda: next(ids),
        )  # fmt: skip
        await rules.apply(TENANT, "rules:" + RULE.replace("NAME", "r") + RULE.replace("NAME", "q"))
        for name, action in (("p", "blink"), ("gone", "blink"), ("u", "unlock"), ("lamp", "glow")):
            text = PLAN.replace("NAME", name).replace("ACTION", action)
            await planning.create(TENANT, text)
        await planning.cancel(TENANT, "gone", "ann")
        users = ActionUsers(harness.database, harness.worker)
        found = await users.of(tenant, "lamp", {"blink", "unlock", "dim"})
        expected = (
            "lamp blink is used by rules q, r and plan p",
            "lamp unlock is used by plan u",
        )
        assert found == (expected if tenant == TENANT else ())
        await rules.retire(TENANT, "q")
        if tenant == TENANT:
            assert (await users.of(TENANT, "lamp", {"blink"}))[0].startswith(
                "lamp blink is used by rule r and"
            )
        assert await users.of(TENANT, "alarm", {"blink"}) == ()


async def test_of_many_some_are_named(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        planning = Planning(
            harness.database, harness.worker, lambda: CATALOGUE, FakeOffload(),
            wall_ms=harness.clock,
            new_id=lambda: "a",
        )  # fmt: skip
        for number in range(MOST_NAMED + 2):
            text = PLAN.replace("NAME", f"p{number:02}").replace("ACTION", "blink")
            await planning.create(TENANT, text)
        (said,) = await ActionUsers(harness.database, harness.worker).of(TENANT, "lamp", ["blink"])
        assert said.endswith("p08, p09 and 2 more")
