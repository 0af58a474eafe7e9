"""The group-commit engine: groups, savepoints, what is undone and who is told, one owner."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import OutcomeUnknown, Refused, StoreUnavailable
from control_plane.sqlite import engine as engines
from control_plane.sqlite.engine import GROUP_LIMIT, UNDO_WORK, Engine
from tests.support.engines import FailingConnection, Work, open_engine, put, words


async def outcomes(engine: Engine, *works: Work) -> list[Any]:
    return await asyncio.gather(*map(engine.transact, works), return_exceptions=True)


def break_writer(engine: Engine, start: str) -> Callable[[], None]:
    """Makes statements that start so fail; what it returns mends it."""
    whole: Any = engine.writer
    broken: Any = FailingConnection(whole, start)
    engine.writer = broken
    return lambda: setattr(engine, "writer", whole)


async def test_works_that_gather_share_transactions_of_limited_size(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    assert await outcomes(engine, *(put(f"w{n}") for n in range(2 * GROUP_LIMIT))) == (
        [1] * 2 * GROUP_LIMIT
    )
    assert engine.groups == 2
    await engine.close()


async def test_who_has_many_works_waiting_makes_others_wait_for_one_of_them(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "words.db")
    done = list[str]()

    def noted(name: str) -> Work:
        return lambda _: done.append(name)

    many = [engine.submit(noted(f"many{n}"), of="shop") for n in range(3 * GROUP_LIMIT)]
    other = [engine.submit(noted(f"other{n}"), of="bank") for n in range(2)]
    await asyncio.gather(*other)
    assert done.index("other1") < 4
    await asyncio.gather(*many)
    assert [one for one in done if one.startswith("many")] == [f"many{n}" for n in range(len(many))]
    await engine.close()


async def test_a_transaction_that_has_lasted_long_enough_gets_no_further_work(
    tmp_path: Path,
) -> None:
    engine = open_engine(tmp_path / "a.db", group_s=0.0)
    await outcomes(engine, *(put(f"w{n}") for n in range(5)))
    assert engine.groups == 5
    await engine.close()


async def test_a_work_that_fails_is_undone_alone_and_listeners_hear_of_it(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    heard: list[str] = []
    engine.on_undo.append(lambda: heard.append("undo"))
    engine.on_rollback.append(lambda: heard.append("rollback"))
    engine.on_commit.append(lambda: heard.append("commit"))

    def half(db: sqlite3.Connection) -> None:
        put("half")(db)
        raise KeyError("stop")

    found = await outcomes(engine, put("a"), half, put("b"))
    assert [type(one) for one in found] == [int, KeyError, int]
    assert words(engine) == ["a", "b"]
    assert heard == ["undo", "commit"]
    assert engine.connected
    await engine.close()


async def test_a_listener_that_fails_stops_no_other_and_no_commit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(tmp_path / "a.db")
    heard: list[str] = []

    def fails() -> None:
        raise KeyError("a listener")

    engine.on_commit += [fails, lambda: heard.append("commit")]
    engine.on_undo += [fails, lambda: heard.append("undo")]

    def stop(db: sqlite3.Connection) -> None:
        raise KeyError("stop")

    for work, kind in ((put("a"), int), (stop, KeyError), (put("b"), int)):
        assert [type(one) for one in await outcomes(engine, work)] == [kind]
    assert words(engine) == ["a", "b"]
    assert heard.count("undo") == 1
    assert heard.count("commit") >= 2
    assert "a listener of a database failed" in caplog.text
    await engine.close()


async def test_a_work_can_undo_itself_and_go_on(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")

    def change_of_mind(db: sqlite3.Connection) -> str:
        put("first")(db)
        db.execute(UNDO_WORK)
        put("second")(db)
        return "done"

    assert await outcomes(engine, put("a"), change_of_mind) == [1, "done"]
    assert words(engine) == ["a", "second"]
    await engine.close()


async def test_what_is_called_before_the_commit_is_in_the_transaction(tmp_path: Path) -> None:
    engine: Engine

    def stamp() -> None:
        engine.writer.execute("INSERT INTO words VALUES (?)", (f"stamp {engine.groups}",))

    engine = open_engine(tmp_path / "a.db", before_commit=stamp)
    await outcomes(engine, put("a"), put("b"))
    await outcomes(engine, put("c"))
    assert words(engine) == ["a", "b", "c", "stamp 0", "stamp 1"]
    await engine.close()


async def test_a_work_that_finds_no_room_is_told_and_later_ones_find_it(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    pages = engine.writer.execute("PRAGMA page_count").fetchone()[0]
    engine.writer.execute(f"PRAGMA max_page_count = {pages + 2}")  # as a disk that is full
    (full,) = await outcomes(engine, put("x" * 100_000))
    assert type(full) is StoreUnavailable
    assert "full" in full.message
    engine.writer.execute("PRAGMA max_page_count = 1000000")
    assert await outcomes(engine, put("x" * 100_000)) == [1]
    assert engine.connected
    await engine.close()


async def test_a_work_that_ends_the_transaction_takes_its_group_with_it(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    heard: list[str] = []
    engine.on_undo.append(lambda: heard.append("undo"))
    engine.on_rollback.append(lambda: heard.append("rollback"))

    def end(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")  # as SQLite itself does for some errors
        raise sqlite3.OperationalError("disk I/O error")

    found = await outcomes(engine, put("a"), end, put("b"))
    assert [type(one) for one in found] == [StoreUnavailable, StoreUnavailable, int]
    assert words(engine) == ["b"]
    assert heard == ["rollback", "undo"]
    await engine.close()


async def test_a_sync_that_fails_leaves_the_outcome_unknown_and_nothing_remembered(
    tmp_path: Path,
) -> None:
    engine = open_engine(tmp_path / "a.db")
    mend = break_writer(engine, "COMMIT")

    def refuse(db: sqlite3.Connection) -> None:
        raise KeyError("stop")

    found = await outcomes(engine, put("a"), refuse, put("b"))
    assert [type(one) for one in found] == [OutcomeUnknown, KeyError, OutcomeUnknown]
    assert not engine.connected
    assert engine.groups == 0
    mend()
    assert await outcomes(engine, put("a")) == [1]
    assert engine.connected
    assert words(engine) == ["a"]
    await engine.close()


async def test_a_transaction_that_cannot_begin_is_told_to_each_that_waits(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    mend = break_writer(engine, "BEGIN")
    found = await outcomes(engine, put("a"), put("b"))
    assert [type(one) for one in found] == [StoreUnavailable, StoreUnavailable]
    mend()
    assert await outcomes(engine, put("a")) == [1]
    await engine.close()


async def test_a_caller_that_stops_waiting_stops_nobody_else(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    impatient = asyncio.create_task(engine.transact(put("a")))
    patient = asyncio.create_task(engine.transact(put("b")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 1
    assert words(engine) == ["a", "b"]
    await engine.close()


async def test_reads_are_as_of_one_commit_and_cannot_write(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    kept = engine.submit(put("a"))
    assert words(engine) == []
    await kept
    assert words(engine) == ["a"]
    with engine.snapshot(), sqlite3.connect(tmp_path / "a.db") as other:
        before = engine.reader.execute("SELECT count(*) FROM words").fetchone()
        other.execute("INSERT INTO words VALUES ('b')")
        other.commit()
        assert engine.reader.execute("SELECT count(*) FROM words").fetchone() == before
    assert words(engine) == ["a", "b"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        engine.read(put("c"))
    await engine.close()


async def test_closing_finishes_what_was_handed_in_and_refuses_what_comes_later(
    tmp_path: Path,
) -> None:
    engine = open_engine(tmp_path / "a.db")
    kept = [engine.submit(put(f"w{n}")) for n in range(3 * GROUP_LIMIT)]
    await engine.close()
    await engine.close()
    assert [one.result() for one in kept] == [1] * len(kept)
    for late in (engine.transact(put("late")), asyncio.to_thread(engine.read, put("late"))):
        with pytest.raises(StoreUnavailable, match="closed"):
            await late
    engine = open_engine(tmp_path / "a.db")
    assert len(words(engine)) == len(kept)
    await engine.close()


async def test_one_process_owns_the_file_until_it_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.db"
    engine = open_engine(path)
    with pytest.raises(Refused, match="another process"):
        open_engine(path)
    await engine.close()
    await open_engine(path).close()


async def test_a_file_that_is_no_database_is_refused_and_its_lock_let_go(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Refused, match="move it away"):
        open_engine(path)
    path.unlink()
    await open_engine(path).close()


async def test_what_could_not_be_written_is_tried_again_though_nobody_hands_in_a_work(
    tmp_path: Path,
) -> None:
    engine = open_engine(tmp_path / "a.db", try_again_s=0.01)
    await engine.transact(put("a"))
    mend = break_writer(engine, "COMMIT")
    with pytest.raises(OutcomeUnknown):
        await engine.transact(put("b"))
    committed = asyncio.Event()
    engine.on_commit.append(committed.set)
    undone = asyncio.Event()
    engine.on_rollback.append(undone.set)
    async with asyncio.timeout(20):
        await undone.wait()  # a try that failed
    assert not engine.connected
    assert not committed.is_set()
    mend()
    async with asyncio.timeout(20):
        await committed.wait()
    assert engine.connected
    groups = engine.groups
    await asyncio.sleep(0.05)
    assert engine.groups == groups  # while it can be written nothing is tried
    assert words(engine) == ["a"]
    await engine.close()


async def test_a_work_that_does_not_fit_is_a_failure_to_write_though_its_transaction_ends_well(
    tmp_path: Path,
) -> None:
    engine = open_engine(tmp_path / "a.db")

    def too_large(db: sqlite3.Connection) -> None:
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise full

    def mistaken(db: sqlite3.Connection) -> None:
        db.execute("SELECT * FROM nothing")

    found = await outcomes(engine, put("a"), mistaken)
    assert [type(one) for one in found] == [int, StoreUnavailable]
    assert (engine.connected, engine.failures) == (True, 0)
    found = await outcomes(engine, put("b"), too_large)
    assert [type(one) for one in found] == [int, StoreUnavailable]
    assert (engine.connected, engine.failures) == (False, 1)
    await engine.transact(put("c"))
    assert (engine.connected, engine.failures) == (True, 1)
    await engine.close()


async def test_a_page_that_fits_is_no_proof_where_the_disk_has_no_room(tmp_path: Path) -> None:
    free = engines.ROOM_BYTES - 1
    engine = open_engine(tmp_path / "a.db", try_again_s=0.01, free_bytes=lambda folder: free)
    mend = break_writer(engine, "COMMIT")
    with pytest.raises(OutcomeUnknown):
        await engine.transact(put("a"))
    mend()
    tried = asyncio.Event()
    engine.on_commit.append(tried.set)
    async with asyncio.timeout(20):
        await tried.wait()
    assert not engine.connected
    free = engines.ROOM_BYTES
    tried.clear()
    async with asyncio.timeout(20):
        await tried.wait()
    assert engine.connected
    await engine.close()


async def test_a_transaction_that_writes_nothing_is_no_proof_that_it_could(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    mend = break_writer(engine, "COMMIT")
    with pytest.raises(OutcomeUnknown):
        await engine.transact(put("a"))
    mend()
    await engine.transact(lambda db: db.execute("SELECT * FROM words").fetchall())
    assert not engine.connected
    await engine.transact(put("a"))
    assert engine.connected
    await engine.close()
