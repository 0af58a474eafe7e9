"""Turns of accounts: who takes long holds up only itself; what fails comes again; tenants and
accounts take turns."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from control_plane.errors import Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.owner_turns import TRY_AGAIN_MS, OwnerTurns
from deployment_units.services.state.owners import Owner
from tests.support.account_units import AccountUnit, account_unit
from tests.support.watches_harness import until


class Due(NamedTuple):
    owner: int
    due_ms: int


class Work:
    """What accounts have to do: how often, by owner. slow: accounts whose turn ends when they are
    let; failing: whose turn fails."""

    def __init__(self, unit: AccountUnit, names: dict[int, str]) -> None:
        self.names = names
        self.left = dict.fromkeys(names, 1)
        self.slow: dict[str, asyncio.Event] = {}
        self.failing: set[str] = set()
        self.served: list[str] = []
        self.agenda = Agenda()
        self.turns = OwnerTurns(
            "works", unit.database, self.agenda, self, self.serve,
            wall_ms=unit.wall_ms, owners_at_once=2,
        )  # fmt: skip

    def owners_waiting(self, db: sqlite3.Connection, *, behind: int, most: int) -> Sequence[Due]:
        return [Due(one, 0) for one, left in self.left.items() if left and one > behind][:most]

    def next_due(self, db: sqlite3.Connection, owner: int, /) -> int | None:
        return 0 if self.left[owner] else None

    async def serve(self, owner: Owner) -> None:
        name = self.names[owner.number]
        self.served.append(name)
        if name in self.slow:
            await self.slow[name].wait()
        if name in self.failing:
            raise Unavailable("the store is away")
        self.left[owner.number] -= 1


@asynccontextmanager
async def working(unit: AccountUnit, *accounts: str) -> AsyncIterator[Work]:
    """Accounts of tenants, `tenant/account`, that have one thing to do each."""
    names = {}
    for one in accounts:
        tenant, _, account = one.partition("/")
        resident = Resident(tenant=tenant, account=account, epoch=1)
        names[await unit.accounts.change(resident, lambda db, owner: owner)] = one
    yield Work(unit, names)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        yield one


async def test_who_takes_long_holds_up_nobody(unit: AccountUnit) -> None:
    everybody = [f"talk/{n}" for n in range(9)]
    async with working(unit, *everybody) as work:
        work.slow = {"talk/0": asyncio.Event()}
        running = asyncio.create_task(work.turns.run())
        await until(lambda: sorted(work.served) == everybody)
        assert list(work.left.values()).count(1) == 1
        work.slow["talk/0"].set()
        await until(lambda: not any(work.left.values()))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_tenants_take_turns(unit: AccountUnit) -> None:
    many = [f"talk/{n}" for n in range(6)]
    async with working(unit, *many, "contoso/ben") as work:
        await work.turns.look()
        await work.turns.serve_due()
        assert work.served.index("contoso/ben") <= 2


async def test_what_fails_comes_again_after_a_while(unit: AccountUnit) -> None:
    async with working(unit, "talk/anna", "talk/ben") as work:
        work.failing = {"talk/anna"}
        await work.turns.look()
        await work.turns.serve_due()
        assert work.agenda.next_ms() == unit.wall_ms() + TRY_AGAIN_MS
        work.failing.clear()
        await work.turns.serve_due()
        assert sorted(work.served) == ["talk/anna", "talk/ben"]  # not yet
        unit.now += TRY_AGAIN_MS / 1_000
        await work.turns.serve_due()
        assert not any(work.left.values())


async def test_of_an_account_that_leaves_nothing_is_done(unit: AccountUnit) -> None:
    async with working(unit, "talk/anna") as work:
        await unit.state.forget("talk", "anna", 2)
        await work.turns.look()
        await work.turns.serve_due()
        assert work.served == []
