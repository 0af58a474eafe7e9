"""The rule service over a registry of rules: apply, list, try and retire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput, NotFound, PermissionDenied
from data_sharing.api.rule_service import MAX_DOCUMENT_BYTES, MOST_SAMPLES, RuleService
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.registry.catalogue import Catalogue
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import APPLICATION, OPERATOR, callers
from tests.support.decisions_harness import (
    CATALOGUE,
    TENANT,
    DecisionHarness,
    decision_harness,
    event,
)
from tests.support.instructions import NOW_MS


def document(*names: str, when: str = "e.data.on") -> str:
    return "rules:\n" + "\n".join(
        f"""
  - rule: {name}
    watch: {{e: {{feed: switched}}}}
    when: {when}
    do: [{{invoke: {{application: lamp, action: blink}}}}]
"""
        for name in names
    )


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        yield made


class Catalogues:
    """The catalogue, which a test can replace."""

    def __init__(self) -> None:
        self.now = CATALOGUE

    def __call__(self) -> Catalogue:
        return self.now


@pytest.fixture
def catalogues() -> Catalogues:
    return Catalogues()


@pytest.fixture
def registry(harness: DecisionHarness, catalogues: Catalogues) -> RuleRegistry:
    return RuleRegistry(harness.database, harness.worker, catalogues, wall_ms=harness.clock)


@pytest.fixture
def service(harness: DecisionHarness, registry: RuleRegistry) -> RuleService:
    return RuleService(registry, harness.worker, callers())


async def apply(service: RuleService, text: str, *, dry_run: bool = False) -> list[pb.Rule]:
    request = pb.ApplyRulesRequest(document=text, dry_run=dry_run)
    return list((await service.ApplyRules(request, OPERATOR)).rules)


async def test_an_applied_rule_decides_from_the_next_event_on(harness, service) -> None:
    await harness.publish(event({"on": True}, feed="switched"))
    (rule,) = await apply(service, document("r"))
    assert (rule.tenant, rule.rule_id, rule.version, rule.retired) == (TENANT, "r", 1, False)
    assert rule.apply_time.ToMilliseconds() == NOW_MS
    assert json.loads(rule.spec)["when"] == "e.data.on"
    await harness.publish(event({"on": True}, feed="switched", id="e2"))
    assert [one.position for one in harness.decisions()] == [2]


async def test_a_version_grows_with_the_content_alone(service) -> None:
    await apply(service, document("r"))
    assert [one.version for one in await apply(service, document("r"))] == [1]
    assert [
        one.version for one in await apply(service, document("r", when="e.data.on == false"))
    ] == [2]
    old = await service.GetRule(pb.GetRuleRequest(rule_id="r", version=1), OPERATOR)
    assert json.loads(old.spec)["when"] == "e.data.on"
    newest = await service.GetRule(pb.GetRuleRequest(rule_id="r"), OPERATOR)
    assert newest.version == 2
    with pytest.raises(NotFound, match="no rule 'r' 3"):
        await service.GetRule(pb.GetRuleRequest(rule_id="r", version=3), OPERATOR)


async def test_a_dry_run_compiles_and_keeps_nothing(harness, service) -> None:
    assert [one.version for one in await apply(service, document("r"), dry_run=True)] == [1]
    assert list((await service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules) == []
    with pytest.raises(InvalidInput):
        await apply(service, document("r", when="e.data.colour"), dry_run=True)


async def test_a_document_comes_into_force_as_a_whole_or_not_at_all(service) -> None:
    with pytest.raises(InvalidInput):
        await apply(service, document("good") + document("bad", when="nonsense(").split("\n", 1)[1])
    assert list((await service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules) == []


async def test_rules_are_listed_by_id_page_by_page(service) -> None:
    await apply(service, document("c", "a", "b"))
    first = await service.ListRules(pb.ListRulesRequest(page_size=2), OPERATOR)
    assert [one.rule_id for one in first.rules] == ["a", "b"]
    rest = await service.ListRules(
        pb.ListRulesRequest(page_size=2, page_token=first.next_page_token), OPERATOR
    )
    assert ([one.rule_id for one in rest.rules], rest.next_page_token) == (["c"], "")


async def test_a_retired_rule_decides_no_more_and_is_listed_on_request(harness, service) -> None:
    await apply(service, document("r"))
    retired = await service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
    assert retired.retired
    await harness.publish(event({"on": True}, feed="switched"))
    assert harness.decisions() == []
    assert list((await service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules) == []
    with_retired = await service.ListRules(pb.ListRulesRequest(with_retired=True), OPERATOR)
    assert [one.rule_id for one in with_retired.rules] == ["r"]
    (again,) = await apply(service, document("r"))
    assert (again.version, again.retired) == (1, False)


async def test_a_rule_whose_feed_is_gone_is_suspended_until_it_is_back(
    harness, service, registry, catalogues
) -> None:
    await apply(service, document("r"))
    catalogues.now = Catalogue()
    registry.load()
    rule = await service.GetRule(pb.GetRuleRequest(rule_id="r"), OPERATOR)
    assert rule.health.parked
    assert "switched" in rule.health.last_error
    await harness.publish(event({"on": True}, feed="switched"))
    assert harness.decisions() == []
    catalogues.now = CATALOGUE
    registry.load()
    await harness.publish(event({"on": True}, feed="switched", id="e2"))
    assert [one.position for one in harness.decisions()] == [2]


async def test_rules_outlive_the_registry(harness, service) -> None:
    await apply(service, document("r"))
    RuleRegistry(harness.database, harness.worker, lambda: CATALOGUE, wall_ms=harness.clock)
    await harness.publish(event({"on": True}, feed="switched"))
    assert [one.rule for one in harness.decisions()] == ["r"]


async def test_rules_are_tried_on_samples(service) -> None:
    request = pb.TestRulesRequest(document=document("r"))
    for on in (True, False):
        request.events.add().update({"type": "switched", "data": {"on": on}, "id": str(on)})
    tested = await service.TestRules(request, OPERATOR)
    assert [(one.event_id, one.rules[0].verdict) for one in tested.events] == [
        ("True", "fired"), ("False", "not-matched"),
    ]  # fmt: skip
    assert tested.events[0].rules[0].effects == ["taken: invoke lamp blink {}"]
    assert tested.events[1].rules[0].clauses[0].read == {"e.data.on": "false"}


async def test_what_is_too_much_is_refused(service) -> None:
    with pytest.raises(InvalidInput, match="more than"):
        await apply(service, "#" * (MAX_DOCUMENT_BYTES + 1))
    request = pb.TestRulesRequest(document=document("r"))
    for _ in range(MOST_SAMPLES + 1):
        request.events.add()
    with pytest.raises(InvalidInput, match="at most"):
        await service.TestRules(request, OPERATOR)


async def test_an_application_may_not_change_rules(service) -> None:
    with pytest.raises(PermissionDenied):
        await service.ApplyRules(pb.ApplyRulesRequest(document=document("r")), APPLICATION)
