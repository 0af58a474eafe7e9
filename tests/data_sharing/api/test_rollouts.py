"""Rollouts over the rule service: begun by applying, moved by operators and by themselves, taken
back; with a real worker that decides beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from control_plane.errors import NotFound, Refused
from data_sharing.api.rule_service import RuleService
from data_sharing.decisions import rollout_tables, rule_tables
from data_sharing.decisions.rollouts import Rollouts
from data_sharing.decisions.rule_document import compiled_versions
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.instruction import Performance, Performed
from data_sharing.management.explanations import explain_event
from data_sharing.registry.catalogue import Catalogue
from data_sharing.rules.rollout import Rollout, bucket_of
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import TENANT, DecisionHarness, event, tables
from tests.support.instructions import NOW_MS
from tests.support.rule_services import apply

STEPS = "steps: [{shadow: true, for: 1m}, {share: 50, decisions: 4}]"


def document(when: str, rollout: str = "") -> str:
    return f"""
rules:
  - rule: r
    watch: {{e: {{feed: switched}}}}
    when: {when}
    do: [{{invoke: {{application: lamp, action: blink}}}}]
    {f"rollout: {{{rollout}}}" if rollout else ""}
"""


class Rolling:
    """A rule with a version in force that fires on everything, and what moves the next one."""

    def __init__(
        self, harness: DecisionHarness, service: RuleService, registry: RuleRegistry
    ) -> None:
        self.harness, self.service = harness, service
        self.rollouts = Rollouts(harness.database, registry, harness.worker, wall_ms=harness.clock)
        self.sent = 0

    async def begin(self, when: str = "e.data.on", rollout: str = STEPS) -> None:
        await apply(self.service, document("true"))
        await apply(self.service, document(when, rollout))

    async def send(self, *keys: str, on: bool = True) -> list[int]:
        """Versions that acted, in order."""
        before = len(self.harness.instructions())
        for key in keys:
            self.sent += 1
            await self.harness.publish(
                event({"on": on}, feed="switched", id=f"n{self.sent}", key=key)
            )
        return [one.instruction.rule_version for one in self.harness.instructions()[before:]]

    async def rollout(self) -> pb.Rollout:
        return await self.service.GetRollout(pb.GetRolloutRequest(rule_id="r"), OPERATOR)

    async def rule(self, version: int = 0) -> pb.Rule:
        return await self.service.GetRule(pb.GetRuleRequest(rule_id="r", version=version), OPERATOR)

    async def promote(self, **fields: Any) -> pb.Rollout:
        request = pb.PromoteRolloutRequest(rule_id="r", **fields)
        return await self.service.PromoteRollout(request, OPERATOR)

    async def abort(self) -> pb.Rollout:
        request = pb.AbortRolloutRequest(rule_id="r", reason="no good")
        return await self.service.AbortRollout(request, OPERATOR)

    async def end(self, status: Performance) -> None:
        """The newest instruction ends so."""
        recorder = OutcomeRecorder(lambda db, stored, done: None, wall_ms=self.harness.clock)
        what = self.harness.instructions()[-1].instruction
        done = Performed(
            instruction=what.id, status=status, platform="p", attempt=3,
            started_at_ms=NOW_MS, ended_at_ms=NOW_MS,
        )  # fmt: skip
        await self.harness.database.transact(lambda db: recorder.record(db, done))


def key_in(share_buckets: range) -> str:
    return next(f"k{n}" for n in range(10_000) if bucket_of("r", f"k{n}") in share_buckets)


INSIDE, OUTSIDE = key_in(range(5_000)), key_in(range(5_000, 10_000))


@pytest.fixture
def rolling(harness, service, registry) -> Rolling:
    return Rolling(harness, service, registry)


async def test_an_applied_version_with_steps_decides_in_shadow_beside_the_one_in_force(
    rolling,
) -> None:
    await rolling.begin()
    assert await rolling.send("a", "b", on=False) == [1, 1]
    assert await rolling.send("c") == [1]
    rollout = await rolling.rollout()
    assert (rollout.candidate_version, rollout.stable_version) == (2, 1)
    assert (rollout.phase, rollout.step, rollout.steps) == (pb.ROLLOUT_PHASE_PROGRESSING, 1, 2)
    assert (rollout.comparison.same, rollout.comparison.less) == (1, 2)
    (first, _) = rollout.differences
    assert (first.kind, first.key, list(first.candidate_effects)) == ("less", "a", [])
    rule = await rolling.rule()
    assert rule.version == 1
    assert rule.rollout.candidate_version == 2
    assert rolling.harness.letters() == []


async def test_what_is_explained_tells_shadow_decisions_apart(rolling) -> None:
    await rolling.begin("e.data.on != true")  # which no index passes over
    await rolling.send("a")
    rules = rolling.harness.worker.rules
    found = rolling.harness.read(lambda db: explain_event(db, rules, TENANT, 1))
    assert [(one.version, one.verdict, one.shadow) for one in found.judgements] == [
        (1, "fired", False), (2, "not-matched", True),
    ]  # fmt: skip
    assert found.passed_over == []


async def test_a_new_version_that_fails_in_shadow_makes_no_dead_letters(rolling) -> None:
    await rolling.begin("int(string(e.data.on)) > 0")
    assert await rolling.send("a") == [1]
    assert rolling.harness.letters() == []
    assert (await rolling.rollout()).comparison.failed == 1


async def test_steps_follow_each_other_by_time_and_by_decisions_and_operators_end_it(
    rolling,
) -> None:
    await rolling.begin()
    await rolling.rollouts.advance()
    assert (await rolling.rollout()).step == 1
    rolling.harness.clock.now_ms += 60_000
    await rolling.rollouts.advance()
    rollout = await rolling.rollout()
    assert (rollout.step, rollout.share_percent) == (2, 50)
    assert await rolling.send(INSIDE, OUTSIDE) == [2, 1]
    await rolling.rollouts.advance()
    assert (await rolling.rollout()).phase == pb.ROLLOUT_PHASE_PROGRESSING
    await rolling.send(INSIDE, OUTSIDE)
    await rolling.rollouts.advance()
    rollout = await rolling.rollout()
    assert rollout.phase == pb.ROLLOUT_PHASE_PROMOTED
    assert [one.operator for one in rollout.history] == ["", "", "ann"]
    assert await rolling.send(INSIDE, OUTSIDE) == [2, 2]
    assert (await rolling.rule()).version == 2


async def test_a_repeated_promotion_moves_once(rolling) -> None:
    await rolling.begin()
    for _ in range(2):
        rollout = await rolling.promote(from_step=1)
        assert (rollout.phase, rollout.step) == (pb.ROLLOUT_PHASE_PROGRESSING, 2)
    assert (await rolling.promote(full=True)).phase == pb.ROLLOUT_PHASE_PROMOTED
    assert (await rolling.promote(full=True)).phase == pb.ROLLOUT_PHASE_PROMOTED


async def test_an_abort_gives_all_keys_back_and_applying_again_begins_a_new_version(
    rolling,
) -> None:
    await rolling.begin()
    await rolling.promote()
    assert await rolling.send(INSIDE) == [2]
    assert (await rolling.abort()).phase == pb.ROLLOUT_PHASE_ABORTED
    assert (await rolling.abort()).reason == "no good"
    assert await rolling.send(INSIDE) == [1]
    with pytest.raises(Refused, match="was aborted"):
        await rolling.promote()
    (again,) = await apply(rolling.service, document("e.data.on", STEPS))
    assert (again.version, (await rolling.rollout()).candidate_version) == (3, 3)
    assert (await rolling.rollout()).comparison.same == 0


async def test_failed_instructions_of_the_new_version_hold_it_until_it_is_promoted(
    rolling,
) -> None:
    await rolling.begin(rollout=f"{STEPS}, hold: {{failed: {{count: 2}}}}")
    await rolling.promote()
    for key in (OUTSIDE, OUTSIDE, INSIDE):
        await rolling.send(key)
        await rolling.end(Performance.FAILED)
        await rolling.rollouts.advance()
        assert (await rolling.rollout()).phase == pb.ROLLOUT_PHASE_PROGRESSING
    await rolling.send(INSIDE)
    await rolling.end(Performance.FAILED)
    await rolling.rollouts.advance()
    rollout = await rolling.rollout()
    assert (rollout.phase, rollout.step) == (pb.ROLLOUT_PHASE_HELD, 2)
    assert (rollout.candidate_instructions.failed, rollout.stable_instructions.failed) == (2, 2)
    assert "2 instructions of version 2 failed" in rollout.reason
    rolling.harness.clock.now_ms += 3_600_000
    await rolling.rollouts.advance()
    assert (await rolling.rollout()).phase == pb.ROLLOUT_PHASE_HELD
    assert (await rolling.promote()).phase == pb.ROLLOUT_PHASE_PROMOTED


async def test_one_that_is_promoted_in_spite_of_a_hold_is_not_held_again_for_the_same(
    rolling,
) -> None:
    """Outcomes are counted anew in each step."""
    steps = "steps: [{share: 40}, {share: 50}], hold: {failed: {count: 1}}"
    inside = key_in(range(4_000))
    await rolling.begin(rollout=steps)
    await rolling.send(inside)
    await rolling.end(Performance.FAILED)
    await rolling.rollouts.advance()
    assert (await rolling.rollout()).phase == pb.ROLLOUT_PHASE_HELD
    await rolling.promote()
    await rolling.rollouts.advance()
    assert (await rolling.rollout()).phase == pb.ROLLOUT_PHASE_PROGRESSING
    await rolling.send(inside)
    await rolling.end(Performance.FAILED)
    await rolling.rollouts.advance()
    assert (await rolling.rollout()).phase == pb.ROLLOUT_PHASE_HELD


async def test_a_rule_that_begins_with_a_rollout_acts_for_its_share_alone(rolling) -> None:
    await apply(rolling.service, document("true", STEPS))
    assert await rolling.send(INSIDE, OUTSIDE) == []
    await rolling.promote()
    assert await rolling.send(INSIDE, OUTSIDE) == [1]
    rollout = await rolling.rollout()
    assert (rollout.stable_version, rollout.comparison.more) == (0, 4)
    await rolling.abort()
    assert (await rolling.rule()).retired
    assert await rolling.send(INSIDE) == []


async def test_a_restart_finds_rollouts_as_they_were(rolling, registry) -> None:
    await rolling.begin()
    await rolling.promote()
    registry.in_force.load()
    assert await rolling.send(INSIDE, OUTSIDE) == [2, 1]
    await rolling.promote(full=True)
    registry.in_force.load()
    assert await rolling.send(INSIDE, OUTSIDE) == [2, 2]


async def test_another_version_waits_until_the_rollout_is_over(rolling) -> None:
    await rolling.begin()
    (same,) = await apply(rolling.service, document("e.data.on", STEPS))
    assert same.version == 2
    for other in (document("true"), document("e.data.on == false"), document("e.data.on")):
        with pytest.raises(Refused, match="version 2 is being rolled out"):
            await apply(rolling.service, other)


async def test_a_new_version_that_does_not_compile_leaves_its_keys_to_the_one_in_force(
    rolling,
) -> None:
    """Its feed alone is gone."""
    await rolling.begin()
    await rolling.promote()
    versions = rolling.harness.read(lambda db: rule_tables.deciding(db, TENANT, "r"))
    found, errors = compiled_versions(versions, Catalogue(), {})
    assert (found, sorted(errors)) == ([], ["r", "r@candidate"])
    at_hand = {("r", 1): rolling.harness.worker.rules.rules[TENANT, "r"]}
    (alone,), errors = compiled_versions(versions, Catalogue(), {}, at_hand)
    assert list(errors) == ["r@candidate"]
    assert alone.activation.acts_for("r", INSIDE)


async def test_a_rollback_puts_what_was_before_in_force_as_a_new_version(rolling) -> None:
    await rolling.begin(rollout="")
    request = pb.RollbackRuleRequest(rule_id="r", from_version=2)
    back = await rolling.service.RollbackRule(request, OPERATOR)
    assert (back.version, json.loads(back.spec)["when"]) == (3, True)
    assert await rolling.send("a", on=False) == [3]
    with pytest.raises(Refused, match="version 3 is in force, not 2"):
        await rolling.service.RollbackRule(request, OPERATOR)
    to_first = pb.RollbackRuleRequest(rule_id="r", to_version=1)
    assert (await rolling.service.RollbackRule(to_first, OPERATOR)).version == 3
    with pytest.raises(NotFound, match='no rule "r" 9'):
        await rolling.service.RollbackRule(
            pb.RollbackRuleRequest(rule_id="r", to_version=9), OPERATOR
        )


async def test_a_rollback_passes_over_versions_that_never_were_in_force(rolling) -> None:
    await rolling.begin()
    await rolling.abort()
    await apply(rolling.service, document("e.data.on == false"))
    back = await rolling.service.RollbackRule(pb.RollbackRuleRequest(rule_id="r"), OPERATOR)
    assert json.loads(back.spec)["when"] is True


async def test_a_rollback_waits_until_a_rollout_is_over(rolling) -> None:
    await rolling.begin()
    with pytest.raises(Refused, match="rollout abort r"):
        await rolling.service.RollbackRule(pb.RollbackRuleRequest(rule_id="r"), OPERATOR)
    await apply(rolling.service, document("true").replace("rule: r", "rule: alone"))
    with pytest.raises(Refused, match="no version before 1"):
        await rolling.service.RollbackRule(pb.RollbackRuleRequest(rule_id="alone"), OPERATOR)


async def test_a_rule_without_rollouts_says_so(rolling) -> None:
    await apply(rolling.service, document("true"))
    with pytest.raises(NotFound, match="has had no rollout"):
        await rolling.rollout()
    with pytest.raises(NotFound, match="no rule"):
        await rolling.service.GetRollout(pb.GetRolloutRequest(rule_id="q"), OPERATOR)


async def test_a_retired_rule_ends_its_rollout(rolling) -> None:
    await rolling.begin()
    await rolling.service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
    assert await rolling.send("a") == []
    assert (await rolling.rollout()).phase == pb.ROLLOUT_PHASE_ABORTED


def test_of_a_rule_the_newest_moves_are_kept() -> None:
    with tables(rollout_tables.SCHEMA) as db:
        for number in range(rollout_tables.MOST_MOVES + 7):
            one = Rollout(candidate=1, stable=0, reason=str(number))
            rollout_tables.note(db, "t", "r", one, by="ann", now_ms=number)
        found = rollout_tables.history(db, "t", "r")
    assert len(found) == rollout_tables.MOST_MOVES
    assert found[0].reason == str(rollout_tables.MOST_MOVES + 6)
