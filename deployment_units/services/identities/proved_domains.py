"""ProvedDomains: which domains of an account's own addresses are organisations', as the directory
says, remembered for a while.

What it is for is a warning; where the directory does not say, there is none of this kind.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from control_plane.errors import ServiceError
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import FIND_OWN_DOMAINS, UnitDirectory
from deployment_units.services.identities.organisations import organisation_of
from homeport.api.directory.v1 import directory_pb2, domain_pb2

log = logging.getLogger(__name__)

KNOWN_S = 600.0
AGAIN_S = 30.0  # after which a directory that did not say is asked once more
MOST_KNOWN = 20_000  # accounts
MOST_ASKED = 16  # addresses


class ProvedDomains:
    """Of one unit. clock: monotonic seconds."""

    def __init__(
        self, directory: UnitDirectory, *, clock: Callable[[], float], most: int = MOST_KNOWN
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._most = most
        self._known: OrderedDict[tuple[Resident, tuple[str, ...]], tuple[float, frozenset[str]]]
        self._known = OrderedDict()

    async def of(self, resident: Resident, own: Sequence[str]) -> frozenset[str]:
        """Domains of these own identifiers that are organisations'."""
        addresses = tuple(one for one in own if organisation_of(one))[:MOST_ASKED]
        if not addresses:
            return frozenset()
        key = (resident, addresses)
        until_s, known = self._known.get(key, (0.0, frozenset()))
        if self._clock() < until_s:
            return known
        request = domain_pb2.FindOwnDomainsRequest(
            identifiers=[directory_pb2.Identifier(uri=one) for one in addresses]
        )
        try:
            answer = await self._directory.call(FIND_OWN_DOMAINS, resident, request)
        except ServiceError as error:
            log.info("whose an account's domains are is not known now: %s", error)
            return self._keep(key, known, AGAIN_S)
        found = frozenset(organisation_of(one.uri) for one in answer.identifiers)
        return self._keep(key, found, KNOWN_S)

    def _keep(
        self, key: tuple[Resident, tuple[str, ...]], found: frozenset[str], for_s: float
    ) -> frozenset[str]:
        self._known[key] = (self._clock() + for_s, found)
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return found
