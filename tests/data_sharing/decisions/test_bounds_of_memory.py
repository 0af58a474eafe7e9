"""Bounds of memory that a tenant's record or a rule itself says, and those of a producer in bytes:
the least of all holds, and whoever meets one is told which."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_sharing.decisions import memory_check, memory_tables, worker_tables
from data_sharing.memory_limits import BoundSource, MemoryLimits, TenantLimits
from data_sharing.rules.compiler import parse
from data_sharing.rules.document_faults import InvalidDocument
from tests.support.decisions_harness import decision_harness, tables
from tests.support.memory_recount import counted, recounted
from tests.support.memory_rules import COOLDOWN, JOIN, publish
from tests.support.rule_harness import TENANT, rules_of

KEPT = "no key is added"


def bounded(rule: str, memory: str) -> str:
    return rule.replace("    when:", f"    memory: {memory}\n    when:", 1)


async def test_a_tenants_record_bounds_its_rules_alone_and_from_the_next_event_on(
    tmp_path: Path,
) -> None:
    async with decision_harness(tmp_path) as harness:
        harness.rules(COOLDOWN)
        await publish(harness, "e1", "k1")
        harness.worker.state.limits.follow(TENANT, {"rule_keys": 1})
        assert await publish(harness, "e2", "k2") == (
            f"full: it remembers 1 keys, as many as it may (rule_keys of the tenant's record); "
            f"{KEPT}"
        )
        harness.worker.state.limits.follow(TENANT, {"tenant_keys": 1})
        assert "(tenant_keys of the tenant's record)" in await publish(harness, "e3", "k2")
        harness.worker.state.limits.follow(TENANT, {})
        assert (await publish(harness, "e4", "k2")).startswith("fired")


def test_a_record_never_gives_more_than_the_server() -> None:
    limits = TenantLimits(MemoryLimits(rule_keys=5))
    limits.follow("a", {"rule_keys": 50, "tenant_keys": 7})
    assert limits.of("a") == MemoryLimits(rule_keys=5, tenant_keys=7)
    assert limits.of("b") == MemoryLimits(rule_keys=5)
    assert limits.source("a", "rule_keys") is BoundSource.SERVER
    assert limits.source("a", "tenant_keys") is BoundSource.TENANT


async def test_a_rule_bounds_what_it_remembers_itself_in_keys_and_bytes(tmp_path: Path) -> None:
    async with decision_harness(tmp_path) as harness:
        harness.rules(bounded(COOLDOWN, "{keys: 1}"))
        await publish(harness, "e1", "k1")
        assert await publish(harness, "e2", "k2") == (
            f"full: it remembers 1 keys, as many as it may (memory.keys of its own); {KEPT}"
        )
        harness.rules(bounded(JOIN, "{bytes: 1000, key_bytes: 900}"))
        text = {"text": "x" * 400}
        said = [await publish(harness, f"j{n}", "j", data=text) for n in range(4)]
        assert "(memory.key_bytes of its own)" in said[-1]
        harness.rules(bounded(JOIN, "{bytes: 1000}"))
        said = [await publish(harness, f"i{n}", f"i{n}", data=text) for n in range(4)]
        assert "(memory.bytes of its own)" in said[-1]


async def test_a_forecast_bounds_what_it_remembers_itself(tmp_path: Path) -> None:
    said = "forecast: f, feed: traffic, value: event.data.minutes, memory: {keys: 1}"
    async with decision_harness(tmp_path) as harness:
        harness.rules(f"forecasts: [{{{said}}}]")
        for number in range(3):
            await publish(harness, f"e{number}", f"k{number}")
        assert harness.worker.counts.full == {(TENANT, "forecast f"): 2}


async def test_a_producer_is_bounded_in_bytes_and_others_go_on(tmp_path: Path) -> None:
    async with decision_harness(tmp_path, memory=MemoryLimits(producer_bytes=1_500)) as harness:
        harness.rules(JOIN)
        text = {"text": "x" * 400}
        for number in range(4):
            said = await publish(harness, f"e{number}", f"k{number}", data=text, source="/a")
        assert said.startswith("waiting")
        said = await publish(harness, "more", "k9", data=text, source="/a")
        assert "keys that events of this producer have made have" in said
        assert f"(producer_bytes of the server); {KEPT}" in said
        assert (await publish(harness, "b", "k9", data=text, source="/b")).startswith("waiting")
        # At keys that are there it adds nothing beyond twice the bound, which others still do.
        for number in range(4):
            said = await publish(harness, f"f{number}", f"k{number}", data=text, source="/a")
        assert "twice as many as they should (producer_bytes of the server)" in said
        said = await publish(harness, "c", "k3", data=text, source="/b")
        assert said.startswith("waiting")
        assert harness.read(counted) == harness.read(recounted)


def test_more_than_the_tenant_may_have_is_refused_by_name() -> None:
    limits = TenantLimits(MemoryLimits(rule_bytes=100))
    limits.follow(TENANT, {"rule_keys": 10})
    document = parse(bounded(COOLDOWN, "{keys: 11, bytes: 101, key_bytes: 5}"))
    with pytest.raises(InvalidDocument) as refused:
        memory_check.check(document, TENANT, limits)
    assert {one.field: one.message.partition(": ")[2] for one in refused.value.faults} == {
        "rules.once.memory.keys": "11 is more than the 10 that it may have "
        "(rule_keys of the tenant's record)",
        "rules.once.memory.bytes": "101 is more than the 100 that it may have "
        "(rule_bytes of the server)",
    }
    memory_check.check(parse(bounded(COOLDOWN, "{keys: 10, bytes: 100}")), TENANT, limits)


@pytest.mark.parametrize("memory", ["{keys: 0}", "{bytes: -1}", "{key_bytes: 2000000000000000}"])
def test_a_bound_that_is_none_is_refused(memory: str) -> None:
    with pytest.raises(InvalidDocument, match="is not within 1 to"):
        rules_of(bounded(COOLDOWN, memory))


def test_producers_of_a_file_that_counted_their_keys_alone_are_counted_anew() -> None:
    with tables(worker_tables.SCHEMA) as db:
        rows = [("t", "rule", "r", f"k{n}", b"12345", None, "/p") for n in range(5)]
        db.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        while not memory_tables.count_some(db, 2):
            pass
        for statement in memory_tables.BYTES_STEP:
            db.execute(statement)
        assert memory_tables.made_by(db, ("t", "/p")) == (0, 0)
        while not memory_tables.count_some(db, 2):
            pass
        assert memory_tables.made_by(db, ("t", "/p")) == (5, 25)
        assert counted(db) == recounted(db)
