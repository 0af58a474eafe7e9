"""ShuffleShard: the few units in which one tenant's clients may live, a stable random subset. Pure.

Every unit scores every tenant and the highest scores win (rendezvous hashing, as `rendezvous` has
it): a unit that comes takes the place of one other in the shards that it gets into, and one that
goes is replaced in those that had it. So tenants rarely share all units, and what one of them does
to its units concerns few others (C. MacCárthaigh, "Workload isolation using shuffle-sharding", The
Amazon Builders' Library).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.selectors import Constraint, UnitSelector

RULE = "shuffle_sharding"  # as reasons name it; no rule of a policy can be called so
MOST_KEPT = 10_000  # of a fleet: those of policies that were replaced go with all
NO_UNIT = frozenset({""})  # where nothing is among them: no unit is called so


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShuffleShard:
    """Of a tenant. units: how many; among: of which, those that serve the tenant."""

    tenant: str
    units: int
    among: UnitSelector

    def constraint(self, fleet: PlacementFleet) -> Constraint:
        """What it asks of each unit of this fleet. Units count whatever they take at present: one
        that is cordoned or lost keeps its place."""
        found = fleet.shuffle_shards.get(self)
        if found is None:
            known = (
                str(unit.id)
                for unit in fleet.units
                if (not unit.tenants or self.tenant in unit.tenants) and self.among.matches(unit)
            )
            chosen = shard_of(self.tenant, known, self.units) or NO_UNIT
            if len(fleet.shuffle_shards) >= MOST_KEPT:
                fleet.shuffle_shards.clear()
            found = Constraint(rule=RULE, selector=UnitSelector(units=chosen))
            fleet.shuffle_shards[self] = found
        return found


def shard_of(tenant: str, units: Iterable[str], count: int) -> frozenset[str]:
    """The `count` units with the highest scores for the tenant; all, where there are no more."""
    return frozenset(sorted(units, key=lambda unit: _score(tenant, unit), reverse=True)[:count])


def _score(tenant: str, unit: str) -> tuple[bytes, str]:
    return blake2b(f"{unit}\0{tenant}".encode(), digest_size=8, person=b"shuffle").digest(), unit
