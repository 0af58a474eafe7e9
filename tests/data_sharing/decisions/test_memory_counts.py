"""Counts of what rules remember are what a recount of their cells says, whatever has happened."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_sharing.decisions import memory_tables, worker_tables
from data_sharing.decisions.forgetting import Forgetting
from data_sharing.decisions.memory_counting import MemoryCounting
from data_sharing.rules.cell_cache import NEVER_MS, CellId, CellWrite
from data_sharing.sharing.policies import Memory
from tests.support.decisions_harness import DecisionHarness, decision_harness, event, tables
from tests.support.memory_recount import counted, recounted
from tests.support.rule_harness import TENANT

RULES = """
forecasts: [{forecast: f, feed: traffic, value: event.data.minutes}]
rules:
  - rule: often
    watch: {e: {feed: traffic}}
    windows: {last: {over: 10m}}
    when: window.last.count >= 2
    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]
  - rule: once
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 2
    cooldown: 1h
    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]
"""
MEMORIES = [Memory(TENANT, "rule", "often"), Memory(TENANT, "forecast", "f")]
KEYS = [f"k{number}" for number in range(6)]

publishing = st.tuples(
    st.just("publish"),
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 5), st.sampled_from("ab")),
             min_size=1, max_size=6),
)  # fmt: skip
histories = st.lists(
    st.one_of(
        publishing,
        st.tuples(st.just("expire"), st.integers(1, 300)),
        st.tuples(st.just("undo"), st.sampled_from(KEYS)),
        st.tuples(st.just("forget"), st.sampled_from(MEMORIES)),
        st.tuples(st.just("sweep"), st.integers(1, 3)),
        st.tuples(st.just("withdraw"), st.sampled_from(KEYS)),
        st.tuples(st.just("retire"), st.booleans()),
        st.tuples(st.just("count"), st.integers(1, 3)),
    ),
    max_size=12,
)


AGAIN: list[tuple[str, object]] = [  # a key comes, goes when its time is over, and comes again
    ("publish", [("k0", 5, "a")]),
    ("expire", 300),
    ("publish", [("k0", 5, "a")]),
]


async def _do(harness: DecisionHarness, step: tuple[str, object], number: int) -> None:
    what, with_ = step
    worker, database = harness.worker, harness.database
    if what == "publish":
        assert isinstance(with_, list)
        await harness.publish(
            *(
                event({"minutes": minutes}, id=f"{number}-{at}", key=key, source=source,
                      time_ms=harness.clock())
                for at, (key, minutes, source) in enumerate(with_)
            )
        )  # fmt: skip
    elif what == "expire":
        assert isinstance(with_, int)
        harness.clock.now_ms += with_ * 60_000
        await worker.expire_state(limit=2)
    elif what == "undo":

        def fails(db: sqlite3.Connection) -> None:
            memory_tables.delete_cells(db, [CellId(*MEMORIES[0], str(with_))])
            worker.drop_cells([CellId(*MEMORIES[0], str(with_))])
            raise ValueError

        await asyncio.gather(database.transact(fails), return_exceptions=True)
    elif what == "forget":
        assert isinstance(with_, Memory)
        await database.transact(lambda db: worker.begin_anew(db, [with_]))
    elif what == "sweep":
        assert isinstance(with_, int)
        await Forgetting(database, worker, cells_at_once=with_).step()
    elif what == "withdraw":

        def deletes(db: sqlite3.Connection) -> None:
            cells = [CellId(*memory, str(with_)) for memory in MEMORIES]
            memory_tables.delete_cells(db, cells)
            worker.drop_cells(cells)

        # An event is decided in the same transaction, before and after.
        one, other = (event({"minutes": 5}, id=f"{number}{x}", key=str(with_)) for x in "ab")
        await asyncio.gather(
            harness.publish(one), database.transact(deletes), harness.publish(other)
        )
    elif what == "retire":
        harness.rules(RULES if with_ else RULES.split("  - rule: once")[0])
        await database.transact(lambda db: worker.begin_anew(db, [Memory(TENANT, "rule", "once")]))
    else:
        assert isinstance(with_, int)
        await MemoryCounting(database, worker, cells_at_once=with_).step()


async def _holds(folder: Path, history: list[tuple[str, object]], *, counted_first: bool) -> None:
    async with decision_harness(folder) as harness:
        harness.rules(RULES)
        harness.database.writer.execute("PRAGMA synchronous = OFF")  # nothing here is killed
        if not counted_first:  # as in a file of before
            await harness.database.transact(lambda db: db.execute("DELETE FROM memory_counting"))
        counting = MemoryCounting(harness.database, harness.worker, cells_at_once=2)
        while counted_first and not await counting.step():
            pass
        for number, step in enumerate(history):
            await _do(harness, step, number)
            if counted_first:
                assert harness.read(counted) == harness.read(recounted)
        while not await counting.step():
            pass
        assert harness.read(counted) == harness.read(recounted)


def _hold(history: list[tuple[str, object]], counted_first: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_holds(Path(folder), history, counted_first=counted_first))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories, counted_first=st.booleans())
@example(history=AGAIN, counted_first=True)
def test_counts_are_what_a_recount_says_after_any_history(history, counted_first) -> None:
    _hold(history, counted_first)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories, counted_first=st.booleans())
def test_counts_are_what_a_recount_says_after_any_of_many_histories(history, counted_first) -> None:
    _hold(history, counted_first)


def test_an_old_file_is_counted_in_steps_while_it_changes() -> None:
    with tables(worker_tables.SCHEMA) as db:
        cells = [CellId("t", "rule", "r", f"k{number}") for number in range(5)]
        rows = [(*cell, b"12345", None, "") for cell in cells]
        db.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        assert not memory_tables.count_some(db, 2)
        assert memory_tables.use_of(db, ("t", "rule", "r")) == (2, 10)
        # One that is counted, one that is not yet, and a new one on either side.
        worker_tables.store(db, [
            CellWrite(cells[0], b"123", NEVER_MS, 5), CellWrite(cells[4], b"1", NEVER_MS, 5),
            CellWrite(CellId("t", "rule", "r", "a"), b"1", NEVER_MS, 0, "/p"),
            CellWrite(CellId("t", "rule", "r", "z"), b"1", NEVER_MS, 0, "/p"),
        ])  # fmt: skip
        memory_tables.delete_cells(db, [cells[1], cells[3]])
        while not memory_tables.count_some(db, 2):
            pass
        assert counted(db) == recounted(db)
        assert memory_tables.made_by(db, ("t", "/p")) == (2, 2)
        assert memory_tables.counted_to(db) is None
