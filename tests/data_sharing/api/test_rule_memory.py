"""What rules remember, in lists of them; and what is let go of when one is retired."""

from __future__ import annotations

from data_sharing.api.rule_service import RuleService
from data_sharing.decisions.forgetting import Forgetting
from data_sharing.rules.memory_uses import MemoryLimits
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
        assert (await rule(service)).memory == pb.RuleMemory(most_keys=2, most_bytes=5_000)
        for key in ("a", "b", "c", "c"):
            await switch(harness, key)
        memory = (await rule(service)).memory
        assert (memory.keys, memory.full_events) == (2, 2)
        assert memory.full == "it remembers 2 keys, as many as it may; no key is added"
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
