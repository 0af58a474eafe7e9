"""NetworkProvision: a pending provision that is told for which network its decision holds as well.

The widest network around the client's address of which every address would have had the same unit,
for any new client of the tenant, by the fleet, the room and the policy at that moment. There is
none where the client counts: a rule reads its id, its groups, its attributes or the time, it may be
in a ring, a hook is asked, or only the hash told units apart; none where it had its home already,
or declared where it is; and none with several assignment clusters, whose room differs by client.

It is computed for those who ask for it alone: everybody else's answer costs what it did.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.errors import ServiceError
from control_plane.store.port import KeyValue
from provisioner.geo.location import Location, LocationSource
from provisioner.geo.locator import Locator
from provisioner.ledger.account import Account
from provisioner.provisioning.placer import Placer
from provisioner.provisioning.response_encoding import field
from provisioner.provisioning.single import SingleProvision

_TAG = b"\x3a"  # field 7 of a ProvisionResponse


class NetworkFinder:
    """One per server. is_alike(tenant, location): whether the tenant's policy treats all its
    clients at the location alike, at all times."""

    def __init__(
        self, locator: Locator, placer: Placer, is_alike: Callable[[str, Location], bool]
    ) -> None:
        self._locator = locator
        self._placer = placer
        self._is_alike = is_alike

    def network(self, tenant: str, client_key: bytes, location: Location, address: str) -> str:
        """Of a client that has just been decided for, in CIDR notation; empty: none."""
        if location.source is not LocationSource.DATABASE or not self._is_alike(tenant, location):
            return ""
        if not self._placer.is_alike(tenant, client_key, location):
            return ""
        return self._locator.network(address, location)

    def kind(self, address: str | None) -> Callable[..., SingleProvision]:
        """What makes the pending provision of a client that asks for it; address None: it is not
        known, or the client declared where it is."""
        if address is None:
            return SingleProvision
        known = address

        def made(*given: object) -> NetworkProvision:
            one = NetworkProvision(*given)  # type: ignore[arg-type]
            one.finder, one.address, one.network = self, known, ""
            return one

        return made


class NetworkProvision(SingleProvision):
    """address: the client's; network: empty: none."""

    __slots__ = ("address", "finder", "network")

    finder: NetworkFinder
    address: str
    network: str

    def choose(self) -> Account | ServiceError:
        account = super().choose()
        self.network = ""
        if not isinstance(account, ServiceError):
            self.network = self.finder.network(
                self.tenant.id, self.placed_by, self.location, self.address
            )
        return account

    def existing(self, found: KeyValue) -> None:
        self.network = ""
        super().existing(found)

    def changed(self, found: KeyValue | None) -> None:
        self.network = ""
        super().changed(found)

    def reply(self, response: bytes) -> None:
        super().reply(response + field(_TAG, self.network.encode()))
