"""Profiles that follow the directory: what changes there is shown at once, whatever broke between;
and no more accounts have streams than may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_plane.backoff import Backoff
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.profiles import kept_names
from deployment_units.services.profiles.name_follower import MOST, USED_S, NameFollower
from homeport.api.communication.v1 import profile_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, account_unit
from tests.support.watches_harness import until

HELD, LOST = "held", "lost"


def resident(account: str, epoch: int = 1) -> Resident:
    return Resident(tenant=TENANT, account=account, epoch=epoch)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        yield one


@asynccontextmanager
async def followed(unit: AccountUnit, *, most: int = MOST) -> AsyncIterator[NameFollower]:
    follower = NameFollower(
        unit.naming, unit.directory, unit.database,
        clock=lambda: unit.now, jitter=lambda: 1.0, most=most,
        pauses=Backoff(first_s=0.001, most_s=0.01),
    )  # fmt: skip
    running = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert unit.directory.watching == 0


def handles(unit: AccountUnit, account: str) -> dict[str, str]:
    read = unit.accounts.read(resident(account), kept_names.handles)
    return {handle: name.state.value for handle, name in read.items()}


async def claim(unit: AccountUnit, handle: str, account: str) -> None:
    request = pb.ClaimHandleRequest(handle=handle)
    await unit.profiles.ClaimHandle(request, unit.by_ticket(account))


async def hand_over(unit: AccountUnit, handle: str, to: str) -> None:
    """By an operator, of whom the unit hears nothing else."""
    there = unit.directory.there
    await there.at_home(resident(to), unit.unit_id)
    handles = there.server.handles
    offer, _ = await handles.offer(TENANT, "anna", handle, to, None, lasts_s=60.0)
    await handles.accept(TENANT, to, offer, None, request=f"to-{to}")
    there.changed()


async def test_what_others_do_to_an_account_is_shown_without_waiting(unit: AccountUnit) -> None:
    async with followed(unit) as follower:
        follower.use(resident("ben"))
        await claim(unit, "anna", "anna")
        follower.use(resident("anna"))
        await until(lambda: unit.directory.watching == 2)
        await hand_over(unit, "anna", "ben")
        await until(lambda: handles(unit, "anna") == {"anna": LOST})
        await until(lambda: handles(unit, "ben") == {"anna": HELD})  # it had no name before


async def test_accounts_with_names_are_followed_though_nobody_uses_them(unit: AccountUnit) -> None:
    await claim(unit, "anna", "anna")
    async with followed(unit):
        await until(lambda: unit.directory.watched == ["anna"])
        await hand_over(unit, "anna", "ben")
        await until(lambda: handles(unit, "anna") == {"anna": LOST})


async def test_what_happened_while_no_stream_stood_is_shown_once_one_does(
    unit: AccountUnit,
) -> None:
    await claim(unit, "anna", "anna")
    async with followed(unit):
        await until(lambda: unit.directory.watching == 1)
        unit.directory.away = unit.directory.streams_away = True
        unit.directory.there.changed()
        await until(lambda: not unit.directory.watching)
        await hand_over(unit, "anna", "ben")
        assert handles(unit, "anna") == {"anna": HELD}
        unit.directory.away = unit.directory.streams_away = False
        await until(lambda: handles(unit, "anna") == {"anna": LOST})


async def test_while_no_stream_can_be_had_the_directory_is_asked(unit: AccountUnit) -> None:
    await claim(unit, "anna", "anna")
    unit.directory.streams_away = True
    async with followed(unit):
        await hand_over(unit, "anna", "ben")
        await until(lambda: handles(unit, "anna") == {"anna": LOST})
    assert unit.directory.watched == []


async def test_what_says_nothing_new_is_not_asked_about(unit: AccountUnit) -> None:
    await claim(unit, "anna", "anna")
    async with followed(unit):
        await until(lambda: unit.directory.watching == 1)
        await until(lambda: unit.directory.asked.count("GetAccount") == 2)  # her claim, the stream
        unit.directory.drop_streams()
        await until(lambda: unit.directory.watched == ["anna", "anna"])
        await claim(unit, "ben", "ben")  # wakes the streams
    # Ben's own claim asks about Ben; about Anna nobody asked again.
    assert unit.directory.asked.count("GetAccount") == 3


async def test_an_account_that_left_is_followed_no_more_and_again_when_it_is_back(
    unit: AccountUnit,
) -> None:
    await claim(unit, "anna", "anna")
    there = unit.directory.there
    async with followed(unit) as follower:
        await until(lambda: unit.directory.watching == 1)
        await there.move(TENANT, "anna", "elsewhere", 2)
        there.changed()
        await until(lambda: len(follower) == unit.directory.watching == 0)
        await there.move(TENANT, "anna", "u", 3)
        follower.use(resident("anna", epoch=3))
        await until(lambda: unit.directory.watching == 1)


async def test_as_many_are_followed_as_may_be_those_used_last(unit: AccountUnit) -> None:
    for account in ("anna", "ben", "carla"):
        await claim(unit, account, account)
    unit.now += 1
    async with followed(unit, most=2) as follower:
        await until(lambda: unit.directory.watching == 2)
        spare = {"anna", "ben", "carla"} - set(unit.directory.watched)
        follower.use(resident(next(iter(spare))))  # others were not used at all
        await until(lambda: len(unit.directory.watched) == 3)
        follower.use(resident("dev"))
        await until(lambda: unit.directory.watched[-1] == "dev")
        follower.use(resident("mallory"))  # all were used just now
        assert not follower.follows(resident("mallory"))
        unit.now += USED_S
        follower.use(resident("mallory"))
        await until(lambda: unit.directory.watched[-1] == "mallory")
        assert len(unit.directory.watched) == 5
        await until(lambda: unit.directory.watching == len(follower) == 2)


async def test_its_owner_has_it_followed_by_looking(tmp_path: Path) -> None:
    async with account_unit(tmp_path / "u") as unit:
        used: list[str] = []
        unit.profiles._used = lambda one: used.append(one.account)  # the unit's wiring does it
        await unit.profiles.GetSettings(pb.GetSettingsRequest(), unit.by_ticket("anna"))
        await unit.profiles.GetProfile(pb.GetProfileRequest(), unit.by_introduction("ben", "anna"))
        assert used == ["anna"]
