"""Invitations over a store: routed, accepted as of now, and every way in which a change of what
they are judged by comes between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound, ServiceError
from control_plane.store.port import Put, Txn
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.organisations.invitation_outcomes import InvitationRefused
from provisioner.organisations.policy import Joining, Openness
from provisioner.organisations.records import InvitationState, Membership
from provisioner.organisations.routing import Choose, NewAccount, ToAccount
from tests.support.directory_servers import TENANT, home, homes
from tests.support.fakes.network_store import NetworkStore
from tests.support.organisation_servers import (
    BEN,
    OPERATOR,
    InterruptedStore,
    OrganisationServer,
    address,
    of,
)


async def invite(server: OrganisationServer, uri: str = BEN, *, name: str = "i-1"):
    return await server.invitations.create(
        TENANT, name, "contoso", "launch", address(uri), of("anna"), lasts_s=3_600
    )


async def accept(server: OrganisationServer, account: str, uri: str = BEN, *, name: str = "i-1"):
    return await server.invitations.accept(TENANT, name, address(uri), of(account))


async def members(server: OrganisationServer) -> set[str]:
    """But for Anna, who is one since she has invited."""
    prefix = keys.group_member(TENANT, "contoso", "launch", "")
    page = await server.store.range(prefix)
    return {pair.key[len(prefix) :].decode() for pair in page.items} - {"anna"}


async def test_an_invitation_goes_to_the_primary_organisations_account_and_says_why():
    server = OrganisationServer()
    await server.scenario()
    made = await invite(server)
    assert isinstance(made.route, ToAccount)
    assert made.route.account == "ben-contoso"
    assert [(one.rule, one.clause, one.value) for one in made.route.why] == [
        ("PRIMARY_MEMBER", "PRIMARY_ORGANISATION", "contoso"),
        ("RESPONSIBLE_DOMAIN", "ITS_OWN", "contoso.example"),
    ]
    assert set(made.judged_by) >= {"organisation contoso", "domain contoso.example"}


async def test_it_is_judged_again_when_it_is_accepted():
    server = OrganisationServer()
    await server.scenario()
    await server.organisation("northwind", "carla")
    await server.proved("carla", "mailto:carla@northwind.example")
    await invite(server, "mailto:carla@northwind.example")
    await server.policy("contoso", guests=Openness.NOBODY)
    with pytest.raises(InvitationRefused) as refused:
        await accept(server, "carla", "mailto:carla@northwind.example")
    assert refused.value.reason == "GUESTS_FORBIDDEN"
    assert "contoso" in str(refused.value)
    await server.policy("contoso")
    done = await accept(server, "carla", "mailto:carla@northwind.example")
    assert (done.state, done.account) == (InvitationState.ACCEPTED, "carla")
    assert await members(server) == {"carla"}
    assert await accept(server, "carla", "mailto:carla@northwind.example") == done


async def test_it_is_good_for_as_long_as_who_made_it_may_invite():
    server = OrganisationServer()
    await server.scenario()
    await invite(server)
    suspended = Membership(organisation="contoso", active=False)
    await server.organisations.set_member(TENANT, "contoso", "anna", OPERATOR, suspended, now_ms=2)
    with pytest.raises(InvitationRefused) as refused:
        await accept(server, "ben-contoso")
    assert refused.value.reason == "INVITER_LEFT"
    await server.organisations.remove_member(TENANT, "contoso", "anna", OPERATOR)
    with pytest.raises(InvitationRefused):
        await accept(server, "ben-contoso")
    await server.member("contoso", "anna")
    assert (await accept(server, "ben-contoso")).state is InvitationState.ACCEPTED


async def test_nobody_else_accepts_it():
    server = OrganisationServer()
    await server.scenario()
    await invite(server)
    with pytest.raises(InvitationRefused, match="NOT_ADDRESSED"):
        await accept(server, "ben-fabrikam")
    with pytest.raises(NotFound):  # whoever it was forwarded to does not have the address
        await accept(server, "mallory", "mailto:mallory@mail.example")
    with pytest.raises(NotFound) as forwarded:  # nor does it help to name it
        await accept(server, "mallory")
    with pytest.raises(NotFound) as nowhere:
        await accept(server, "mallory", name="i-9")
    assert str(forwarded.value) == str(nowhere.value)
    assert await members(server) == set()


async def test_without_a_primary_organisation_the_person_chooses():
    server = OrganisationServer()
    await server.scenario()
    await server.transfers.set_primary(TENANT, "contoso", "contoso.example", "", OPERATOR)
    made = await invite(server)
    assert isinstance(made.route, Choose)
    assert made.route.accounts == ("ben-contoso", "ben-fabrikam")
    await accept(server, "ben-fabrikam")
    assert await members(server) == {"ben-fabrikam"}
    with pytest.raises(ClaimNotAllowed, match="accepted"):
        await accept(server, "ben-contoso")


async def test_a_new_account_joins_by_its_domain():
    server = OrganisationServer()
    await server.scenario()
    await server.policy("contoso", joining=Joining.BY_DOMAIN)
    made = await invite(server, "mailto:dev@contoso.example")
    assert isinstance(made.route, NewAccount)
    await homes(server.store, "dev")
    await server.proved("dev", "mailto:dev@contoso.example")
    await accept(server, "dev", "mailto:dev@contoso.example")
    found = await server.organisations.membership(TENANT, "dev", of("dev"))
    assert found is not None
    assert found.organisation == "contoso"


async def test_only_members_invite_and_strangers_learn_nothing():
    server = OrganisationServer()
    await server.scenario()
    for actor in (of("mallory"), of("ben-fabrikam")):
        with pytest.raises(NotFound) as there:
            await server.invitations.route(TENANT, "contoso", "launch", address(BEN), actor)
        with pytest.raises(NotFound) as nowhere:
            await server.invitations.route(TENANT, "gone", "launch", address(BEN), actor)
        assert str(there.value) == str(nowhere.value)


async def test_who_has_the_address_reads_why_and_nobody_else():
    server = OrganisationServer()
    await server.scenario()
    await invite(server)
    seen = await server.invitations.seen(TENANT, "i-1", address(BEN), of("ben-fabrikam"))
    assert isinstance(seen.route, ToAccount)
    assert seen.route.why[0].rule == "PRIMARY_MEMBER"
    with pytest.raises(NotFound):
        await server.invitations.seen(TENANT, "i-1", address(BEN), of("mallory"))


async def test_who_invites_does_not_learn_who_has_an_address():
    """What operators are refused is kept of others, and reaches nobody."""
    server = OrganisationServer()
    await server.scenario()
    await server.member("contoso", "ben-contoso", active=False)
    with pytest.raises(InvitationRefused, match="MEMBER_SUSPENDED"):
        await server.invitations.create(
            TENANT, "i-2", "contoso", "launch", address(BEN), OPERATOR, lasts_s=60
        )
    await invite(server)
    with pytest.raises(InvitationRefused, match="MEMBER_SUSPENDED"):
        await accept(server, "ben-contoso")


async def test_an_invitation_ends_once():
    server = OrganisationServer()
    await server.scenario()
    await invite(server)
    with pytest.raises(NotFound):
        await server.invitations.withdraw(TENANT, "i-1", of("mallory"))
    await server.invitations.withdraw(TENANT, "i-1", of("anna"))
    with pytest.raises(ClaimNotAllowed, match="withdrawn"):
        await accept(server, "ben-contoso")
    await invite(server, name="i-2")
    await server.invitations.decline(TENANT, "i-2", address(BEN), of("ben-contoso"))
    with pytest.raises(ClaimNotAllowed, match="declined"):
        await accept(server, "ben-contoso", name="i-2")
    await invite(server, name="i-3")
    server.clock.now += 3_601
    with pytest.raises(InvitationRefused, match="EXPIRED"):
        await accept(server, "ben-contoso", name="i-3")


async def test_the_store_has_no_address():
    server = OrganisationServer()
    await server.scenario()
    await invite(server)
    await accept(server, "ben-contoso")
    assert not any(b"ben@" in key + pair.value for key, pair in server.store.model.state.items())


Change = Callable[[OrganisationServer], Awaitable[object]]


async def _forbid(server: OrganisationServer) -> object:
    return await server.policy("contoso", guests=Openness.NOBODY)


async def _close(server: OrganisationServer) -> object:
    return await server.group("contoso", "launch", guests=False)


async def _keep_in(server: OrganisationServer) -> object:
    return await server.policy("fabrikam", visits=Openness.NOBODY)


async def _suspend(server: OrganisationServer) -> object:
    return await server.member("fabrikam", "ben-fabrikam", active=False)


async def _claim_for_contoso(server: OrganisationServer) -> object:
    return await server.transfers.set_primary(
        TENANT, "contoso", "contoso.example", "contoso", OPERATOR
    )


async def _withdraw(server: OrganisationServer) -> object:
    return await server.invitations.withdraw(TENANT, "i-1", of("anna"))


async def _move(server: OrganisationServer) -> object:
    """The account leaves the unit that accepts for it."""
    return await server.store.commit(home("ben-fabrikam", unit="stockholm", epoch=2))


async def _give_up(server: OrganisationServer) -> object:
    """The address is not the account's any more."""
    return await server.directory.proved.release(
        TENANT, "ben-fabrikam", address(BEN), None, request="r-gone"
    )


