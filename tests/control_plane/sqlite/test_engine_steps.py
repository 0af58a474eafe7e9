"""Works in steps: the event loop comes to what else is ready between two of them, and what they
write is one work's nevertheless. And who waits for the sync is not waited for by the interpreter.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import OutcomeUnknown
from control_plane.short_switches import SWITCH_S
from tests.support.engines import FailingConnection, open_engine, put, words


async def test_between_two_steps_is_everything_else_that_is_ready(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    loop, order = asyncio.get_running_loop(), list[str]()

    def steps(db: sqlite3.Connection) -> Generator[None, None, int]:
        for number in range(3):
            put(f"step{number}")(db)
            order.append(f"step{number}")
            loop.call_soon(order.append, f"after step{number}")
            yield
        return 7

    assert await engine.submit_steps(steps) == 7
    assert order == [f"{when}step{n}" for n in range(3) for when in ("", "after ")]
    assert engine.groups == 1, "all of it is one transaction"
    assert words(engine) == ["step0", "step1", "step2"]
    await engine.close()


async def test_what_is_handed_in_between_two_steps_comes_after_all_of_them(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    seen = list[list[str]]()
    later = list[asyncio.Future[Any]]()

    def look(db: sqlite3.Connection) -> None:
        found = db.execute("SELECT word FROM words ORDER BY word").fetchall()
        seen.append([word for (word,) in found])

    def steps(db: sqlite3.Connection) -> Generator[None, None, None]:
        put("a")(db)
        later.append(engine.submit(look))
        yield
        assert words(engine) == [], "nothing is committed so far"
        put("b")(db)

    await engine.submit_steps(steps)
    await asyncio.gather(*later)
    assert seen == [["a", "b"]]
    await engine.close()


async def test_a_failing_step_undoes_those_before_it_and_no_other_work(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    undone = list[str]()
    engine.on_undo.append(lambda: undone.append("undone"))

    def steps(db: sqlite3.Connection) -> Generator[None, None, None]:
        put("a")(db)
        yield
        put("a")(db)

    first = engine.submit(put("before"))
    failing = engine.submit_steps(steps)
    last = engine.submit(put("after"))
    assert [await first, await last] == [1, 1]
    with pytest.raises(sqlite3.IntegrityError):
        await failing
    assert (words(engine), undone, engine.groups) == (["after", "before"], ["undone"], 1)
    await engine.close()


async def test_closing_finishes_what_is_between_two_steps(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    between = asyncio.Event()

    def steps(db: sqlite3.Connection) -> Generator[None, None, str]:
        put("a")(db)
        between.set()
        yield
        put("b")(db)
        return "done"

    answer = engine.submit_steps(steps)
    await between.wait()
    await engine.close()
    assert await answer == "done"
    engine = open_engine(tmp_path / "a.db")
    assert words(engine) == ["a", "b"]
    await engine.close()


class _Watched(FailingConnection):
    """Says how long threads have the interpreter where a transaction is committed."""

    def __init__(self, connection: sqlite3.Connection, start: str) -> None:
        super().__init__(connection, start)
        self.intervals = list[float]()

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        if statement == "COMMIT":
            self.intervals.append(sys.getswitchinterval())
        return super().execute(statement, values)


@pytest.mark.parametrize("fails", [False, True], ids=["and it ends well", "and it fails"])
async def test_while_a_transaction_is_synced_threads_take_short_turns(
    tmp_path: Path, fails: bool
) -> None:
    engine = open_engine(tmp_path / "a.db")
    usual_s = sys.getswitchinterval()
    whole: Any = engine.writer
    watched = _Watched(whole, "COMMIT" if fails else "nothing")
    engine.writer = watched  # type: ignore[assignment]
    written = await asyncio.gather(engine.transact(put("a")), return_exceptions=True)
    assert isinstance(written[0], OutcomeUnknown) is fails
    assert watched.intervals == [pytest.approx(SWITCH_S)]
    assert sys.getswitchinterval() == usual_s
    engine.writer = whole
    await engine.close()
