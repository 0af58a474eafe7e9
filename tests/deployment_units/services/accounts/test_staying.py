"""Accounts that were exported and not forgotten: changed again where they stay, and only there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployment_units.services.accounts.accounts import AccountLeaving
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.accounts.staying import LEAVE_S, Home
from deployment_units.services.profiles import kept
from deployment_units.services.state import owners
from deployment_units.services.state.port import read_state, replace_state
from tests.support.account_units import TENANT, AccountUnit, account_unit

ALICE = Resident(tenant=TENANT, account="alice", epoch=1)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        yield one


async def frozen(unit: AccountUnit, resident: Resident = ALICE) -> bool:
    try:
        await unit.accounts.change(resident, lambda db, owner: None)
    except AccountLeaving:
        return True
    return False


async def exported(unit: AccountUnit, resident: Resident = ALICE) -> None:
    await unit.accounts.change(resident, lambda db, owner: None)
    await read_state(unit.state, resident.tenant, resident.account)


@pytest.mark.parametrize("home", list(Home))
async def test_it_stays_frozen_until_its_time_is_over_and_its_home_is_here(
    unit: AccountUnit, home: Home
) -> None:
    await exported(unit)
    unit.home = home
    await unit.staying.look()
    assert await frozen(unit)
    unit.now += LEAVE_S
    await unit.staying.look()
    assert await frozen(unit)
    unit.now += 1
    await unit.staying.look()
    assert await frozen(unit) is (home is not Home.HERE)


async def test_a_repeated_export_has_the_whole_time_again(unit: AccountUnit) -> None:
    await exported(unit)
    unit.now += LEAVE_S - 1
    await read_state(unit.state, TENANT, "alice")
    unit.now += 10
    await unit.staying.look()
    assert await frozen(unit)


async def test_what_is_read_slowly_has_the_whole_time_from_its_end(unit: AccountUnit) -> None:
    await unit.accounts.change(ALICE, lambda db, owner: kept.set_name(db, owner, "Alice"))
    pieces = unit.state.export(TENANT, "alice")
    assert await anext(pieces)
    unit.now += LEAVE_S - 10
    assert [piece async for piece in pieces] == []
    unit.now += 20
    await unit.staying.look()
    assert await frozen(unit)


async def test_one_that_is_exported_again_while_it_is_looked_at_stays_frozen(
    unit: AccountUnit,
) -> None:
    await exported(unit)
    unit.now += LEAVE_S + 1

    class Meanwhile(dict[str, Home]):
        """Homes, by whose looking up the account is exported once more."""

        def get(self, account, home):
            unit.database.submit(lambda db: owners.still_leaving(db, 1, now_ms=unit.wall_ms()))
            return home

    unit.homes = Meanwhile()
    await unit.staying.look()
    assert await frozen(unit)


async def test_one_that_keeps_nothing_is_forgotten(unit: AccountUnit) -> None:
    await read_state(unit.state, TENANT, "alice")
    assert await frozen(unit)
    unit.now += LEAVE_S + 1
    unit.home = Home.UNKNOWN
    await unit.staying.look()
    assert not await frozen(unit)


async def test_one_that_was_replaced_meanwhile_is_left_alone(unit: AccountUnit) -> None:
    await exported(unit)
    unit.now += LEAVE_S + 1
    await replace_state(unit.state, TENANT, "alice", 3, b"")
    await unit.staying.look()
    kept = unit.database.read(
        lambda db: db.execute("SELECT epoch, state FROM owners ORDER BY owner").fetchall()
    )
    assert kept == [(1, "gone"), (3, "live")]


async def test_those_that_live_elsewhere_do_not_keep_others_waiting(unit: AccountUnit) -> None:
    many = [Resident(tenant=TENANT, account=f"a{n}", epoch=1) for n in range(150)]
    for one in many:
        await exported(unit, one)
    await exported(unit)
    unit.now += LEAVE_S + 1
    unit.homes = {one.account: Home.ELSEWHERE for one in many}
    await unit.staying.look()
    assert not await frozen(unit)
    assert [one.account for one in many if not await frozen(unit, one)] == []
