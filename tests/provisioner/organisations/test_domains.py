"""Domains over a store and a table in place of DNS."""

from __future__ import annotations

from contextlib import suppress

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, NotFound, Unavailable
from control_plane.store.port import Delete, Put, Txn
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.organisations.domain import DomainState, Observation
from provisioner.organisations.records import MOST_DOMAINS, MOST_PENDING, DomainBook, encoded
from tests.support.directory_servers import TENANT, FakeSession
from tests.support.fakes.network_store import NetworkStore
from tests.support.organisation_servers import DAY_S, OPERATOR, OrganisationServer, of

NAME = "contoso.example"


async def furnished() -> OrganisationServer:
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await server.organisation("fabrikam", "mallory")
    return server


async def asked(server: OrganisationServer, organisation: str, name: str = NAME) -> str:
    """The token of a domain that is asked for."""
    held = await server.domains.claim(TENANT, organisation, name, OPERATOR, covers_subdomains=True)
    assert held.pending is not None
    return held.pending.token


async def verify(server: OrganisationServer, organisation: str, name: str = NAME):
    return await server.domains.verify(TENANT, organisation, name, OPERATOR)


async def days(server: OrganisationServer, count: int) -> None:
    """Each with a pass over all domains."""
    for _ in range(count):
        server.clock.now += DAY_S
        await server.checks.pass_over()


async def state(server: OrganisationServer, organisation: str = "contoso", name: str = NAME):
    held = await server.domains.get(TENANT, organisation, name, OPERATOR)
    return None if held.domain is None else held.domain.state


async def test_a_domain_is_proved_by_its_record_alone():
    server = await furnished()
    token = await asked(server, "contoso")
    with pytest.raises(ClaimNotAllowed, match="not there yet") as refused:
        await verify(server, "contoso")
    assert refused.value.reason == "NO_RECORD"
    server.dns.publish(NAME, "another")
    with pytest.raises(ClaimNotAllowed):
        await verify(server, "contoso")
    server.dns.publish(NAME, token)
    assert (await verify(server, "contoso")).domain.state is DomainState.VERIFIED
    assert await asked_again(server) == NAME
    held = await server.domains.of(TENANT, "contoso", of("anna"))
    assert [(one.name, one.pending) for one in held] == [(NAME, None)]


async def asked_again(server: OrganisationServer) -> str:
    """Asking for what one has answers it."""
    held = await server.domains.claim(
        TENANT, "contoso", NAME.upper(), of("anna"), covers_subdomains=True
    )
    assert held.domain is not None
    return held.name


async def test_asking_reserves_nothing_and_a_repeat_keeps_its_token():
    server = await furnished()
    ours, theirs = await asked(server, "contoso"), await asked(server, "fabrikam")
    assert await asked(server, "contoso") == ours != theirs
    server.dns.publish(NAME, theirs)
    assert (await verify(server, "fabrikam")).domain.owner == "fabrikam"
    with pytest.raises(ClaimNotAllowed):
        await verify(server, "contoso")


async def test_what_nobody_can_have_is_refused():
    server = await furnished()
    for name in ("co.uk", "github.io", "公司.cn"):
        with pytest.raises(ClaimNotAllowed) as refused:
            await asked(server, "contoso", name)
        assert refused.value.reason == "PUBLIC_SUFFIX"
    for name in ("192.0.2.1", "contoso", "a..b", "x" * 300 + ".example"):
        with pytest.raises(InvalidInput):
            await asked(server, "contoso", name)


async def test_an_organisation_asks_for_so_many_at_once():
    server = await furnished()
    for number in range(MOST_PENDING):
        await asked(server, "contoso", f"d{number}.example")
    with pytest.raises(ClaimNotAllowed) as refused:
        await asked(server, "contoso", "one-more.example")
    assert refused.value.reason == "TOO_MANY_DOMAINS"
    server.clock.now += 8 * DAY_S
    await asked(server, "contoso", "one-more.example")


async def test_dns_that_does_not_answer_is_no_answer():
    server = await furnished()
    await asked(server, "contoso")
    server.dns.silent.add(NAME)
    with pytest.raises(Unavailable):
        await verify(server, "contoso")


