"""Changes of accounts: in one transaction with the look at who lives here, and within a quota."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deployment_units.services.accounts.accounts import (
    NOBODY,
    AccountFull,
    AccountLeaving,
    Accounts,
    StaleEpoch,
)
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.state.parts import MAX_ROW_BYTES
from deployment_units.services.state.port import read_state, replace_state
from tests.support.account_units import MOST_BYTES, TENANT, AccountUnit, account_unit

ALICE = Resident(tenant=TENANT, account="alice", epoch=1, first_ms=5_000)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        yield one


def knows(name: str):
    def work(db: sqlite3.Connection, owner: int) -> int:
        db.execute("INSERT OR REPLACE INTO contacts VALUES (?, ?, 1)", (owner, name))
        return owner

    return work


def known(db: sqlite3.Connection, owner: int) -> list[str]:
    return [one for (one,) in db.execute("SELECT account FROM contacts WHERE owner = ?", (owner,))]


def contacts(unit: AccountUnit, resident: Resident = ALICE) -> list[str]:
    return unit.accounts.read(resident, known)


async def test_an_account_begins_with_its_first_change(unit: AccountUnit) -> None:
    assert unit.accounts.read(ALICE, lambda db, owner: owner) == NOBODY
    number = await unit.accounts.change(ALICE, knows("bob"))
    assert await unit.accounts.change(ALICE, knows("carol")) == number
    assert contacts(unit) == ["bob", "carol"]
    assert contacts(unit, replace(ALICE, tenant="other")) == []


async def test_a_change_that_fails_leaves_nothing(unit: AccountUnit) -> None:
    def fails(db: sqlite3.Connection, owner: int) -> None:
        knows("bob")(db, owner)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await unit.accounts.change(ALICE, fails)
    assert unit.accounts.read(ALICE, lambda db, owner: owner) == NOBODY


async def test_what_is_leaving_is_read_and_not_changed(unit: AccountUnit) -> None:
    await unit.accounts.change(ALICE, knows("bob"))
    sent = await read_state(unit.state, TENANT, "alice")
    with pytest.raises(AccountLeaving) as refused:
        await unit.accounts.change(ALICE, knows("carol"))
    assert refused.value.retry_after_s
    assert contacts(unit) == ["bob"]
    assert await read_state(unit.state, TENANT, "alice") == sent


async def test_an_account_without_state_does_not_begin_while_it_leaves(unit: AccountUnit) -> None:
    assert await read_state(unit.state, TENANT, "alice") == b""
    with pytest.raises(AccountLeaving):
        await unit.accounts.change(ALICE, knows("bob"))


async def test_it_goes_on_where_it_arrives(tmp_path: Path, unit: AccountUnit) -> None:
    await unit.accounts.change(ALICE, knows("bob"))
    sent = await read_state(unit.state, TENANT, "alice")
    async with account_unit(tmp_path / "v", "v") as there:
        await replace_state(there.state, TENANT, "alice", 2, sent)
        with pytest.raises(StaleEpoch):  # a ticket that is for the first assignment
            await there.accounts.change(ALICE, knows("carol"))
        moved = Resident(tenant=TENANT, account="alice", epoch=2, first_ms=5_000)
        await there.accounts.change(moved, knows("carol"))
        assert contacts(there, moved) == ["bob", "carol"]


async def test_the_next_life_of_an_id_sees_nothing_of_the_one_before(unit: AccountUnit) -> None:
    await unit.accounts.change(ALICE, knows("bob"))
    unit.now += 10
    heir = Resident(tenant=TENANT, account="alice", epoch=1, first_ms=9_000)
    assert contacts(unit, heir) == []  # before it has changed anything, too
    await unit.accounts.change(heir, knows("dave"))
    assert contacts(unit, heir) == ["dave"]
    with pytest.raises(StaleEpoch):
        contacts(unit)
    with pytest.raises(StaleEpoch):
        await unit.accounts.change(ALICE, knows("eve"))
    await unit.state.delete_gone()
    left = unit.database.read(lambda db: db.execute("SELECT count(*) FROM contacts").fetchone()[0])
    assert left == 1


async def test_an_account_has_its_quota_and_can_make_room(unit: AccountUnit) -> None:
    name = "x" * 1_000

    async def fill() -> int:
        for n in range(MOST_BYTES):
            try:
                await unit.accounts.change(ALICE, knows(f"{n:05d}{name}"))
            except AccountFull:
                return n
        raise AssertionError("it is never full")

    count = await fill()
    assert count == MOST_BYTES // (1_000 + 5 + 8 + 5 + 9)
    # Others have theirs, and what was kept can be sent and taken.
    bob = Resident(tenant=TENANT, account="bob", epoch=1)
    await unit.accounts.change(bob, knows("alice"))
    sent = await read_state(unit.state, TENANT, "alice")
    assert len(sent) <= MOST_BYTES + 100
    unit.now += 91
    await unit.staying.look()
    await unit.accounts.change(
        ALICE, lambda db, owner: db.execute("DELETE FROM contacts WHERE owner = ?", (owner,))
    )
    assert await fill() == count


async def test_what_a_change_could_take_at_most_is_not_more_than_it_counts_for(
    unit: AccountUnit,
) -> None:
    """An account that is far from full is not measured, and is full all the same at the byte."""
    name = "x" * (MAX_ROW_BYTES - 100)
    accounts = Accounts(unit.database, wall_ms=lambda: 0, most_bytes=4 * MAX_ROW_BYTES + 1_000_000)
    for n in range(4):
        await accounts.change(ALICE, knows(f"{n}{name}"))
    for n in range(4, 6):
        with pytest.raises(AccountFull):
            await accounts.change(ALICE, knows(f"{n}{name}"))
