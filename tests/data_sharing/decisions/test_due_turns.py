"""Who has a million things due keeps nobody else's waiting; each comes once, those of one tenant in
order of time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.decisions import plan_store, worker_tables
from data_sharing.decisions.due_turns import AT_ONCE, TENANTS_LOOKED_AT, DueTurns
from data_sharing.rules.results import Timer
from tests.support.decisions_harness import tables

NOW_MS = 1_000_000


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with tables(worker_tables.SCHEMA, plan_store.SCHEMA) as made:
        yield made


def timer(tenant: str, number: int, due_ms: int = 0) -> Timer:
    return Timer(tenant, f"r{number}", "debounce", "k", "", due_ms or number)


def in_turn() -> DueTurns[Timer]:
    return DueTurns(worker_tables.TIMERS, Timer)


def transaction(db: sqlite3.Connection, turns: DueTurns[Timer], most: int) -> list[Timer]:
    """What one that has time for so many does."""
    done = []
    for one in islice(turns.take(db, NOW_MS), most):
        worker_tables.drop_timers(db, [one.id])
        done.append(one)
    return done


@pytest.mark.parametrize("most", [1, 2, 5, AT_ONCE, 10 * AT_ONCE])
@pytest.mark.parametrize("others", [1, 3, 2 * AT_ONCE])
def test_a_tenant_with_one_timer_waits_for_a_single_one_of_each_other(db, most, others) -> None:
    """The many are of the tenant that comes first by name and by time."""
    few = [f"b{n:03d}" for n in range(others)]
    worker_tables.set_timers(db, [timer("a", n) for n in range(1, 20 * AT_ONCE)])
    worker_tables.set_timers(db, [timer(tenant, 1, NOW_MS - 1) for tenant in few])
    turns, done = in_turn(), list[Timer]()
    while len(done) < 4 * others + 4:
        done += transaction(db, turns, most)
    assert {one.tenant for one in done} == {"a", *few}
    last = max(place for place, one in enumerate(done) if one.tenant != "a")
    assert sum(one.tenant == "a" for one in done[:last]) <= 1 + others / min(others, AT_ONCE - 1)


@pytest.mark.parametrize("place", ["b", "m", "z"])
def test_it_is_found_behind_many_tenants_that_have_nothing_due(db, place) -> None:
    waiting = 5 * TENANTS_LOOKED_AT // 2
    worker_tables.set_timers(db, [timer("a", n) for n in range(1, 10 * AT_ONCE)])
    names = [f"{'cy'[n % 2]}{n}" for n in range(waiting)]
    worker_tables.set_timers(db, [timer(name, 1, NOW_MS + 1) for name in names])
    worker_tables.set_timers(db, [timer(place, 1, NOW_MS)])
    turns = in_turn()
    tenants = [{one.tenant for one in transaction(db, turns, 2)} for _ in range(5)]
    assert {place} <= set().union(*tenants) <= {"a", place}
    assert all(tenants)  # the others go on meanwhile


@given(
    counts=st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 150), max_size=9),
    undue=st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 3), max_size=9),
    mosts=st.lists(st.integers(1, 90), min_size=1, max_size=9),
)
@settings(max_examples=60, deadline=None)
def test_all_that_is_due_comes_once_and_turns_go_around(counts, undue, mosts) -> None:
    """While two tenants wait, neither has two turns more than the other."""
    with tables(worker_tables.SCHEMA) as db:
        for tenant, count in counts.items():
            worker_tables.set_timers(db, [timer(tenant, n) for n in range(1, count + 1)])
        for tenant, count in undue.items():
            later = [timer(tenant, 1_000 + n, NOW_MS + 1 + n) for n in range(count)]
            worker_tables.set_timers(db, later)
        turns, left, done = in_turn(), dict(counts), list[Timer]()
        had = dict.fromkeys(counts, 0)
        number = 0
        while some := transaction(db, turns, mosts[number % len(mosts)]):
            number += 1
            for one in some:
                had[one.tenant] += 1
                left[one.tenant] -= 1
                waiting = [had[tenant] for tenant, count in left.items() if count]
                if len(waiting) > 1 and sum(counts.values()) <= AT_ONCE:
                    assert max(waiting) - min(waiting) <= 1
            done += some
        assert left == dict.fromkeys(counts, 0)
        for tenant in counts:
            of_tenant = [one.due_ms for one in done if one.tenant == tenant]
            assert of_tenant == sorted(of_tenant)
        assert not worker_tables.due_timers(db, NOW_MS, 1)


@pytest.mark.parametrize("table", [worker_tables.TIMERS, plan_store.PLANS], ids=["timers", "plans"])
def test_looking_takes_a_step_along_an_index_for_each_tenant(db, table) -> None:
    """However many rows a tenant has: nothing is scanned."""
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    table.tenants(db, NOW_MS, after="a", to="m", limit=10)
    table.of(db, "a", NOW_MS, 10)
    table.page(db, NOW_MS, 10)
    db.set_trace_callback(None)
    assert len(asked) == 3
    for statement in asked:
        steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
        read = [step for step in steps if f" {table.name}" in step or " one" in step]
        assert read
        assert all(step.startswith("SEARCH") for step in read), steps
        assert not any("TEMP B-TREE" in step for step in steps), steps
