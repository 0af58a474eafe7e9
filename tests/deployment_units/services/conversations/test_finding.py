"""Who is written to: handles, addresses, numbers and ids, as the account finds them."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput, NotFound, Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.finding import SeveralFound, find_member
from tests.support.fakes.names import NamesFake

ANNA = Resident(tenant="talk", account="anna", epoch=1)
CARLA, DEV = "mailto:carla@mail.example", "tel:+442079460302"


@pytest.fixture
def names() -> NamesFake:
    found = NamesFake()
    found.known = {"@ben": ["b-1"], "b-1": ["b-1"], "mailto:ben@contoso.example": ["b-1"]}
    return found


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        pytest.param("@Ben", ("b-1", "@ben"), id="a-handle"),
        pytest.param("b-1", ("b-1", "b-1"), id="an-id"),
        pytest.param(
            " ben@Contoso.example ", ("b-1", "ben@contoso.example"), id="an-address-of-an-account"
        ),
        pytest.param("carla@mail.example", (CARLA, "carla@mail.example"), id="an-address"),
        pytest.param(CARLA, (CARLA, "carla@mail.example"), id="a-uri"),
        pytest.param("+44 20 7946 0302", (DEV, "+44 20 7946 0302"), id="a-number"),
    ],
)
async def test_a_name_stands_for_a_member(
    names: NamesFake, typed: str, expected: tuple[str, str]
) -> None:
    found = await find_member(names, ANNA, typed)
    assert found.member == expected[0]
    assert names.asked[0][0] == "anna"  # as she finds them


@pytest.mark.parametrize("typed", ["@nina", "nina"])
async def test_who_may_not_be_found_is_not_there(names: NamesFake, typed: str) -> None:
    with pytest.raises(NotFound, match="nina"):
        await find_member(names, ANNA, typed)


@pytest.mark.parametrize("typed", ["", "@", "ben@", "xmpp:ben@talk.example", "@" + "x" * 600])
async def test_what_is_no_name_is_not_asked_for(names: NamesFake, typed: str) -> None:
    with pytest.raises(InvalidInput):
        await find_member(names, ANNA, typed)
    assert names.asked == []


async def test_an_address_of_several_accounts_names_none(names: NamesFake) -> None:
    names.known[CARLA] = ["c-1", "c-2"]
    with pytest.raises(SeveralFound, match="several"):
        await find_member(names, ANNA, "carla@mail.example")


async def test_a_directory_that_is_away_makes_nobody_a_stranger(names: NamesFake) -> None:
    names.failure = Unavailable("the directory does not answer; try again")
    with pytest.raises(Unavailable):
        await find_member(names, ANNA, "ben@contoso.example")
