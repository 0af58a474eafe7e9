"""What a decision worker keeps between events, table by table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from data_sharing.decisions import memory_tables, worker_tables
from data_sharing.rules.cell_cache import NEVER_MS, CellId, CellWrite
from data_sharing.rules.results import Timer
from tests.support.decisions_harness import tables


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with tables(worker_tables.SCHEMA) as made:
        yield made


def cell(rule: str, key: str = "k", *, tenant: str = "acme", kind: str = "rule") -> CellId:
    return CellId(tenant, kind, rule, key)


def timer(rule: str, due_ms: int, token: str = "") -> Timer:
    return Timer("acme", rule, "debounce", "k", token, due_ms)


def test_each_take_over_gets_a_higher_fence_and_partitions_do_not_share_one(db) -> None:
    assert worker_tables.fence_of(db, "0") == 0
    assert [worker_tables.take_over(db, "0") for _ in range(3)] == [1, 2, 3]
    assert worker_tables.take_over(db, "1") == 1
    assert worker_tables.fence_of(db, "0") == 3


def test_how_far_a_log_is_decided_is_kept_by_tenant(db) -> None:
    assert worker_tables.decided_to(db, "acme") == (0, 0)
    worker_tables.set_decided_to(db, "acme", 5, 1_000)
    worker_tables.set_decided_to(db, "acme", 9, 2_000)
    worker_tables.set_decided_to(db, "other", 1, 500)
    assert worker_tables.decided_to(db, "acme") == (9, 2_000)
    assert worker_tables.decided_to(db, "other") == (1, 500)


def test_a_cell_is_written_replaced_and_deleted(db) -> None:
    first, second = cell("a"), cell("b")
    worker_tables.store(db, [CellWrite(first, b"1", NEVER_MS), CellWrite(second, b"2", NEVER_MS)])
    worker_tables.store(db, [CellWrite(first, b"3", NEVER_MS), CellWrite(second, None, NEVER_MS)])
    assert worker_tables.load(db, first) == (b"3", "")
    assert worker_tables.load(db, second) is None


def test_cells_expire_after_their_time_some_at_once_and_those_without_never(db) -> None:
    worker_tables.store(
        db,
        [CellWrite(cell("old", str(n)), b"x", 100) for n in range(3)]
        + [CellWrite(cell("young"), b"x", 200), CellWrite(cell("always"), b"x", NEVER_MS)],
    )
    assert memory_tables.expire(db, 100, 10) == []  # still means something at that moment
    assert len(memory_tables.expire(db, 101, 2)) == 2
    assert len(memory_tables.expire(db, 101, 2)) == 1
    assert memory_tables.expire(db, 201, 10) == [cell("young")]
    assert worker_tables.load(db, cell("always")) == (b"x", "")


def test_deleting_a_rule_leaves_others_their_cells_and_timers(db) -> None:
    kinds = [cell("a", kind="limit"), cell("a"), cell("a", kind="forecast"), cell("b")]
    worker_tables.store(db, [CellWrite(one, b"x", NEVER_MS) for one in kinds])
    worker_tables.set_timers(db, [timer("a", 1), timer("b", 2), timer("a/b", 3)])
    worker_tables.delete_limit(db, "acme", "a")
    assert worker_tables.delete_timers(db, "acme", "a", 9) == 1
    stored = (b"x", "")
    assert [worker_tables.load(db, one) for one in kinds] == [None, stored, stored, stored]
    assert worker_tables.due_timers(db, 10, 10) == [timer("b", 2), timer("a/b", 3)]


def test_deleting_health_leaves_what_the_rule_remembers(db) -> None:
    kinds = [cell("a"), cell("a", kind="health")]
    worker_tables.store(db, [CellWrite(one, b"x", NEVER_MS) for one in kinds])
    worker_tables.delete_health(db, "acme", "a")
    assert [worker_tables.load(db, one) for one in kinds] == [(b"x", ""), None]


def test_timers_come_due_in_order_and_one_with_the_same_id_is_replaced(db) -> None:
    worker_tables.set_timers(db, [timer("b", 30), timer("a", 20), timer("c", 40)])
    worker_tables.set_timers(db, [timer("a", 35)])
    assert worker_tables.due_timers(db, 29, 10) == []
    assert worker_tables.due_timers(db, 40, 10) == [timer("b", 30), timer("a", 35), timer("c", 40)]
    assert worker_tables.due_timers(db, 40, 1) == [timer("b", 30)]
    worker_tables.drop_timers(db, [timer("b", 30).id, "no such timer"])
    assert worker_tables.due_timers(db, 40, 1) == [timer("a", 35)]


def test_timers_of_one_key_are_told_apart_by_their_tokens(db) -> None:
    worker_tables.set_timers(db, [timer("a", 20, "x"), timer("a", 20, "y")])
    assert {one.token for one in worker_tables.due_timers(db, 20, 10)} == {"x", "y"}
