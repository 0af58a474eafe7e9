"""The audit log in a SQLite file: the contract, and whatever is done to the file is found."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from control_plane.audit.port import AuditLog
from control_plane.audit.sqlite_log import SCHEMA, SqliteAuditLog
from control_plane.errors import Unavailable
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