CHANGES: dict[str, Change] = {
    "guests are forbidden": _forbid,
    "the group is closed to guests": _close,
    "members may not go out": _keep_in,
    "the account is suspended": _suspend,
    "the domain gets a primary organisation": _claim_for_contoso,
    "the invitation is withdrawn": _withdraw,
    "the account moves": _move,
    "the address is given up": _give_up,
}


@pytest.mark.parametrize("name", list(CHANGES))
async def test_a_change_is_before_an_acceptance_or_after_it(name):
    """At whichever transaction of the acceptance the change comes: either it had been accepted by
    then, or it is refused. A change is one transaction, or counts by its last one."""
    outcomes = set()
    for before in range(1, 60):
        inner = NetworkStore()
        plain, store = OrganisationServer(inner), InterruptedStore(inner)
        server = OrganisationServer(store)
        server.directory.secrets = plain.directory.secrets
        await plain.scenario()
        await plain.transfers.set_primary(TENANT, "contoso", "contoso.example", "", OPERATOR)
        await invite(plain)
        accepted_first: list[bool] = []

        async def happens(plain=plain, accepted_first=accepted_first) -> None:
            accepted_first.append(await members(plain) != set())
            await CHANGES[name](plain)

        store.count, store.before, store.happens = 0, before, happens
        try:
            await accept(server, "ben-fabrikam")
            outcome = "accepted"
        except ServiceError as error:
            outcome = error.reason
        if not accepted_first:  # it was over before
            assert outcome == "accepted"
            break
        outcomes.add(outcome)
        assert outcome not in ("accepted", "CONFLICT"), (before, name)  # one change is judged anew
        assert await members(plain) == set()
    else:
        raise AssertionError("the acceptance never came to an end")
    assert len(outcomes) >= 1


async def test_what_changes_each_time_is_judged_three_times_and_no_more():
    inner = NetworkStore()
    plain, store = OrganisationServer(inner), InterruptedStore(inner)
    server = OrganisationServer(store)
    await plain.scenario()
    await invite(plain)
    judged = 0

    async def happens() -> None:
        nonlocal judged
        key = keys.organisation(TENANT, "contoso")
        pair = await inner.get(key)
        assert pair is not None
        await inner.commit(Txn(then=[Put(key, pair.value)]))  # written anew, and the same
        judged += 1

    commit = store.commit

    async def interrupted(txn: Txn, **more):
        if txn.compares:
            await happens()
        return await commit(txn, **more)

    store.commit = interrupted  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="keep changing"):
        await accept(server, "ben-contoso")
    assert judged == 3
    assert await members(plain) == set()


async def test_an_invitation_made_twice_is_one():
    server = OrganisationServer()
    await server.scenario()
    first, again = await invite(server), await invite(server)
    assert msgspec.structs.replace(again.invitation, expires_ms=0) == msgspec.structs.replace(
        first.invitation, expires_ms=0
    )
    with pytest.raises(Conflict):
        await invite(server, "mailto:carla@mail.example")
