"""What accounts call themselves: as each shows it to the viewer, at its own unit, and waited for no
longer than a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import NotFound, Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.peer_names import MOST_NAME, PeerNames
from deployment_units.services.gateway.plans import leads_out
from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import profile_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.linked_units import LinkedUnit, enter, linked_units

ANNA = Resident(tenant=TENANT, account="anna", epoch=1)


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[list[LinkedUnit]]:
    """Anna and Carla live in one, Ben in the other."""
    async with linked_units(tmp_path, "london", "oslo") as made:
        london, oslo = made
        for account in ("anna", "carla"):
            await enter(london, account)
        await enter(oslo, "ben")
        yield made


async def call_it(unit: LinkedUnit, account: str, name: str) -> None:
    request = pb.UpdateProfileRequest(name=name)
    await unit.unit.profiles.UpdateProfile(request, unit.unit.by_ticket(account))  # type: ignore[arg-type]


async def test_names_are_those_that_accounts_give_themselves_wherever_they_live(
    units: list[LinkedUnit],
) -> None:
    london, oslo = units
    await call_it(london, "carla", "Carla C.")
    await call_it(oslo, "ben", "Ben B.")
    names = PeerNames(london.peers, london.unit.profiles.seen)
    assert [await names.name(ANNA, one) for one in ("carla", "ben", "anna")] == [
        "Carla C.", "Ben B.", "",
    ]  # fmt: skip


async def test_whom_an_account_finds_it_is_told_the_name_of(units: list[LinkedUnit]) -> None:
    """Of somebody without an account there is none to be told."""
    london, oslo = units
    await call_it(oslo, "ben", "Ben B.")
    conversations = london.unit.conversations
    conversations.names = PeerNames(london.peers, london.unit.profiles.seen)
    london.unit.names.known["@ben"] = ["ben"]
    found = [
        await conversations.FindMember(
            talk.FindMemberRequest(name=name),
            london.unit.by_ticket("anna"),  # type: ignore[arg-type]
        )
        for name in ("@ben", "carla@mail.example")
    ]
    assert [(one.member, one.name) for one in found] == [
        ("ben", "Ben B."), ("mailto:carla@mail.example", ""),
    ]  # fmt: skip


async def test_whom_the_unit_has_no_way_to_is_said(units: list[LinkedUnit]) -> None:
    london, _ = units
    conversations = london.unit.conversations
    conversations.sends_to = lambda uri: leads_out(uri, {Channel.MAIL})
    london.unit.names.known["@ben"] = ["ben"]
    found = [
        await conversations.FindMember(
            talk.FindMemberRequest(name=name),
            london.unit.by_ticket("anna"),  # type: ignore[arg-type]
        )
        for name in ("carla@mail.example", "+442079460302", "@ben")
    ]
    assert [one.unreached for one in found] == [False, True, False]


async def test_one_that_is_nowhere_or_away_has_none(units: list[LinkedUnit]) -> None:
    london, oslo = units
    await call_it(oslo, "ben", "Ben B.")
    names = PeerNames(london.peers, london.unit.profiles.seen)
    assert await names.name(ANNA, "nobody") == ""
    london.directory.failure = Unavailable("the directory is away")
    assert await names.name(ANNA, "ben") == ""


class Silent:
    """Peers that answer later than anybody waits, or say something else. answer: what is said."""

    def __init__(self, answer: str | Exception | None) -> None:
        self.answer = answer

    async def ask(self, viewer, account, here, there) -> None:
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        await here(None)


@pytest.mark.parametrize(
    ("answer", "name"),
    [(None, ""), (NotFound("nobody is reached there"), ""), ("x" * 5_000, "x" * MOST_NAME)],
    ids=["silence", "nobody", "too much"],
)
async def test_nothing_of_another_unit_is_waited_for_or_without_bound(
    answer: str | Exception | None, name: str
) -> None:
    def seen(introduction) -> pb.GetProfileResponse:
        return pb.GetProfileResponse(name=str(answer))

    names = PeerNames(Silent(answer), seen, within_s=0.05)  # type: ignore[arg-type]
    assert await names.name(ANNA, "ben") == name