async def test_faults_do_not_lapse_a_domain_and_a_removed_record_does():
    server = await furnished()
    await server.domain("contoso", NAME)
    server.dns.silent.add(NAME)
    await days(server, 40)
    assert await state(server) is DomainState.VERIFIED
    server.dns.silent.clear()
    server.dns.withdraw(NAME)
    await days(server, 5)
    assert await state(server) is DomainState.LAPSING
    await days(server, 8)
    assert await state(server) is DomainState.LAPSED
    assert server.checks.looks[Observation.MISSING] >= 11
    looked = len(server.dns.asked)
    await days(server, 3)
    assert len(server.dns.asked) == looked  # nothing is asked of what has lapsed


async def test_a_domain_is_looked_at_once_a_day():
    server = await furnished()
    await server.domain("contoso", NAME)
    before = len(server.dns.asked)
    for _ in range(48):
        server.clock.now += DAY_S / 24
        await server.checks.pass_over()
    assert len(server.dns.asked) - before == 2
    assert server.checks.states[DomainState.VERIFIED] == 1


async def test_who_proves_it_meanwhile_has_it_a_day_after_the_old_record_went():
    server = await furnished()
    await server.domain("contoso", NAME)
    server.dns.publish(NAME, await asked(server, "fabrikam"))
    assert (await verify(server, "fabrikam")).domain.state is DomainState.CONTESTED
    await days(server, 3)
    assert (await server.domains.get(TENANT, "contoso", NAME, OPERATOR)).domain.owner == "contoso"
    (ours,) = {
        one.domain.token for one in await server.domains.of(TENANT, "contoso", OPERATOR)
    }  # fmt: skip
    server.dns.withdraw(NAME, ours)
    await days(server, 2)
    found = await server.domains.get(TENANT, "fabrikam", NAME, OPERATOR)
    assert (found.domain.owner, found.domain.primary) == ("fabrikam", "")
    assert await server.domains.of(TENANT, "contoso", OPERATOR) == []
    with pytest.raises(NotFound):
        await state(server, "contoso")


async def test_a_domain_is_handed_over_by_offer_and_acceptance():
    server = await furnished()
    await server.domain("contoso", NAME)
    with pytest.raises(NotFound):
        await server.transfers.accept(TENANT, "fabrikam", NAME, of("mallory"))
    await server.transfers.offer(TENANT, "contoso", NAME, "fabrikam", of("anna"))
    with pytest.raises(NotFound):
        await server.transfers.offer(TENANT, "fabrikam", NAME, "contoso", of("mallory"))
    server.clock.now += 8 * DAY_S
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.transfers.accept(TENANT, "fabrikam", NAME, of("mallory"))
    assert refused.value.reason == "OFFER_VOID"
    await server.transfers.offer(TENANT, "contoso", NAME, "fabrikam", of("anna"))
    taken = await server.transfers.accept(TENANT, "fabrikam", NAME, of("mallory"))
    assert (taken.domain.owner, taken.domain.primary, taken.domain.offer) == ("fabrikam", "", None)
    assert await server.transfers.accept(TENANT, "fabrikam", NAME, of("mallory")) is not None
    assert await server.domains.of(TENANT, "contoso", OPERATOR) == []
    await days(server, 1)  # its record still counts
    assert await state(server, "fabrikam") is DomainState.VERIFIED


async def test_an_owner_names_its_own_organisation_as_primary():
    server = await furnished()
    await server.domain("contoso", NAME, primary=False)
    with pytest.raises(InvalidInput):
        await server.transfers.set_primary(TENANT, "contoso", NAME, "fabrikam", of("anna"))
    for primary, actor in (("contoso", of("anna")), ("", of("anna")), ("fabrikam", OPERATOR)):
        held = await server.transfers.set_primary(TENANT, "contoso", NAME, primary, actor)
        assert held.domain.primary == primary
    with pytest.raises(NotFound):
        await server.transfers.set_primary(TENANT, "contoso", NAME, "gone", OPERATOR)


