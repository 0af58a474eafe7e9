"""Organisations over a store: who makes and changes them, and who is a member."""

from __future__ import annotations

import msgspec
import pytest

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, NotFound
from control_plane.store.port import Put, Txn
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.organisations.policy import OrganisationPolicy
from provisioner.organisations.records import MOST_OWNERS, Membership, Organisation
from tests.support.directory_servers import TENANT, home, homes
from tests.support.fakes.network_store import NetworkStore
from tests.support.organisation_servers import (
    OPERATOR,
    InterruptedStore,
    OrganisationServer,
    of,
)


async def test_whoever_makes_one_owns_it_and_is_its_member():
    server = OrganisationServer()
    await homes(server.store, "anna")
    made = await server.organisations.create(
        TENANT, "contoso", Organisation(name="Contoso"), of("anna"), now_ms=1
    )
    assert made.organisation.owners == ("anna",)
    found = await server.organisations.membership(TENANT, "anna", of("anna"))
    assert found is not None
    assert found.organisation == "contoso"
    again = await server.organisations.create(
        TENANT, "contoso", Organisation(name="Contoso"), of("anna"), now_ms=2
    )
    assert again.revision == made.revision
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.organisations.create(
            TENANT, "another", Organisation(name="Another"), of("anna"), now_ms=1
        )
    assert refused.value.reason == "MEMBER_ELSEWHERE"


async def test_one_that_is_there_is_not_made_again():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await homes(server.store, "ben")
    with pytest.raises(Conflict):
        await server.organisations.create(
            TENANT, "contoso", Organisation(name="contoso"), of("ben"), now_ms=1
        )
    assert await server.organisations.membership(TENANT, "ben", of("ben")) is None


async def test_a_change_names_what_it_was_decided_on():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    held = await server.organisations.get(TENANT, "contoso", of("anna"))
    stricter = msgspec.structs.replace(
        held.organisation, policy=OrganisationPolicy(two_factors=True)
    )
    changed = await server.organisations.apply(
        TENANT, "contoso", stricter, of("anna"), revision=held.revision
    )
    renamed = msgspec.structs.replace(held.organisation, name="Contoso plc")
    with pytest.raises(Conflict):
        await server.organisations.apply(
            TENANT, "contoso", renamed, of("anna"), revision=held.revision
        )
    again = await server.organisations.apply(
        TENANT, "contoso", stricter, of("anna"), revision=held.revision
    )
    assert again.revision == changed.revision  # as it is wanted already
    ownerless = msgspec.structs.replace(stricter, owners=())
    with pytest.raises(InvalidInput):
        await server.organisations.apply(
            TENANT, "contoso", ownerless, of("anna"), revision=changed.revision
        )
    crowded = msgspec.structs.replace(stricter, owners=tuple(map(str, range(MOST_OWNERS + 1))))
    with pytest.raises(InvalidInput):
        await server.organisations.apply(
            TENANT, "contoso", crowded, OPERATOR, revision=changed.revision
        )


async def test_who_is_no_owner_any_more_changes_nothing():
    for at in range(1, 12):
        store = InterruptedStore(NetworkStore())
        server = OrganisationServer(store)
        await server.organisation("contoso", "anna")
        held = await server.organisations.get(TENANT, "contoso", OPERATOR)
        stricter = msgspec.structs.replace(
            held.organisation, policy=OrganisationPolicy(two_factors=True)
        )

        async def leave(server: OrganisationServer = server) -> None:
            await server.organisations.remove_member(TENANT, "contoso", "anna", OPERATOR)

        store.count, store.before, store.happens = 0, at, leave
        try:
            await server.organisations.apply(
                TENANT, "contoso", stricter, of("anna"), revision=held.revision
            )
        except (Conflict, NotFound):
            continue
        assert store.happens is leave, at  # she was an owner to the end
        break
    else:
        raise AssertionError("it takes more transactions than were tried")
    assert at > 2


async def test_an_owner_learns_of_no_account_that_is_no_member():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await homes(server.store, "ben")
    said = []
    for account in ("ben", "nobody"):
        with pytest.raises(NotFound) as refused:
            await server.organisations.set_member(
                TENANT, "contoso", account, of("anna"), Membership(organisation="contoso"), now_ms=1
            )
        said.append(refused.value.message.replace(account, "NAME"))
    assert said[0] == said[1]


async def test_an_owner_does_not_make_members():
    """An account joins by what it does itself: else whoever owns an organisation could put others
    under its policy."""
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await homes(server.store, "ben")
    for account in ("ben", "mallory"):
        with pytest.raises(NotFound):
            await server.organisations.set_member(
                TENANT, "contoso", account, of("anna"), Membership(organisation=""), now_ms=1
            )
    await server.member("contoso", "ben")
    await server.organisations.set_member(
        TENANT, "contoso", "ben", of("anna"), Membership(organisation="", active=False), now_ms=1
    )
    found = await server.organisations.membership(TENANT, "ben", of("ben"))
    assert found is not None
    assert (found.organisation, found.active) == ("contoso", False)


async def test_members_go_by_themselves_and_are_let_go():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await homes(server.store, "ben", "carla")
    for account in ("ben", "carla"):
        await server.member("contoso", account)
    with pytest.raises(NotFound):
        await server.organisations.remove_member(TENANT, "contoso", "ben", of("carla"))
    assert await server.organisations.remove_member(TENANT, "contoso", "ben", of("ben"))
    assert await server.organisations.remove_member(TENANT, "contoso", "carla", of("anna"))
    assert not await server.organisations.remove_member(TENANT, "contoso", "carla", of("anna"))


async def test_a_later_client_of_the_same_name_is_no_member_and_no_owner():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await server.store.commit(home("anna", first_ms=9_000))
    assert await server.organisations.membership(TENANT, "anna", of("anna")) is None
    with pytest.raises(NotFound):
        await server.organisations.get(TENANT, "contoso", of("anna"))


async def test_only_its_home_acts_for_an_account():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await server.store.commit(home("anna", unit="stockholm", epoch=2))
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.organisations.get(TENANT, "contoso", of("anna"))
    assert refused.value.reason == "STALE_EPOCH"


async def test_they_are_listed_in_pages():
    server = OrganisationServer()
    for number in range(5):
        value = b'{"name":"x"}'
        put = Put(keys.organisation(TENANT, f"o{number}"), value)
        await server.store.commit(Txn(then=[put]))
    first = await server.organisations.page(TENANT, "", 3)
    rest = await server.organisations.page(TENANT, first[-1].id, 3)
    assert [one.id for one in (*first, *rest)] == [f"o{number}" for number in range(5)]


async def test_who_is_suspended_does_not_leave_to_come_back():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await homes(server.store, "ben")
    await server.member("contoso", "ben")
    organisations = server.organisations
    suspended = Membership(organisation="contoso", active=False)
    await organisations.set_member(TENANT, "contoso", "ben", of("anna"), suspended, now_ms=2)
    with pytest.raises(ClaimNotAllowed) as refused:
        await organisations.remove_member(TENANT, "contoso", "ben", of("ben"))
    assert refused.value.reason == "SUSPENDED"
    assert await organisations.remove_member(TENANT, "contoso", "ben", of("anna"))
