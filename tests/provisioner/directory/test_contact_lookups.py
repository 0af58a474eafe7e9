"""Who finds an account by an address or number that is not findable for everybody: whom its owner
shows it to; and that everybody else learns nothing, from the time neither."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import Exhausted, NotFound
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from homeport.api.communication.v1 import profile_pb2 as pb
from provisioner.directory.budgets import Asker
from provisioner.directory.contact_lookups import ANSWER_S
from provisioner.directory.replica import ReplicaRead
from tests.support.directory_pages import TENANT, Pages, pages_there

PHONE, ABSENT = "tel:+442079460301", "tel:+442079460999"


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    """Anna shows her number to contacts, of whom Ben is one, and is found by it by nobody else."""
    async with pages_there(tmp_path) as there:
        for account in ("anna", "ben", "mallory"):
            await there.home(account)
        await there.prove("anna", PHONE, findable=False)
        call, profiles = there.unit.by_ticket("anna"), there.unit.profiles
        await profiles.AddIdentifier(pb.AddIdentifierRequest(uri=PHONE), call)
        contacts = pb.Audience(contacts=True)
        disclose = pb.SetDisclosureRequest(uri=PHONE, audience=contacts)
        await profiles.SetDisclosure(disclose, call)
        await profiles.ChangeContacts(pb.ChangeContactsRequest(add=["ben"]), call)
        yield there


async def find(pages: Pages, viewer: str, text: str = PHONE, unit_id: str = "u") -> list[str]:
    name = read_any(text)
    assert isinstance(name, Identifier)
    asker = Asker(tenant=TENANT, viewer=viewer, unit_id=unit_id)
    return [one.account for one in (await pages.resolver.resolve(name, asker)).residences]


async def test_a_contact_finds_whom_it_is_shown_and_nobody_else_does(pages: Pages) -> None:
    assert await find(pages, "ben") == ["anna"]
    assert await find(pages, "anna") == ["anna"]
    for viewer, text in [("mallory", PHONE), ("ben", ABSENT)]:
        with pytest.raises(NotFound):
            await find(pages, viewer, text)


async def test_shown_to_everyone_is_found_by_every_account(pages: Pages) -> None:
    everyone = pb.SetDisclosureRequest(uri=PHONE, audience=pb.Audience(everyone=True))
    await pages.unit.profiles.SetDisclosure(everyone, pages.unit.by_ticket("anna"))
    assert await find(pages, "mallory") == ["anna"]


async def test_hidden_and_absent_take_the_same_time_and_cost_the_same(pages: Pages) -> None:
    left = []
    for viewer, text in [("mallory", PHONE), ("carla", ABSENT)]:
        with pytest.raises(NotFound) as refused:
            await find(pages, viewer, text)
        left.append((str(refused.value), pages.budgets._budgets["viewer", TENANT, viewer]))
    assert left[0] == left[1]
    assert pages.slept == [ANSWER_S, ANSWER_S]


async def test_what_is_remembered_as_not_there_is_not_said_at_once(pages: Pages) -> None:
    name = read_any(ABSENT)
    assert isinstance(name, Identifier)
    remembered = ReplicaRead(pairs=(None,), revision=1)
    pages.claims.remembered = lambda keys: remembered  # type: ignore[method-assign]
    homes = ReplicaRead(pairs=(), revision=1)
    pages.homes.remembered = lambda keys: homes  # type: ignore[method-assign]
    asker = Asker(tenant=TENANT, viewer="mallory", unit_id="u")
    assert pages.resolver.remembered(name, asker, None) is None


async def test_who_walks_through_what_is_hidden_is_stopped_as_anybody(pages: Pages) -> None:
    told = []
    for _ in range(12):
        with pytest.raises((NotFound, Exhausted)) as refused:
            await find(pages, "mallory")
        told.append(type(refused.value))
    assert (told[0], told[-1]) == (NotFound, Exhausted)
    assert pages.reads == told.count(NotFound)


async def test_a_unit_that_is_away_shows_nothing(pages: Pages) -> None:
    pages.away = True
    with pytest.raises(NotFound):
        await find(pages, "ben")


async def test_no_unit_is_asked_for_an_operator_or_a_stranger(pages: Pages) -> None:
    assert await find(pages, "", unit_id="") == ["anna"]
    name = read_any(PHONE)
    assert isinstance(name, Identifier)
    with pytest.raises(NotFound):
        await pages.resolver.resolve(name, Asker(tenant=TENANT, stranger=True))
    assert (pages.reads, pages.slept) == (0, [])
