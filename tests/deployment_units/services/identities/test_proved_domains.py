"""Which own domains are organisations': as the directory says, for a while, and none where it does
not."""

from __future__ import annotations

from typing import Any

from control_plane.errors import Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import FIND_OWN_DOMAINS, DirectoryMethod
from deployment_units.services.identities.proved_domains import (
    AGAIN_S,
    KNOWN_S,
    MOST_ASKED,
    ProvedDomains,
)
from homeport.api.directory.v1 import domain_pb2

ANNA = Resident(tenant="talk", account="anna", epoch=1)
WORK = "mailto:anna@northwind.example"


class Asked:
    """A UnitDirectory that says all of `proved`. away: it does not answer."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.proved = {WORK}
        self.away = False
        self.calls = 0

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        assert method is FIND_OWN_DOMAINS
        self.calls += 1
        if self.away:
            raise Unavailable("the directory does not answer")
        self.asked.append([one.uri for one in request.identifiers])
        found = [one for one in request.identifiers if one.uri in self.proved]
        return domain_pb2.FindOwnDomainsResponse(identifiers=found)


async def test_it_is_asked_once_in_a_while_and_what_was_known_holds_while_it_is_away():
    asked, now_s = Asked(), 0.0
    domains = ProvedDomains(asked, clock=lambda: now_s)
    own = ["@anna", WORK, "mailto:anna@mail.example"]
    for _ in range(2):
        assert await domains.of(ANNA, own) == {"northwind.example"}
    assert asked.asked == [own[1:]]
    asked.away = True
    now_s = KNOWN_S
    calls = asked.calls
    for _ in range(2):  # who does not answer is not asked each time
        assert await domains.of(ANNA, own) == {"northwind.example"}
    assert asked.calls == calls + 1
    assert await domains.of(Resident(tenant="talk", account="ben", epoch=1), own) == set()
    asked.away, asked.proved = False, set()
    now_s += AGAIN_S
    assert await domains.of(ANNA, own) == set()


async def test_so_many_are_asked_about_and_remembered():
    asked = Asked()
    domains = ProvedDomains(asked, clock=lambda: 0.0, most=1)
    await domains.of(ANNA, [f"mailto:anna@d{number}.example" for number in range(50)])
    assert len(asked.asked[0]) == MOST_ASKED
    assert await domains.of(ANNA, ["@anna"]) == set()
    await domains.of(ANNA, [WORK])
    await domains.of(ANNA, [f"mailto:anna@d{number}.example" for number in range(50)])
    assert len(asked.asked) == 3
