"""Rules that fail: where they are parked, and how they are run again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from control_plane.errors import NotFound, Refused
from data_sharing.api.rule_service import RuleService
from data_sharing.registry.catalogue import Catalogue
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import (
    CATALOGUE,
    DecisionHarness,
    event,
)
from tests.support.instructions import NOW_MS
from tests.support.rule_services import (
    apply,
    document,
    replace_fields,
)

FAILING = document("r", when="1 / int(e.data.n) > 0").replace(
    "when:", "park_after: 2\n    park_wider_after: 2\n    when:"
)
NUMBERS = {"type": "object", "properties": {"n": {"type": "integer"}}}


class Failing:
    """A rule that fails at events with n = 0."""

    def __init__(self, harness: DecisionHarness, service: RuleService) -> None:
        self.harness, self.service = harness, service
        self.sent = 0

    async def send(self, n: int, *, key: str = "k", source: str = "/road") -> None:
        self.sent += 1
        one = event({"n": n}, feed="switched", id=f"n{self.sent}", key=key)
        await self.harness.publish(replace(one, source=source))

    async def rule(self) -> pb.Rule:
        return await self.service.GetRule(pb.GetRuleRequest(rule_id="r"), OPERATOR)

    async def retry(self, *, key: str = "", source: str = "") -> pb.RetryRuleResponse:
        request = pb.RetryRuleRequest(rule_id="r", key=key, source=source)
        return await self.service.RetryRule(request, OPERATOR)


@pytest.fixture
async def failing(harness, service, catalogues, registry) -> Failing:
    produced = replace_fields(CATALOGUE, NUMBERS)
    catalogues.now = produced
    await apply(service, FAILING)
    return Failing(harness, service)


async def test_a_rule_says_at_which_keys_and_for_which_producers_it_is_parked(failing) -> None:
    for _ in range(2):
        await failing.send(0)
    health = (await failing.rule()).health
    assert (health.parked, health.parked_whole) == (True, False)
    assert (health.parked_keys, health.parked_producers, health.failures) == (1, 0, 2)
    assert health.retry_time.ToMilliseconds() == NOW_MS + 60_000
    (scope,) = health.parked_scopes
    assert (scope.key, scope.source, scope.failures) == ("k", "/road", 2)
    assert scope.park_time.ToMilliseconds() == NOW_MS
    assert "divide by zero" in scope.last_error
    await failing.send(0, key="j")
    health = (await failing.rule()).health
    assert (health.parked_keys, health.parked_producers) == (1, 1)
    assert [(one.key, one.source) for one in health.parked_scopes] == [
        ("", "/road"), ("k", "/road"),
    ]  # fmt: skip
    await failing.send(0, key="x", source="/other")
    health = (await failing.rule()).health
    assert health.parked_whole
    (listed,) = (await failing.service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules
    assert (listed.health.parked_keys, listed.health.parked_producers) == (1, 1)
    assert list(listed.health.parked_scopes) == [], "a page has many rules"


async def test_what_is_parked_is_run_again_by_hand(failing) -> None:
    for key in ("k", "j"):
        for _ in range(2):
            await failing.send(0, key=key)
            await failing.send(1, key="good")
    assert (await failing.rule()).health.parked_keys == 2
    answer = await failing.retry(key="nowhere")
    assert (answer.unparked, answer.rule.health.parked_keys) == (0, 2)
    answer = await failing.retry(key="k")
    assert (answer.unparked, answer.rule.health.parked_keys) == (1, 1)
    assert [one.key for one in answer.rule.health.parked_scopes] == ["j"]
    before = len(failing.harness.decisions())
    for key in ("k", "j"):
        await failing.send(1, key=key)
    assert len(failing.harness.decisions()) == before + 1
    answer = await failing.retry(source="/road")
    assert (answer.unparked, answer.rule.health.parked) == (1, False)
    assert (await failing.retry()).unparked == 0, "once more changes nothing"
    await failing.send(1, key="j")
    assert len(failing.harness.decisions()) == before + 2


async def test_applying_a_rule_again_runs_it_again(failing) -> None:
    for _ in range(2):
        await failing.send(0)
    (again,) = await apply(failing.service, FAILING)
    assert (again.version, again.health.parked) == (1, False)
    await failing.send(1)
    assert len(failing.harness.decisions()) == 1


async def test_what_cannot_be_retried_is_said(failing, service, catalogues, registry) -> None:
    with pytest.raises(NotFound, match='no rule "other"'):
        await service.RetryRule(pb.RetryRuleRequest(rule_id="other"), OPERATOR)
    catalogues.now = Catalogue()
    registry.in_force.follow(catalogues.now)
    with pytest.raises(Refused, match="suspended"):
        await failing.retry()
    assert (await failing.rule()).health.parked_whole
    await service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
    with pytest.raises(Refused, match="retired"):
        await failing.retry()
