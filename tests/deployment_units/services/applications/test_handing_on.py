"""Presses are handed on past those that cannot be: of another card's account, and of another
account's."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.applications.handing_on import MOST, HandingOn
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.conversations.press import KeptPress, PressState
from tests.support.account_units import TENANT
from tests.support.application_units import ApplicationUnit, application_unit, until
from tests.support.fakes.data_sharing import FakeDataSharing


class Peers:
    """away: accounts whose unit is away; silent: whose presses nobody answers."""

    def __init__(self, *, away: str = "", silent: str = "") -> None:
        self.away = away
        self.silent = silent
        self.brought: list[tuple[str, str]] = []

    async def bring(self, viewer: Resident, author: str, press: KeptPress) -> PressState:
        if viewer.account == self.silent:
            await asyncio.Event().wait()
        self.brought.append((viewer.account, author))
        if author == self.away:
            raise Unavailable("its unit is away")
        return PressState.WAITING


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[ApplicationUnit]:
    async with application_unit(tmp_path, FakeDataSharing({}), running=False) as one:
        yield one


def resident(account: str) -> Resident:
    return Resident(tenant=TENANT, account=account, epoch=1)


async def pressed(unit: ApplicationUnit, account: str, *authors: str) -> None:
    """Cards of these, each pressed once by the account, one after the other."""

    def keep(db: sqlite3.Connection, owner: int) -> None:
        for number, author in enumerate(authors, 1):
            id_ = bytes(15) + bytes([number])
            message = NewMessage(id=id_, conversation=author.encode(), sender=author, content=b"")
            kept.keep(db, owner, message, [author], now_ms=1)
            press = KeptPress(
                message=id_, author=author, action="yes", viewer=account, number=1, id=id_,
                revision=1, inputs="{}", state=PressState.KEPT, pressed_ms=number,
            )  # fmt: skip
            presses.add(db, owner, press)

    await unit.accounts.change(resident(account), keep)


async def test_a_unit_that_is_away_holds_up_no_press_of_another_card(
    unit: ApplicationUnit,
) -> None:
    await pressed(unit, "anna", "bakery", "roastery", "bakery")
    peers = Peers(away="bakery")
    with pytest.raises(Unavailable):
        await HandingOn(unit.accounts, unit.residents, peers).hand_on(resident("anna"))
    assert peers.brought == [("anna", "bakery"), ("anna", "roastery")]
    left = unit.accounts.read(
        resident("anna"), lambda db, owner: presses.to_hand_on(db, owner, most=9)
    )
    assert [one.author for one in left] == ["bakery", "bakery"]


async def test_nor_where_it_is_many(unit: ApplicationUnit) -> None:
    await pressed(unit, "anna", *["bakery"] * (3 * MOST), "roastery")
    peers = Peers(away="bakery")
    with pytest.raises(Unavailable):
        await HandingOn(unit.accounts, unit.residents, peers).hand_on(resident("anna"))
    assert peers.brought == [("anna", "bakery"), ("anna", "roastery")]


async def test_nor_of_another_account(unit: ApplicationUnit) -> None:
    for account in ("anna", "ben"):
        await pressed(unit, account, "roastery")
    peers = Peers(silent="anna")
    unit.agent.handing_on = HandingOn(unit.accounts, unit.residents, peers)
    task = asyncio.create_task(unit.agent.hand_on())

    async def brought() -> bool:
        return peers.brought == [("ben", "roastery")]

    try:
        await until(brought)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
