"""A policy that servers have in tests: rules of each kind, the same for every tenant."""

from __future__ import annotations

from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy
from provisioner.policy.compiled import CompiledPolicy

# By load a server's choice would depend on what it has reserved by then.
RULES = """
groups: {gold: {patterns: ["gold-*"]}}
rings: {canary: {share: 20, units: [unit-000, unit-001]}}
pools: {west: {countries: [US], spillover: far}, far: {countries: [JP]}}
rules:
  - {name: nobody-north, when: location.latitude > 52.0, deny: true}
  - {name: gold, when: '"gold" in client.groups', rank: {prefer: [{countries: [FR]}], load: false}}
  - {name: west, when: location.longitude < -20.0, pool: west, rank: {load: false}}
  - {name: all, rank: {load: false}}
"""


class Source:
    """The policy of every tenant."""

    default = PlacementPolicy()

    def __init__(self, policy: CompiledPolicy) -> None:
        self._policy = policy

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        return self._policy.of(location, client_key)

    def revision_of(self, tenant: str) -> int:
        return self._policy.revision

    def stamp_of(self, tenant: str) -> tuple[int, int]:
        return self._policy.revision, 0
