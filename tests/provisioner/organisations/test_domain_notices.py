"""Owners are told what becomes of their domains: each once it is so, and until each was told."""

from __future__ import annotations

from control_plane import keys
from control_plane.errors import NotFound, Unavailable
from provisioner.directory.residence import Residence
from provisioner.organisations.domain_notices import DomainNotice, DomainNotices
from tests.support.directory_servers import TENANT
from tests.support.organisation_servers import DAY_S, OPERATOR, OrganisationServer

NAME = "contoso.example"


class Told:
    """An OwnerNotices. failing: owners who cannot be told now; gone: who are told nothing."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.failing: set[str] = set()
        self.gone: set[str] = set()

    async def tell(
        self, residence: Residence, organisation: str, domain: str, notice: DomainNotice
    ) -> None:
        if residence.account in self.failing:
            raise Unavailable("its unit does not answer")
        self.told.append((residence.account, domain, notice.state))

    async def close(self) -> None:
        """There is nothing to end."""

    async def home_of(self, tenant: str, account: str) -> Residence:
        if account in self.gone:
            raise NotFound("nobody is found by this identifier")
        return Residence(account=account, unit_id="london", endpoint="127.0.0.1:1", epoch=1)


async def leads() -> bool:
    return True


async def furnished() -> tuple[OrganisationServer, Told, DomainNotices]:
    server, told = OrganisationServer(), Told()
    await server.organisation("contoso", "anna", "ben")
    await server.organisation("fabrikam", "mallory")
    await server.domain("contoso", NAME)
    notices = DomainNotices(
        server.store, told, leads=leads, home_of=told.home_of, wall=server.clock,
        jitter=lambda: 0.5,
    )  # fmt: skip
    return server, told, notices


async def days(server: OrganisationServer, count: int) -> None:
    for _ in range(count):
        server.clock.now += DAY_S
        await server.checks.check(TENANT, NAME)


async def waiting(server: OrganisationServer) -> int:
    return len((await server.store.range(keys.DOMAIN_NOTICES)).items)


async def test_owners_are_told_that_it_lapses_and_has_lapsed_once_each():
    server, told, notices = await furnished()
    server.dns.withdraw(NAME)
    for count, state in ((4, "lapsing"), (7, "lapsed")):
        await days(server, count)
        for _ in range(2):
            await notices.pass_over()
        assert told.told == [("anna", NAME, state), ("ben", NAME, state)]
        told.told.clear()
    assert await waiting(server) == 0


async def test_who_cannot_be_told_is_told_later_and_who_is_gone_is_not_waited_for():
    server, told, notices = await furnished()
    server.dns.withdraw(NAME)
    told.failing, told.gone = {"anna"}, {"ben"}
    await days(server, 4)
    await notices.pass_over()
    assert (told.told, await waiting(server)) == ([], 1)
    told.failing.clear()
    await notices.pass_over()
    assert (told.told, await waiting(server)) == ([("anna", NAME, "lapsing")], 0)
    told.failing = {"anna"}
    await days(server, 7)
    server.clock.now += 8 * DAY_S
    await notices.pass_over()
    assert await waiting(server) == 0  # nobody needs to hear it any more


async def test_what_is_well_again_is_told_nobody():
    server, told, notices = await furnished()
    kept = {NAME: set(server.dns.tokens[NAME])}
    server.dns.withdraw(NAME)
    await days(server, 4)
    server.dns.tokens.update(kept)
    await days(server, 1)
    await notices.pass_over()
    assert (told.told, await waiting(server)) == ([], 0)


async def test_owners_are_told_that_somebody_else_has_proved_it_and_that_it_is_theirs():
    server, told, notices = await furnished()
    held = await server.domains.claim(TENANT, "fabrikam", NAME, OPERATOR, covers_subdomains=True)
    assert held.pending is not None

    server.dns.publish(NAME, held.pending.token)
    await server.domains.verify(TENANT, "fabrikam", NAME, OPERATOR)
    await notices.pass_over()
    assert told.told == [("anna", NAME, "contested"), ("ben", NAME, "contested")]
    told.told.clear()

    server.dns.withdraw(NAME)
    server.dns.publish(NAME, held.pending.token)
    await days(server, 3)
    await notices.pass_over()
    assert told.told == [("anna", NAME, "taken_over"), ("ben", NAME, "taken_over")]