async def test_a_stranger_is_told_the_same_of_what_is_there_and_what_is_not():
    server = await furnished()
    await server.domain("contoso", NAME)
    calls = [
        lambda org, name: server.domains.get(TENANT, org, name, of("mallory")),
        lambda org, name: server.domains.verify(TENANT, org, name, of("mallory")),
        lambda org, name: server.domains.release(TENANT, org, name, of("mallory")),
        lambda org, name: server.domains.of(TENANT, org, of("mallory")),
        lambda org, name: server.transfers.offer(TENANT, org, name, "fabrikam", of("mallory")),
        lambda org, name: server.transfers.set_primary(TENANT, org, name, org, of("mallory")),
        lambda org, name: server.domains.claim(
            TENANT, org, name, of("mallory"), covers_subdomains=True
        ),
    ]
    for call in calls:
        said = []
        for organisation in ("contoso", "nowhere"):
            with pytest.raises(NotFound) as refused:
                await call(organisation, NAME)
            said.append(str(refused.value).replace(organisation, "it"))
        assert said[0] == said[1]
    # As another organisation's, a domain is as one that nobody has.
    for name in (NAME, "nobodys.example"):
        with pytest.raises(NotFound):
            await server.domains.get(TENANT, "fabrikam", name, of("mallory"))
    assert await server.domains.release(TENANT, "fabrikam", NAME, of("mallory")) is False
    assert await state(server) is DomainState.VERIFIED


async def test_what_is_given_up_can_be_proved_by_anybody():
    server = await furnished()
    await server.domain("contoso", NAME)
    assert await server.domains.release(TENANT, "contoso", NAME, of("anna")) is True
    assert await server.domains.release(TENANT, "contoso", NAME, of("anna")) is False
    server.dns.publish(NAME, await asked(server, "fabrikam"))
    assert (await verify(server, "fabrikam")).domain.owner == "fabrikam"


async def test_one_server_looks_and_another_goes_on_once_it_is_gone():
    store = NetworkStore()
    sessions = []
    for name in ("one", "two"):
        result = await store.commit(Txn(then=[Put(keys.session(name), b"")]))
        sessions.append(FakeSession(name, result.revision))
    one, two = (OrganisationServer(store, session=session) for session in sessions)
    assert [await server.checks.leads() for server in (one, two, one)] == [True, False, True]
    await store.commit(Txn(then=[Delete(keys.session("one"))]))
    assert [await server.checks.leads() for server in (two, one)] == [True, False]


async def test_a_look_that_comes_too_late_writes_nothing():
    """What was handed over while DNS was asked stays so."""
    server = await furnished()
    await server.domain("contoso", NAME)
    server.clock.now += DAY_S
    read = server.dns.read

    async def slow(domain: str):
        await server.domains.release(TENANT, "contoso", NAME, OPERATOR)
        return await read(domain)

    server.dns.read = slow  # type: ignore[method-assign]
    assert await server.checks.check(TENANT, NAME) is None
    assert await server.store.get(keys.domain(TENANT, NAME)) is None


async def test_handing_a_domain_on_does_not_put_off_who_proves_it():
    server = await furnished()
    await server.organisation("northwind", "carla")
    await server.domain("contoso", NAME)
    token = await asked(server, "fabrikam")
    server.dns.withdraw(NAME)
    server.dns.publish(NAME, token)
    with suppress(ClaimNotAllowed):
        await verify(server, "fabrikam")
    owners = ["contoso", "northwind"]
    for _ in range(4):
        server.clock.now += 23 * 3_600
        await server.checks.check(TENANT, NAME)
        if await state(server, "fabrikam") is DomainState.VERIFIED:
            break
        await server.transfers.offer(TENANT, owners[0], NAME, owners[1], OPERATOR)
        await server.transfers.accept(TENANT, owners[1], NAME, OPERATOR)
        owners.reverse()
    held = await server.domains.get(TENANT, "fabrikam", NAME, OPERATOR)
    assert held.domain is not None
    assert held.domain.owner == "fabrikam"


async def test_a_domain_that_is_handed_over_counts_among_those_of_its_new_owner():
    server = OrganisationServer()
    await server.organisation("contoso", "anna")
    await server.organisation("fabrikam", "mallory")
    await server.domain("contoso", NAME)
    await server.transfers.offer(TENANT, "contoso", NAME, "fabrikam", of("anna"))
    full = DomainBook(owned=tuple(f"d{number}.example" for number in range(MOST_DOMAINS)))
    key = keys.organisation_domains(TENANT, "fabrikam")
    await server.store.commit(Txn(then=[Put(key, encoded(full))]))
    with pytest.raises(ClaimNotAllowed) as refused:
        await server.transfers.accept(TENANT, "fabrikam", NAME, of("mallory"))
    assert refused.value.reason == "TOO_MANY_DOMAINS"
