"""The audit log in a SQLite file: the contract, and whatever is done to the file is found."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from control_plane.audit.change import AuditedChange, changing
from control_plane.audit.entry import AuditPhase, Transactions, decode_entry
from control_plane.audit.port import AuditLog
from control_plane.audit.sqlite_log import SCHEMA, SqliteAuditLog, marking
from control_plane.errors import Refused, Unavailable
from control_plane.sqlite.engine import Engine
from control_plane.sqlite.schema import migrate
from tests.support.audit_chains import TAMPERINGS, asked
from tests.support.contracts.audit_log_contract import AuditLogContract, Wall, all_of, fault


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sharing.db"


@pytest.fixture
async def engine(file: Path) -> AsyncIterator[Engine]:
    opened = Engine(file, prepare=lambda db: migrate(db, [SCHEMA]), page_bytes=4096)
    yield opened
    await opened.close()


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def others(engine: Engine, wall: Wall) -> Callable[[], AuditLog]:
    numbers = count()
    return lambda: SqliteAuditLog(
        engine, wall_ms=lambda: wall.now_ms, new_id=lambda: f"trim-{next(numbers)}"
    )


@pytest.fixture
def audit_log(others: Callable[[], AuditLog]) -> AuditLog:
    return others()


@pytest.fixture
def successor(others: Callable[[], AuditLog]) -> Callable[[], Awaitable[AuditLog]]:
    async def made() -> AuditLog:
        return others()

    return made


class TestSqliteAuditLog(AuditLogContract):
    """The contract."""


def rewrite(file: Path, *statements: tuple[str, tuple]) -> None:
    """As somebody would who can write the file."""
    with sqlite3.connect(file) as db:
        for statement, values in statements:
            db.execute(statement, values)


@pytest.mark.parametrize("kind", TAMPERINGS.values(), ids=TAMPERINGS.keys())
async def test_each_kind_of_tampering_with_the_file_is_found(file, audit_log, kind):
    for number in range(6):
        await audit_log.append(asked(number))
    rewrite(
        file,
        ("DELETE FROM audit_entries", ()),
        *(
            ("INSERT INTO audit_entries VALUES (?, ?, ?)", (one.sequence, one.content, one.hash))
            for one in kind(await all_of(audit_log), 2)
        ),
    )
    assert await fault(audit_log) == 3


async def test_entries_that_are_gone_from_the_end_or_the_beginning_are_missed(file, audit_log):
    for number in range(4):
        await audit_log.append(asked(number))
    rewrite(file, ("DELETE FROM audit_entries WHERE sequence > 2", ()))
    assert await fault(audit_log) == 3
    rewrite(file, ("DELETE FROM audit_entries WHERE sequence = 1", ()))
    assert await fault(audit_log) == 1


async def test_a_head_that_is_gone_lets_nobody_write_over_the_log(file, audit_log):
    await audit_log.append(asked(1))
    rewrite(file, ("DELETE FROM audit_points", ()))
    with pytest.raises(Unavailable, match="damaged"):
        await audit_log.append(asked(2))
    assert len(await all_of(audit_log)) == 1


async def test_a_file_that_is_closed_is_told(engine: Engine, audit_log):
    await engine.close()
    with pytest.raises(Unavailable):
        await audit_log.append(asked(1))


@pytest.fixture
async def marked_engine(engine: Engine) -> Engine:
    """With a table in which a test changes something."""
    engine.around = marking
    await engine.transact(lambda db: db.execute("CREATE TABLE things (name TEXT)") and None)
    return engine


def write(db: sqlite3.Connection) -> int:
    return db.execute("INSERT INTO things VALUES ('x')").rowcount


def write_and_raise(db: sqlite3.Connection) -> int:
    write(db)
    raise Refused("not this one")


def look(db: sqlite3.Connection) -> int:
    return len(db.execute("SELECT * FROM things").fetchall())


@pytest.mark.parametrize(
    ("works", "transactions", "phase"),
    [
        pytest.param([], Transactions.ONE, "failed", id="before-the-change"),
        pytest.param([look], Transactions.ONE, "failed", id="it-only-looked"),
        pytest.param([write_and_raise], Transactions.ONE, "failed", id="the-change-was-undone"),
        pytest.param([look, write], Transactions.ONE, "done", id="after-the-change"),
        pytest.param([], Transactions.SEVERAL, "failed", id="before-the-first-of-several"),
        pytest.param([write], Transactions.SEVERAL, "unknown", id="after-one-of-several"),
        pytest.param([write], Transactions.UNMARKED, "unknown", id="nobody-marks-it"),
    ],
)
@pytest.mark.parametrize("died", [True, False], ids=["the-server-died", "it-does-not-know"])
async def test_a_change_of_the_file_decides_its_own_outcome(
    marked_engine: Engine, others, audit_log, works, transactions, phase: str, died: bool
):
    entry = asked(1, transactions=transactions)
    entry = replace(entry, sequence=await audit_log.append(entry))
    change = AuditedChange(marked=transactions is not Transactions.UNMARKED)
    change.sequence = entry.sequence
    with changing(change):
        for work in works:
            with suppress(Refused):
                await marked_engine.transact(work)
    if died:
        assert await others().end_abandoned(set()) == 1
    else:
        outcome = replace(entry, id="own", phase=AuditPhase.UNKNOWN, asked=entry.sequence)
        assert await audit_log.append(outcome) == 2
    page = await audit_log.read(after=0, limit=9)
    assert decode_entry(page.records[-1].content).phase == phase
    assert page.open == set()


async def test_a_transaction_that_comes_after_its_outcome_changes_nothing(
    marked_engine: Engine, others, audit_log
):
    change = AuditedChange(marked=True)
    change.sequence = await audit_log.append(asked(1, transactions=Transactions.ONE))
    assert await others().end_abandoned(set()) == 1
    with changing(change), pytest.raises(Unavailable, match="has its outcome already"):
        await marked_engine.transact(write)
    assert marked_engine.read(look) == 0
    assert await audit_log.append(
        replace(asked(2), phase=AuditPhase.DONE, asked=change.sequence)
    ) == 0  # fmt: skip
