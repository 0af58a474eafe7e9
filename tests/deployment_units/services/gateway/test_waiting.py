"""What waits is counted as it comes and goes, and there is no more of it than may be."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.sqlite.schema import Schema, migrate
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.measures import TO_UNIT
from deployment_units.services.gateway.sending import OutboxFull
from deployment_units.services.gateway.waiting import (
    OutboxLimits,
    WaitingNow,
    waiting_now,
    waiting_of_account,
    waiting_of_tenant,
)
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import prepare
from tests.support.fakes.scripted_channel import LATER, TAKEN, ScriptedChannel
from tests.support.linked_units import LinkedUnit, enter, linked_units

TENANTS = ("talk", "other")
CARLA = "mailto:carla@mail.example"


def database() -> sqlite3.Connection:
    """With two owners in each tenant, 1 to 4."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db, [owners.SCHEMA], [kept.PART])
    for tenant in TENANTS:
        for account in ("anna", "ben"):
            owners.add(db, tenant, account, epoch=1, state=OwnerState.LIVE, now_ms=0)
    return db


def counted(db: sqlite3.Connection, tenant: str) -> int:
    """One by one."""
    found: int = db.execute(
        "SELECT count(*) FROM deliveries JOIN owners USING (owner)"
        " WHERE tenant = ? AND due_ms IS NOT NULL AND recipient <> ''",
        (tenant,),
    ).fetchone()[0]
    return found


steps = st.tuples(
    st.sampled_from(["add", "due", "over", "remove", "undone"]),
    st.integers(1, 4),  # owner
    st.integers(1, 3),  # position
    st.sampled_from(["ben", CARLA, kept.ITSELF]),
    st.integers(0, 9),  # due
)


@given(st.lists(steps, max_size=30))
def test_what_waits_is_what_is_counted_one_by_one(
    sequence: list[tuple[str, int, int, str, int]],
) -> None:
    db = database()
    for what, owner, position, recipient, due_ms in sequence:
        row = kept.find(db, owner, position, recipient)
        if what == "add" and row is None:
            kept.add(db, owner, position, recipient, due_ms or None)
        elif what == "undone" and row is None:
            db.execute("BEGIN")
            kept.add(db, owner, position, recipient, due_ms)
            db.execute("ROLLBACK")
        elif what == "remove":
            kept.remove(db, owner, position)
        elif row is not None and what in ("due", "over"):
            due = due_ms if what == "due" else None
            kept.put(db, owner, msgspec.structs.replace(row, due_ms=due))
    for tenant in TENANTS:
        assert waiting_of_tenant(db, tenant) == counted(db, tenant)
    assert waiting_now(db).number == sum(counted(db, tenant) for tenant in TENANTS)


def test_the_oldest_is_the_first_that_was_due_however_often_it_was_tried() -> None:
    db = database()
    assert waiting_now(db) == WaitingNow(0, None)
    for position, since_ms in ((1, 500), (2, 700)):
        kept.add(db, 1, position, "ben", since_ms)
    kept.hold_line(db, 1, "ben", 90_000)
    kept.add(db, 1, 3, kept.ITSELF, 5)  # nobody else waits for it
    assert waiting_now(db) == WaitingNow(2, 500)
    row = kept.find(db, 1, 1, "ben")
    assert row is not None
    kept.put(db, 1, msgspec.structs.replace(row, due_ms=None))
    assert waiting_now(db) == WaitingNow(1, 700)
    assert waiting_of_account(db, 1, most=5) == 1


def test_what_waited_in_an_older_file_counts() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    older = Schema(part=kept.PART.name, steps=kept.PART.schema.steps[:2])
    migrate(db, [owners.SCHEMA, older])
    owners.add(db, "talk", "anna", epoch=1, state=OwnerState.LIVE, now_ms=0)
    for position, due_ms in ((1, 10), (2, None)):
        db.execute(
            "INSERT INTO deliveries VALUES (1, ?, 'ben', ?, 0, '', '', '', '')", (position, due_ms)
        )
    prepare(db, [owners.SCHEMA], [kept.PART])
    assert waiting_of_tenant(db, "talk") == 1
    assert waiting_now(db) == WaitingNow(1, None)


def test_rows_of_an_older_stream_are_read() -> None:
    row = [1, "ben", 10, 0, "", "", "", ""]
    assert kept.PART.upgraded(1, "deliveries", row) == [("deliveries", [*row, None])]
    assert kept.PART.upgraded(2, "rules", [1, "{}"]) == [("rules", [1, "{}"])]


@pytest.fixture
async def london(tmp_path: Path) -> AsyncIterator[LinkedUnit]:
    limits = OutboxLimits(of_account=2, of_tenant=3)
    async with linked_units(tmp_path, "london", limits=limits) as (unit,):
        for account in ("anna", "ben"):
            await enter(unit, account)
        yield unit


async def test_more_than_may_wait_is_refused_and_nothing_of_it_kept(london: LinkedUnit) -> None:
    london.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, *([LATER] * 3), TAKEN, TAKEN)
    await london.send("anna", 1, "one", CARLA)
    await london.send("anna", 2, "two")
    with pytest.raises(OutboxFull, match="2 deliveries of this account") as full:
        await london.send("anna", 3, "three")
    assert full.value.retry_after_s
    assert [text for _, text in await london.read("anna")] == ["one", "two"]
    await london.send("ben", 4, "one", CARLA)
    with pytest.raises(OutboxFull, match="3 deliveries of this unit's accounts"):
        await london.send("ben", 5, "two")
    await london.send("ben", 6, "beside", "anna", talk=b"conversation-two")  # waits for nobody
    await london.settled()
    await london.pass_time(60.0)  # what went out makes room
    await london.send("anna", 3, "three")


async def test_what_comes_of_deliveries_is_counted(london: LinkedUnit) -> None:
    london.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, LATER, TAKEN)
    await london.send("anna", 1, "hello", CARLA)
    await london.send("anna", 2, "hello", "nina", talk=b"conversation-two")
    await london.settled()
    measures = london.measures
    assert measures.attempts == {("mail", "not_now"): 1, (TO_UNIT, "refused"): 1}
    assert measures.ended == {"undeliverable": 1}
    assert london.unit.database.read(waiting_now).number == 1
    await london.pass_time(60.0)
    assert measures.attempts["mail", "handed_over"] == 1
    assert measures.ended == {"undeliverable": 1, "handed_over": 1}
    assert london.unit.database.read(waiting_now) == WaitingNow(0, None)
