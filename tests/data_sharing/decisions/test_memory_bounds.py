"""What rules remember has bounds: at one that is full new keys are not added, and everything else
goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_sharing.memory_limits import MemoryLimits
from data_sharing.rules.ruleset import RuleSet
from tests.support.decisions_harness import decision_harness, event
from tests.support.memory_rules import COOLDOWN, DO, JOIN, publish
from tests.support.rule_harness import TENANT, rules_of

WINDOW = f"""
rules:
  - rule: often
    watch: {{e: {{feed: traffic}}}}
    windows: {{last: {{over: 10m, limit: 100}}}}
    when: window.last.count >= 2
{DO}"""
SEQUENCE = f"""
rules:
  - rule: then
    watch:
      a: {{feed: traffic, where: event.data.minutes == 1}}
      b: {{feed: traffic, where: event.data.minutes == 2}}
    sequence: {{steps: [{{step: a}}, {{step: b}}], within: 10m}}
    when: "true"
{DO}"""
FORECAST = "forecasts: [{forecast: f, feed: traffic, value: event.data.minutes}]"
MINUTE_MS = 60_000


@pytest.mark.parametrize("rule", [COOLDOWN, WINDOW, JOIN, SEQUENCE])
async def test_a_rule_that_is_full_takes_no_new_keys_and_goes_on_at_those_that_it_has(
    tmp_path: Path, rule: str
) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_keys=2)) as harness:
        harness.rules(rule)
        for key in ("k1", "k2"):
            assert "full" not in await publish(harness, key, key)
        refused = await publish(harness, "k3", "k3")
        assert refused == (
            "full: it remembers 2 keys, as many as it may (rule_keys of the server); "
            "no key is added"
        )
        assert "full" not in await publish(harness, "again", "k1", 2)
        (letter,) = harness.letters()
        assert letter.event is not None
        assert (letter.event.id, letter.reason) == ("k3", refused)
        assert sum(harness.worker.counts.full.values()) == 1


async def test_what_does_not_match_is_not_refused_where_only_what_matches_is_remembered(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_keys=1)) as harness:
        harness.rules(COOLDOWN)
        assert (await publish(harness, "e1", "k1")).startswith("fired")
        assert "full" not in await publish(harness, "e2", "k2", 0)
        assert (await publish(harness, "e3", "k2")).startswith("full")
        harness.rules(SEQUENCE)
        assert (await publish(harness, "e4", "k1")).startswith("waiting")
        assert (await publish(harness, "e5", "k2", 2)).startswith("not-matched")


async def test_new_keys_of_one_transaction_count_before_they_are_written(tmp_path: Path) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_keys=3)) as harness:
        harness.rules(COOLDOWN)
        some = [event({"minutes": 1}, id=f"e{number}", key=f"k{number}") for number in range(5)]
        await harness.publish(*some)
        assert len(harness.decisions()) == 3
        assert len(harness.letters()) == 2


async def test_a_key_that_is_over_makes_room(tmp_path: Path) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_keys=1)) as harness:
        harness.rules(COOLDOWN)
        await publish(harness, "e1", "k1")
        assert (await publish(harness, "e2", "k2")).startswith("full")
        harness.clock.now_ms += 300 * MINUTE_MS
        assert await harness.worker.expire_state() == 1
        assert (await publish(harness, "e3", "k2")).startswith("fired")


async def test_a_producer_a_tenant_and_a_forecast_have_bounds_of_their_own(tmp_path: Path) -> None:
    limits = MemoryLimits(producer_keys=2, tenant_keys=5)
    async with decision_harness(tmp_path, memory=limits) as harness:
        harness.rules(COOLDOWN)
        for number, source in enumerate(["/a", "/a", "/a", "/b", "/b", "/c", "/d"]):
            await publish(harness, f"e{number}", f"k{number}", source=source)
        assert {one.event.id: one.reason for one in harness.letters() if one.event} == {
            "e2": "full: events of this producer have made 2 keys, as many as they may "
            "(producer_keys of the server)",
            "e6": "full: rules of the tenant remember 5 keys, as many as they may "
            "(tenant_keys of the server)",
        }
        assert (await publish(harness, "again", "k0", source="/d")).startswith("cooldown")


async def test_a_forecast_that_is_full_takes_no_new_keys(tmp_path: Path) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_keys=1)) as harness:
        harness.rules(FORECAST)
        for number in range(3):
            await publish(harness, f"e{number}", f"k{number % 2}")
        assert harness.worker.counts.full == {(TENANT, "forecast f"): 1}
        keys = harness.read(lambda db: db.execute("SELECT key FROM cells").fetchall())
        assert keys == [("k0",)]


@pytest.mark.parametrize("rule", [JOIN, WINDOW])
async def test_one_key_takes_no_more_than_its_bytes_and_goes_on_when_time_has_made_room(
    tmp_path: Path, rule: str
) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(key_bytes=1_000)) as harness:
        harness.rules(rule)
        said = [
            await publish(harness, f"e{number}", "k", data={"text": "x" * 50})
            for number in range(120)
        ]
        full = [one for one in said if one.startswith("full: it remembers 1,")]
        assert full
        assert said[-1] == full[-1]
        harness.clock.now_ms += 60 * MINUTE_MS
        assert (await publish(harness, "late", "k")).startswith(
            "full"
        )  # and lets go of what is over
        assert not (await publish(harness, "later", "k")).startswith("full")


async def test_twice_the_bytes_of_a_rule_stop_the_keys_that_are_there_as_well(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(rule_bytes=500)) as harness:
        harness.rules(JOIN)
        said = [await publish(harness, f"e{n}", "k", data={"text": "x" * 99}) for n in range(9)]
        assert "twice as many as it should" in said[-1]
        assert "no key is added" in await publish(harness, "new", "k2")


async def test_what_one_tenant_fills_is_not_full_for_another(tmp_path: Path) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(tenant_keys=1)) as harness:
        mine = list(rules_of(COOLDOWN).rules.values())
        harness.worker.replace_rules(RuleSet([*mine, *(replace(m, tenant="b") for m in mine)]))
        for number in range(3):
            await publish(harness, f"e{number}", f"k{number}")
        assert len(harness.letters()) == 2
        await harness.publish(event({"minutes": 1}, key="k9", tenant="b"))
        assert len(harness.decisions("b")) == 1
