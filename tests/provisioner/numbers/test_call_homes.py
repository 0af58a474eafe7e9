"""Whose call one is: by the number that was dialled, or by the caller's, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.errors import NotFound
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from control_plane.store.embedded import EmbeddedStore
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claim_rules import ClaimNotAllowed
from tests.support.directory_servers import TENANT, home, homes
from tests.support.number_servers import POOL, VIRTUAL, NumberServer, number

P1 = "tel:+442079460301"
LONDON = ActingUnit(unit_id="london", epoch=1)


@pytest.fixture
async def server(tmp_path: Path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    server = NumberServer(store)
    await homes(store, "anna", "ben")
    await server.virtual(1, 2)
    await server.technical(101)
    await server.pools.assign(TENANT, "anna", POOL, number(1))
    yield server
    await store.close()


async def test_a_virtual_number_is_its_account_s_whoever_calls(server: NumberServer) -> None:
    for tenant in ("", TENANT):
        found = await server.homes.find(tenant, None, number(1), "stockholm")
        assert (found.tenant, found.residence.account) == (TENANT, "anna")
        assert found.residence.introduction


async def test_a_technical_number_is_whose_telephone_calls_it(server: NumberServer) -> None:
    named = await server.proved("ben", P1)
    found = await server.homes.find("", named, number(101), "stockholm")
    assert found.residence.account == "ben"
    with pytest.raises(NotFound):
        await server.homes.find("", None, number(101), "stockholm")


@pytest.mark.parametrize(
    ("tenant", "dialled"),
    [
        pytest.param("", number(2), id="a-number-that-is-nobody-s"),
        pytest.param("", number(500), id="a-number-of-no-tenant"),
        pytest.param("other", number(1), id="a-number-of-another-tenant"),
        pytest.param("", number(101), id="a-technical-one-and-a-telephone-that-nobody-proved"),
        pytest.param("", number(301), id="a-proved-telephone-itself"),
    ],
)
async def test_nobody_else_is_found(server: NumberServer, tenant: str, dialled: str) -> None:
    await server.proved("ben", P1)
    caller = read_any("tel:+442079460399")
    assert isinstance(caller, Identifier)
    with pytest.raises(NotFound):
        await server.homes.find(tenant, caller, dialled, "stockholm")


async def test_a_number_is_not_a_later_client_s_of_the_name(server: NumberServer) -> None:
    await server.store.commit(home("anna", first_ms=9_000))
    with pytest.raises(NotFound):
        await server.homes.find("", None, number(1), "stockholm")
    found = await server.homes.numbers(TENANT, "anna", LONDON, [])
    assert not found.virtual


async def test_a_unit_hears_of_the_numbers_of_those_at_home_there(server: NumberServer) -> None:
    await server.pools.add("other", "theirs", VIRTUAL, [number(9)])
    asked = [number(9), number(500), number(101)]
    found = await server.homes.numbers(TENANT, "anna", LONDON, asked)
    assert (found.virtual, found.technical) == ((number(1),), (number(101),))
    assert (found.countries, found.ours) == (["GB"], [number(9), number(101)])
    with pytest.raises(ClaimNotAllowed):
        await server.homes.numbers(TENANT, "anna", ActingUnit(unit_id="paris", epoch=1), [])
