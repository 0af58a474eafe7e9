"""ClientPolicy: what a simulation asks of a policy, and the policies of tenants as it asks them.

What a policy reads of clients beside their location comes to kinds: in which groups and rings a
client is, and its attributes where a condition reads any. Clients of one kind at one place are
treated alike, unless a condition reads their id.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from control_plane.expressions.tree import paths_read
from provisioner.geo.location import Location
from provisioner.placement.attributes import attributes_of
from provisioner.placement.filters import PlacementPolicy
from provisioner.policy.certainty import certainty_of
from provisioner.policy.compiled import CompiledPolicy, client_of
from provisioner.policy.conditions import ATTRIBUTES
from provisioner.policy.membership import groups_of, is_in


class Reads(Enum):
    """What decides about a client, beside the hash of its id."""

    LOCATION = 1
    KIND = 2  # and in which groups and rings it is, and its attributes
    CLIENT = 3  # and its id


class ClientPolicy(Protocol):
    """By what clients are placed."""

    @property
    def reads(self) -> Reads: ...

    def of(self, location: Location, client_key: bytes) -> PlacementPolicy:
        """The same object for clients that are treated alike."""
        ...

    def kind_of(self, client_key: bytes) -> Hashable:
        """Of a client, by its key as `with_attributes` has it; None where all are of one kind."""
        ...

    def certainty(self, location: Location) -> str:
        """How well the country of a location is known, in a word."""
        ...


@dataclass(frozen=True, slots=True)
class OnePolicy:
    """The same for everybody."""

    policy: PlacementPolicy
    certain_within_km: float = 50.0

    @property
    def reads(self) -> Reads:
        return Reads.LOCATION

    def of(self, location: Location, client_key: bytes) -> PlacementPolicy:
        return self.policy

    def kind_of(self, client_key: bytes) -> Hashable:
        return None

    def certainty(self, location: Location) -> str:
        return certainty_of(location, self.certain_within_km).value


class TenantPolicy:
    """A tenant's rules."""

    def __init__(self, compiled: CompiledPolicy) -> None:
        self._compiled = compiled
        self._document = compiled.document
        self.of = compiled.of
        conditions = [one.condition for one in compiled.rules if one.condition is not None]
        paths = {path for one in conditions for path, _, _ in paths_read(one.expression.tree)}
        self.reads = Reads.LOCATION
        if self._document.rings or any(one.reads_client for one in conditions):
            self.reads = Reads.KIND
        if ("client", "id") in paths:
            self.reads = Reads.CLIENT
        self._reads_attributes = any(path[:2] == ATTRIBUTES for path in paths)

    def kind_of(self, client_key: bytes) -> Hashable:
        if self.reads is Reads.LOCATION:
            return None
        tenant, document, client_id = self._compiled.tenant, self._document, client_of(client_key)
        rings = tuple(one.name for one in document.rings if is_in(one, tenant, client_id))
        attributes = attributes_of(client_key)
        groups = tuple(groups_of(client_id, document.groups, attributes))
        if not (attributes and self._reads_attributes):
            return groups, rings
        return groups, rings, tuple(sorted(attributes.items()))

    def certainty(self, location: Location) -> str:
        return certainty_of(location, self._document.certain_within_km).value
