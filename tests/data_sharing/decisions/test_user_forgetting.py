"""What is forgotten at a user's keys is dead at once, and what is kept there since is not."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.decisions import memory_tables, user_forgetting, worker_tables
from data_sharing.decisions.forgetting import Forgetting
from data_sharing.decisions.user_forgetting import MOST_PENDING, UserForgetting
from data_sharing.rules.cell_id import CellId
from data_sharing.sharing.policies import Memory
from tests.support.consenting_users import RULE, Governed, governed, policy
from tests.support.decisions_harness import tables
from tests.support.rule_harness import TENANT

RULES = 7
MANY = RULE.split("rules:")[1]
DOCUMENT = "rules:" + "".join(MANY.replace("rule: r", f"rule: r{n}") for n in range(RULES))
MEMORIES = [Memory(TENANT, "rule", f"r{n}") for n in range(4)]
KEYS = ("anna", "ben")


def cells(made: Governed, key: str = "anna") -> int:
    """At how many memories something is kept at the key."""
    (count,) = made.harness.read(
        lambda db: db.execute(
            "SELECT count(*) FROM cells WHERE kind = 'rule' AND key = ?", (key,)
        ).fetchone()
    )
    return int(count)


@contextmanager
def forgetting() -> Iterator[tuple[UserForgetting, sqlite3.Connection]]:
    """With whom everything goes bit by bit."""
    with tables(worker_tables.SCHEMA, user_forgetting.SCHEMA) as db:
        found = UserForgetting(at_once=0)
        found.join_transaction(db)
        yield found, db


def put(db: sqlite3.Connection, cell: CellId, content: bytes = b"x") -> None:
    db.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, NULL, '')", (*cell, content))


async def begun(made: Governed) -> None:
    """Anna has withdrawn; each rule keeps 5 minutes of her and 1 of ben."""
    made.harness.worker.state.forgotten = UserForgetting(at_once=3)
    made.rules(DOCUMENT)
    await made.sharing.apply(TENANT, [policy()])
    (_, lamp), _ = await made.consent("anna"), await made.consent("ben")
    await made.publish(5, key="anna")
    await made.publish(1, key="ben")
    await made.sharing.withdraw(TENANT, "anna", lamp.id)
    await made.consent("anna")


async def test_it_is_dead_at_once_and_deleted_so_many_in_a_transaction(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        await begun(made)
        assert (cells(made), cells(made, "ben")) == (RULES, RULES)
        sweep = Forgetting(made.harness.database, made.harness.worker, cells_at_once=2)
        await made.publish(2, key="anna")
        await made.publish(2, key="ben")
        assert set(made.settings[2 * RULES : 3 * RULES]) == {2}  # and nothing of the 5
        assert set(made.settings[3 * RULES :]) == {3}
        steps = 0
        while await sweep.step():
            steps += 1
        assert steps >= RULES  # two names of her at each
        assert (cells(made), cells(made, "ben")) == (RULES, RULES)
        await made.publish(3, key="anna")
        assert set(made.settings[4 * RULES :]) == {5}


async def test_what_nobody_keeps_anew_goes(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        await begun(made)
        sweep, left = Forgetting(made.harness.database, made.harness.worker, cells_at_once=2), []
        while await sweep.step():
            left.append(cells(made))
        assert all(before - after <= 2 for before, after in itertools.pairwise(left))
        assert (left[-1], cells(made, "ben")) == (0, RULES)
        uses = made.harness.read(lambda db: memory_tables.use_of(db, ("home", "", "")))
        assert uses.keys == RULES


async def test_a_server_that_is_killed_goes_on_and_keeps_what_came_since(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        await begun(made)
        await made.publish(2, key="anna")
        sweep = Forgetting(made.harness.database, made.harness.worker, cells_at_once=2)
        assert await sweep.step()
    async with governed(tmp_path) as made:
        made.rules(DOCUMENT)
        await made.harness.publish()
        sweep = Forgetting(made.harness.database, made.harness.worker, cells_at_once=2)
        while await sweep.step():
            pass
        assert (cells(made), cells(made, "ben")) == (RULES, RULES)


async def test_a_withdrawal_that_is_undone_forgets_nothing(tmp_path: Path) -> None:
    async with governed(tmp_path) as made:
        worker = made.harness.worker
        await begun(made)

        def fail(db: sqlite3.Connection) -> None:
            worker.join_transaction(db)
            keys = {Memory(TENANT, "rule", f"r{n}"): {"ben"} for n in range(RULES)}
            worker.state.forgotten.begin(db, TENANT, keys)
            worker.drop_cells(CellId(*memory, "ben") for memory in keys)
            raise sqlite3.OperationalError("the disk is full")

        with pytest.raises(Exception, match="disk is full"):
            await made.harness.database.transact(fail)
        await made.publish(2, key="ben")
        assert set(made.settings[-RULES:]) == {3}


def test_of_too_many_users_all_goes_at_once() -> None:
    with forgetting() as (found, db):
        for number in range(MOST_PENDING + 1):
            put(db, CellId(TENANT, "rule", "r0", f"u{number}"))
            found.begin(db, TENANT, {MEMORIES[0]: {f"u{number}"}})
        (left,) = db.execute("SELECT count(*) FROM cells").fetchone()
        assert left == MOST_PENDING


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from(MEMORIES), st.sampled_from(KEYS)),
            st.tuples(
                st.just("forget"),
                st.lists(st.sampled_from(MEMORIES), unique=True, min_size=1),
                st.sets(st.sampled_from(KEYS), min_size=1),
            ),
            st.tuples(st.just("sweep"), st.integers(1, 3), st.none()),
            st.tuples(st.just("again"), st.none(), st.none()),
        ),
        max_size=30,
    )
)
def test_it_is_as_if_it_were_deleted_at_once(steps: list[tuple[str, object, object]]) -> None:
    """Whatever is kept, forgotten, deleted, and known anew, in whichever order."""
    model = dict[CellId, bytes]()
    with forgetting() as (found, db):
        for number, (what, one, other) in enumerate(steps):
            if what == "put":
                cell = CellId(*one, other)  # type: ignore[misc]
                found.take(db, cell)  # whoever keeps something reads first
                model[cell] = str(number).encode()
                put(db, cell, model[cell])
            elif what == "forget":
                found.begin(db, TENANT, {memory: set(other) for memory in one})  # type: ignore
                for memory in one:  # type: ignore[attr-defined]
                    for key in other:  # type: ignore[attr-defined]
                        model.pop(CellId(*memory, key), None)
            elif what == "sweep":
                found.sweep(db, one)  # type: ignore[arg-type]
            else:
                found.undone()
                found.join_transaction(db)
        for memory in MEMORIES:
            for key in KEYS:
                cell = CellId(*memory, key)
                dead = found.take(db, cell)
                stored = None if dead else worker_tables.load(db, cell)
                assert (stored and stored.content) == model.get(cell)
        while found:
            found.sweep(db, 2)
        rows = db.execute("SELECT tenant, kind, name, key, content FROM cells").fetchall()
        assert {CellId(*row[:4]): row[4] for row in rows} == model
        assert not user_forgetting.is_pending(db)
