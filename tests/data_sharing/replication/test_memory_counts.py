"""Counts of what rules remember are in the changelog like all else: a copy that is built of it, or
of a snapshot and what came after it, has those of a recount."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from data_sharing.decisions import memory_tables
from data_sharing.decisions import tables as decision_tables
from data_sharing.decisions.forgetting import Forgetting
from data_sharing.feeds import log_tables
from data_sharing.replication import replica_tables
from data_sharing.sharing.policies import Memory
from tests.support.decisions_harness import DecisionHarness, event
from tests.support.fakes.memory_changelog import MemoryChangeLog
from tests.support.instructions import Clock
from tests.support.memory_recount import Counted, counted, recounted
from tests.support.rule_harness import TENANT
from tests.support.takeovers import worker

SCHEMAS = (log_tables.SCHEMA, *decision_tables.SCHEMAS, replica_tables.SCHEMA)
RULES = """
forecasts: [{forecast: f, feed: traffic, value: event.data.minutes}]
rules:
  - rule: often
    watch: {e: {feed: traffic}}
    windows: {last: {over: 10m}}
    when: window.last.count >= 2
    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]
"""


async def some(harness: DecisionHarness, rng: random.Random, steps: int) -> None:
    deciding, memory = harness.worker, Memory(TENANT, "rule", "often")
    for number in range(steps):
        await harness.publish(
            *(
                event({"minutes": 1}, id=f"{rng.random()}", key=f"k{rng.randrange(9)}",
                      source=rng.choice(("/a", "/b")), time_ms=harness.clock())
                for _ in range(rng.randrange(1, 5))
            )
        )  # fmt: skip
        if number % 4 == 3:
            harness.clock.now_ms += rng.randrange(3_600_000)
            await harness.worker.expire_state(limit=2)
        if number % 5 == 4:
            await harness.database.transact(lambda db: deciding.begin_anew(db, [memory]))
            await Forgetting(harness.database, deciding, cells_at_once=3).step()


@pytest.mark.parametrize("seed", range(3))
async def test_a_copy_has_the_counts_of_its_cells(tmp_path: Path, seed: int) -> None:
    changelog, rng, clock = MemoryChangeLog(), random.Random(seed), Clock()
    found: list[Counted] = []
    for place, with_snapshot in (("a", True), ("b", False), ("c", True), ("d", False)):
        async with worker(tmp_path / place / "db", changelog, SCHEMAS) as (database, snapshots):
            harness = DecisionHarness(database, clock)
            await harness.worker.start()
            if found:
                assert database.read(counted) == found[-1]
            assert database.read(counted) == database.read(recounted)
            harness.rules(RULES)
            await some(harness, rng, 6)
            if with_snapshot:
                await snapshots.make()
                await some(harness, rng, 3)
            assert database.read(counted) == database.read(recounted)
            assert database.read(memory_tables.counted_to) is None
            found.append(database.read(counted))
    assert found[-1].producers
