"""What rules remember, in lists of them; and what is let go of when one is retired."""

from __future__ import annotations

import pytest

from data_sharing.api.rule_service import RuleService
from data_sharing.decisions.forgetting import Forgetting
from data_sharing.memory_limits import MemoryLimits
from data_sharing.rules.document_faults import InvalidDocument
from homeport.api.datasharing.v1 import rule_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import DecisionHarness, decision_harness, event
from tests.support.memory_recount import counted, recounted
from tests.support.rule_services import Catalogues, apply, document, rule_registry, rule_service

COOLDOWN = document("r").replace("when:", "cooldown: 1h\n    when:")
WAITING = document("r").replace("when:", "debounce: {wait: 1h}\n    when:")
FORECAST = "forecasts: [{forecast: f, feed: switched, value: 'event.data.on ? 1.0 : 0.0'}]\n"


async def switch(harness: DecisionHarness, key: str) -> None:
    last = (await harness.log.bounds("home")).last
    await harness.publish(event({"on": True}, feed="switched", id=f"e{last}", key=key))


async def rule(service: RuleService) -> pb.Rule:
    return await service.GetRule(pb.GetRuleRequest(rule_id="r"), OPERATOR)


async def test_a_rule_says_what_it_remembers_and_why_it_takes_no_more(tmp_path) -> None:
    limits = MemoryLimits(rule_keys=2, rule_bytes=5_000)
    async with decision_harness(tmp_path, memory=limits) as harness:
        service = rule_service(harness, rule_registry(harness, Catalogues()))
        await apply(service, FORECAST + COOLDOWN)
        assert (await rule(service)).memory == pb.RuleMemory(
            most_keys=2, most_bytes=5_000, keys_source=pb.MEMORY_SOURCE_SERVER,
            bytes_source=pb.MEMORY_SOURCE_SERVER,
        )  # fmt: skip
        for key in ("a", "b", "c", "c"):
            await switch(harness, key)
        memory = (await rule(service)).memory
        assert (memory.keys, memory.full_events) == (2, 2)
        assert (
            memory.full
            == "it remembers 2 keys, as many as it may (rule_keys of the server); no key is added"
        )
        (listed,) = (await service.ListRules(pb.ListRulesRequest(), OPERATOR)).rules
        assert listed.memory == memory
        (forecast,) = (await service.ListForecasts(pb.ListForecastsRequest(), OPERATOR)).forecasts
        assert (forecast.memory.keys, forecast.memory.full_events) == (2, 2)


async def test_what_a_retired_rule_remembered_is_nobodys_at_once_and_deleted_in_steps(
    tmp_path,
) -> None:
    """Also where it is applied again before that is over."""
    async with decision_harness(tmp_path) as harness:
        service = rule_service(harness, rule_registry(harness, Catalogues()))
        sweep = Forgetting(harness.database, harness.worker, cells_at_once=2)

        def rows(table: str) -> int:
            found = harness.read(lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone())
            return int(found[0])

        await apply(service, WAITING)
        for number in range(5):
            await switch(harness, f"k{number}")
        assert (rows("cells"), rows("timers")) == (5, 5)
        await service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
        assert (rows("cells"), rows("timers")) == (5, 5)  # a transaction that deletes is short
        left = []
        while await sweep.step():
            left.append((rows("cells"), rows("timers")))
        assert left == [(3, 5), (1, 5), (0, 3), (0, 1), (0, 0)]
        assert (await rule(service)).memory.keys == 0
        await apply(service, COOLDOWN)
        await switch(harness, "a")
        await service.RetireRule(pb.RetireRuleRequest(rule_id="r"), OPERATOR)
        await apply(service, COOLDOWN)
        await switch(harness, "a")  # it would be in its cooldown, did it remember
        assert len(harness.decisions()) == 2
        while await sweep.step():
            pass
        assert rows("cells") == (await rule(service)).memory.keys == 1
        assert harness.read(counted) == harness.read(recounted)


async def test_what_a_tenant_may_remember_is_told_with_what_it_does_and_who_says_so(
    tmp_path,
) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_keys=9)) as harness:
        service = rule_service(harness, rule_registry(harness, Catalogues()))
        harness.worker.state.limits.follow("home", {"tenant_keys": 5, "rule_keys": 10})
        await apply(service, COOLDOWN.replace("when:", "memory: {keys: 3}\n    when:"))
        await switch(harness, "a")
        await switch(harness, "b")
        asked = pb.GetMemoryRequest(source="/lamp")
        found = {one.name: one for one in (await service.GetMemory(asked, OPERATOR)).bounds}
        assert (found["tenant_keys"].most, found["tenant_keys"].used) == (5, 2)
        assert found["tenant_keys"].source == pb.MEMORY_SOURCE_TENANT
        assert (found["rule_keys"].most, found["rule_keys"].source) == (9, pb.MEMORY_SOURCE_SERVER)
        assert not found["rule_keys"].HasField("used")
        assert found["producer_keys"].HasField("used")
        assert found["tenant_bytes"].used == (await rule(service)).memory.bytes
        memory = (await rule(service)).memory
        assert (memory.most_keys, memory.keys_source) == (3, pb.MEMORY_SOURCE_RULE)
        without = (await service.GetMemory(pb.GetMemoryRequest(), OPERATOR)).bounds
        assert not any(one.HasField("used") for one in without if one.name.startswith("producer"))


async def test_a_rule_that_wants_to_remember_more_than_its_tenant_may_is_not_applied(
    tmp_path,
) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_keys=9)) as harness:
        service = rule_service(harness, rule_registry(harness, Catalogues()))
        with pytest.raises(InvalidDocument, match="10 is more than the 9 that it may have"):
            await apply(service, COOLDOWN.replace("when:", "memory: {keys: 10}\n    when:"))
