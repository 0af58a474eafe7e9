"""Routing invitations, in this process: the domain that speaks for each, and whom it reaches."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench.suite.measurement import WARM_UP, Measurement, Samples, divisor
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from provisioner.organisations.domain import Domain
from provisioner.organisations.policy import Joining, OrganisationPolicy
from provisioner.organisations.responsible_domain import responsible_domain
from provisioner.organisations.routing import AddressedAccount, Invite, route

ROUTED = 40_000  # in a round
DISTINCT = 2_000
ORGANISATIONS = 200
NOW_MS = 1_795_867_200_000


class Invitation(NamedTuple):
    """One to be routed, with what a server has read for it."""

    invite: Invite
    name: Identifier
    accounts: Sequence[AddressedAccount]
    domains: Mapping[str, Domain]


def policies() -> dict[str, OrganisationPolicy]:
    """Of organisations, half of which take people by domain."""
    return {
        f"org-{number}": OrganisationPolicy(
            joining=Joining.BY_DOMAIN if number % 2 else Joining.BY_OWNER
        )
        for number in range(ORGANISATIONS)
    }


def invitations(count: int) -> list[Invitation]:
    """Invitations to addresses at domains with and without owners, the same each time."""
    rng = random.Random(count)
    made = []
    for number in range(count):
        owner = f"org-{rng.randrange(ORGANISATIONS)}"
        domain = f"{owner}-{rng.randrange(5)}.example"
        name = read_domain(f"mail.{domain}" if rng.random() < 0.3 else domain)
        assert isinstance(name, Identifier)
        accounts = [
            AddressedAccount(
                account=f"client-{number}-{place}",
                organisation=rng.choice((owner, f"org-{rng.randrange(ORGANISATIONS)}", "")),
                active=rng.random() < 0.95,
            )
            for place in range(rng.choice((0, 1, 1, 1, 2, 3)))
        ]
        proved = Domain(owner=owner, token="t", primary=owner if rng.random() < 0.8 else "")
        invite = Invite(kind=IdentifierKind.EMAIL, inviter="anna", expires_ms=NOW_MS + 1)
        known = {domain: proved} if rng.random() < 0.8 else {}
        made.append(Invitation(invite, name, accounts, known))
    return made


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Routes them over and over."""
    given, asked = invitations(DISTINCT), policies()
    for number in range(WARM_UP, rounds):
        passes = ROUTED // DISTINCT // divisor(number, quick=quick)
        began = time.perf_counter()
        for _ in range(passes):
            for invite, name, accounts, domains in given:
                route(invite, accounts, responsible_domain(name, domains), asked, NOW_MS)
        taken = time.perf_counter() - began
        kept = samples if number != WARM_UP else Samples()
        kept.add("invite_routes_per_s", passes * DISTINCT / taken)
        tick()


INVITING = Measurement(
    name="routing invitations",
    ratios=(),
    units={"invite_routes_per_s": "invitations/s"},
    run=measure,
    steps=lambda rounds: rounds + 1,
)
