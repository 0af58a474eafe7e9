"""Domains proved at real name servers, Debian's NSD and Knot DNS, which stand for resolvers too:
what they say to each of the ways in which a record can be there, or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.organisations.challenges import challenge_value
from provisioner.organisations.dns_challenges import DnsChallenges
from provisioner.organisations.domain import DAY_MS, DomainState, Observation
from provisioner.organisations.domain_checks import DomainChecks
from tests.support.directory_servers import TENANT
from tests.support.name_servers import RealNameServer
from tests.support.organisation_servers import OPERATOR, OrganisationServer

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("program", ["nsd", "knot"])]
ZONE, NAME = "contoso.example", "_homeport-challenge"
TOKEN = "0123456789abcdef"
VALUE = challenge_value(TOKEN)
FOUND, MISSING, UNKNOWN = Observation.FOUND, Observation.MISSING, Observation.UNKNOWN


def asking(server: RealNameServer, **times: float) -> DnsChallenges:
    return DnsChallenges([f"127.0.0.1:{server.port}"], own_port=server.port, internal=True, **times)


async def test_the_ways_in_which_a_record_is_there(program: str, tmp_path: Path) -> None:
    zones: dict[str, list[str] | None] = {
        ZONE: [f'{NAME} IN TXT "v=spf1 -all"', f'{NAME} IN TXT "{VALUE}"'],
        "strings.example": [f'{NAME} IN TXT "{VALUE[:9]}" "{VALUE[9:]}"'],
        "wildcard.example": [f'* IN TXT "{VALUE}"'],
        "alias.example": [f"{NAME} IN CNAME proof", f'proof IN TXT "{VALUE}"'],
        "another.example": [f'{NAME} IN TXT "{VALUE}x"'],
        "nothing.example": [],
        "no-text.example": [f"{NAME} IN A 192.0.2.1"],
        "lower.wildcard.example": [],  # a zone of its own, so the wildcard above is not its
        "broken.example": None,
    }
    async with RealNameServer(program, tmp_path / "dns", zones) as server:
        challenges = asking(server)
        seen = {name: (await challenges.read(name)).observe(TOKEN) for name in zones}
        seen["refused.example"] = (await challenges.read("refused.example")).observe(TOKEN)
        await server.halt()
        quick = asking(server, read_s=1.0, own_all_s=0.5)
        seen["silent"] = (await quick.read(ZONE)).observe(TOKEN)
    assert seen == {
        ZONE: FOUND,
        "strings.example": FOUND,
        "wildcard.example": FOUND,
        "alias.example": FOUND,
        "another.example": MISSING,
        "nothing.example": MISSING,
        "no-text.example": MISSING,
        "lower.wildcard.example": MISSING,
        "broken.example": UNKNOWN,  # SERVFAIL
        "refused.example": UNKNOWN,
        "silent": UNKNOWN,
    }


async def test_a_record_that_is_removed_lapses_in_its_time_and_faults_lapse_nothing(
    program: str, tmp_path: Path
) -> None:
    """By the clock of the directory: three misses over 72 hours, and seven days."""
    directory = OrganisationServer()
    await directory.organisation("contoso", "anna")
    async with RealNameServer(program, tmp_path / "dns", {ZONE: []}) as server:
        challenges = asking(server, read_s=2.0, own_all_s=1.0)
        checks = DomainChecks(
            directory.records, challenges,
            session=lambda: directory.directory.session, jitter=lambda: 0.5,
        )  # fmt: skip
        directory.domains._challenges = challenges
        held = await directory.domains.claim(
            TENANT, "contoso", ZONE, OPERATOR, covers_subdomains=True
        )
        assert held.pending is not None
        record = [f'{NAME} IN TXT "{challenge_value(held.pending.token)}"']
        await server.publish(ZONE, record)
        await directory.domains.verify(TENANT, "contoso", ZONE, OPERATOR)

        async def days(count: int) -> DomainState:
            for _ in range(count):
                directory.clock.now += DAY_MS / 1_000
                await checks.check(TENANT, ZONE)
            found = (await directory.domains.get(TENANT, "contoso", ZONE, OPERATOR)).domain
            assert found is not None
            return found.state

        await server.halt()
        assert await days(5) is DomainState.VERIFIED  # whoever says nothing lapses nothing
        assert checks.looks[UNKNOWN] == 5
        server.resume()
        await server.publish(ZONE, [])
        assert await days(3) is DomainState.VERIFIED
        assert await days(1) is DomainState.LAPSING
        assert await days(6) is DomainState.LAPSING
        assert await days(1) is DomainState.LAPSED
        await server.publish(ZONE, record)
        await directory.domains.verify(TENANT, "contoso", ZONE, OPERATOR)
        assert await days(1) is DomainState.VERIFIED
