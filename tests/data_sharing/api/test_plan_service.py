"""The plan service: plans and their changes, mapped in and out."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput, NotFound
from data_sharing.api.plan_service import MAX_PLAN_BYTES, PlanService
from data_sharing.decisions.plan_store import planned_actions
from data_sharing.management.planning import Planning
from homeport.api.datasharing.v1 import plan_pb2 as pb
from tests.support.datasharing_callers import OPERATOR, callers
from tests.support.decisions_harness import CATALOGUE, TENANT, decision_harness
from tests.support.fakes.offload import FakeOffload
from tests.support.sharing_parts import read_turns

PLAN = """
plan: wake-up
owner: k
at: 2027-01-15T09:00
actions: {light: {application: lamp, action: blink, offset: -10m, config: {times: 3}}}
"""
AT_MS = 1_800_003_600_000


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[PlanService]:
    numbers = itertools.count(1)
    async with decision_harness(tmp_path) as harness:
        planning = Planning(
            harness.database, harness.worker, lambda: CATALOGUE, FakeOffload(),
            wall_ms=harness.clock,
            new_id=lambda: f"u-{next(numbers)}",
        )  # fmt: skip
        yield PlanService(
            planning, harness.database, callers(), read_turns(), wall_ms=harness.clock
        )


async def create(service: PlanService, name: str = "wake-up", owner: str = "k") -> pb.Plan:
    spec = PLAN.replace("wake-up", name).replace("owner: k", f"owner: {owner}")
    return await service.CreatePlan(pb.CreatePlanRequest(spec=spec), OPERATOR)


async def test_a_plan_is_created_and_got_with_its_next_occurrence(service) -> None:
    made = await create(service)
    assert (made.tenant, made.plan_id, made.version) == (TENANT, "wake-up", 1)
    assert json.loads(made.spec)["owner"] == "k"
    assert made.next.planned_time.ToMilliseconds() == AT_MS
    (action,) = made.next.actions
    assert (action.name, action.application, action.action) == ("light", "lamp", "blink")
    assert action.due_time.ToMilliseconds() == AT_MS - 600_000
    assert json.loads(action.config_json) == {"times": 3}
    assert await service.GetPlan(pb.GetPlanRequest(plan_id="wake-up"), OPERATOR) == made


async def test_what_plans_do_is_known_of_those_that_stand(service: PlanService) -> None:
    """By which rules that change them are told of loops."""
    await create(service)
    await create(service, "gone")
    await service.CancelPlan(pb.CancelPlanRequest(plan_id="gone"), OPERATOR)
    found = service._database.read(lambda db: planned_actions(db, TENANT, 10))
    assert found == {("wake-up", "lamp", "blink")}
    assert service._database.read(lambda db: planned_actions(db, TENANT, 0)) == set()


async def test_a_change_sets_what_is_named_and_leaves_the_rest(service) -> None:
    await create(service)
    request = pb.ChangePlanRequest(plan_id="wake-up", note="holiday", expected_version=1)
    request.shift.FromSeconds(1_800)
    request.config_json["light"] = '{"times": 9}'
    changed = await service.ChangePlan(request, OPERATOR)
    assert changed.version == 2
    assert changed.next.planned_time.ToMilliseconds() == AT_MS
    assert changed.next.effective_time.ToMilliseconds() == AT_MS + 1_800_000
    assert json.loads(changed.next.actions[0].config_json) == {"times": 9}
    assert changed.next.cancelled is False


async def test_a_setting_is_the_number_that_was_written(service) -> None:
    await create(service)
    request = pb.ChangePlanRequest(plan_id="wake-up")
    request.config_json["light"] = '{"times": 9007199254740993, "level": 2.0}'
    changed = await service.ChangePlan(request, OPERATOR)
    (action,) = changed.next.actions
    assert action.config_json == '{"times":9007199254740993,"level":2.0}'


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"times": NaN}', "[" * 5_000, "{" * 70_000])
async def test_settings_that_are_no_json_object_are_refused(service, text: str) -> None:
    await create(service)
    request = pb.ChangePlanRequest(plan_id="wake-up", config_json={"light": text})
    with pytest.raises(InvalidInput, match="config_json: light"):
        await service.ChangePlan(request, OPERATOR)


async def test_a_negative_shift_is_earlier(service) -> None:
    await create(service)
    request = pb.ChangePlanRequest(plan_id="wake-up")
    request.shift.FromMilliseconds(-90_500)
    changed = await service.ChangePlan(request, OPERATOR)
    assert changed.next.effective_time.ToMilliseconds() == AT_MS - 90_500


async def test_the_history_says_who_changed_what_and_what_was_undone(service) -> None:
    await create(service)
    request = pb.ChangePlanRequest(plan_id="wake-up", note="holiday")
    request.config_json["light"] = '{"times": 9}'
    await service.ChangePlan(request, OPERATOR)
    undo = pb.UndoChangeRequest(plan_id="wake-up", change_id="u-1")
    assert (await service.UndoChange(undo, OPERATOR)).version == 3
    history = pb.GetPlanHistoryRequest(plan_id="wake-up", page_size=1)
    first = await service.GetPlanHistory(history, OPERATOR)
    history.page_token = first.next_page_token
    second = await service.GetPlanHistory(history, OPERATOR)
    assert [one.undoes for one in first.changes] == ["u-1"]
    (change,) = second.changes
    assert (change.user, change.note, change.undone) == ("ann", "holiday", True)
    assert not change.HasField("occurrence_time")
    (field,) = change.fields
    assert (field.field, field.after) == ("actions.light.config.times", "9")
    assert second.next_page_token == ""


async def test_a_cancelled_plan_has_nothing_to_come(service) -> None:
    await create(service)
    cancelled = await service.CancelPlan(pb.CancelPlanRequest(plan_id="wake-up"), OPERATOR)
    assert cancelled.cancelled
    assert not cancelled.HasField("next")


async def test_plans_are_listed_by_id_and_by_owner(service) -> None:
    for name, owner in (("b", "k"), ("a", "m"), ("c", "k")):
        await create(service, name, owner)
    first = await service.ListPlans(pb.ListPlansRequest(page_size=2), OPERATOR)
    assert [one.plan_id for one in first.plans] == ["a", "b"]
    rest = await service.ListPlans(
        pb.ListPlansRequest(page_size=2, page_token=first.next_page_token), OPERATOR
    )
    assert ([one.plan_id for one in rest.plans], rest.next_page_token) == (["c"], "")
    mine = await service.ListPlans(pb.ListPlansRequest(owner="m"), OPERATOR)
    assert [one.plan_id for one in mine.plans] == ["a"]


async def test_what_is_too_large_or_not_there_is_refused(service) -> None:
    with pytest.raises(InvalidInput, match="more than"):
        await service.CreatePlan(pb.CreatePlanRequest(spec="#" * (MAX_PLAN_BYTES + 1)), OPERATOR)
    with pytest.raises(NotFound):
        await service.GetPlan(pb.GetPlanRequest(plan_id="wake-up"), OPERATOR)
    with pytest.raises(NotFound):
        await service.GetPlanHistory(pb.GetPlanHistoryRequest(plan_id="wake-up"), OPERATOR)
