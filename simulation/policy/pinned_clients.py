"""PinnedClients: a policy of clients of whom some have to live in one unit, whatever else holds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy
from provisioner.policy.pinning import pinned
from simulation.policy.client_policy import ClientPolicy, Reads


class PinnedClients:
    """A ClientPolicy over another. pins: units by the keys of clients; whoever has them may add to
    them and take them away."""

    def __init__(self, policy: ClientPolicy, pins: Mapping[bytes, str]) -> None:
        self._policy = policy
        self._pins = pins
        self._made: dict[tuple[PlacementPolicy, str], PlacementPolicy] = {}

    @property
    def reads(self) -> Reads:
        return self._policy.reads

    def of(self, location: Location, client_key: bytes) -> PlacementPolicy:
        """The same object for clients that are treated alike."""
        policy = self._policy.of(location, client_key)
        unit = self._pins.get(client_key)
        if unit is None:
            return policy
        found = self._made.get((policy, unit))
        if found is None:
            found = self._made[policy, unit] = pinned(policy, unit)
        return found

    def kind_of(self, client_key: bytes) -> Hashable:
        """And which pin it has; None where all are of one kind."""
        kind, unit = self._policy.kind_of(client_key), self._pins.get(client_key)
        return kind if unit is None else (kind, unit)

    def certainty(self, location: Location) -> str:
        return self._policy.certainty(location)
