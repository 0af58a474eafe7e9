"""PlacementPolicy: by what a client is placed, and which units may take it. Pure.

A tenant's policy document comes to one of these for each client (`provisioner.policy`); a tenant
without document has the server's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from provisioner.geo.location import Location
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.hooks import HookAnswer, HookUse
from provisioner.placement.ranking import PROXIMITY, Ranking
from provisioner.placement.selectors import Constraint
from provisioner.placement.shuffle_shards import ShuffleShard

Stamp: TypeAlias = tuple[int, int]  # the revision of a policy, and how often it has changed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacementPolicy:
    """What holds for a client. The default allows everything. Compared by identity: whoever makes
    them keeps them, as do those who keep what they decided by one.

    The uncertainty of a location, within which units count as equally near, is taken to be
    no less than `least_uncertainty_km` (raise it to share load between units of one city)
    and no more than `most_uncertainty_km` (lower it where a vague location, the centre of a
    large country, would make half a continent equal).
    """

    revision: int = 0  # of the policy; 0: the tenant has none
    nowhere: Literal["spread", "refuse"] = "spread"  # what a client without location gets
    full: Literal["retry", "refuse"] = "retry"  # what it gets where all units are full
    least_uncertainty_km: float = 0.0
    most_uncertainty_km: float = float("inf")
    constraints: tuple[Constraint, ...] = ()  # all of them hold for each unit
    denied: str = ""  # why the client is placed nowhere; empty: it may be
    denied_by: str = ""  # the rule that says so
    ranking: Ranking = PROXIMITY
    shuffle_shard: ShuffleShard | None = None  # the units of the tenant; None: all
    spillover: PlacementPolicy | None = None  # what is tried where no unit of this one has room
    hook: HookUse | None = None  # who is to be asked before it counts
    answer: HookAnswer | None = None  # what was said, where it counts already
    before_hook: PlacementPolicy | None = None  # the policy without that
    kept: int = 16  # candidates kept per location, at least 1

    def bounded(self, uncertainty_km: float) -> float:
        """Within how many km units count as equally near to a location that is so uncertain."""
        return max(self.least_uncertainty_km, min(self.most_uncertainty_km, uncertainty_km))

    @property
    def default(self) -> PlacementPolicy:
        """As a PolicySource that has one policy for everybody."""
        return self

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        """As a PolicySource."""
        return self

    def revision_of(self, tenant: str) -> int:
        """As a PolicySource."""
        return self.revision

    def stamp_of(self, tenant: str) -> Stamp:
        """As CurrentPolicies."""
        return self.revision, 0


class PolicySource(Protocol):
    """Knows by what each client is placed."""

    @property
    def default(self) -> PlacementPolicy:
        """That of clients of tenants without a policy."""
        ...

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        """The policy of one client, at a location; the same one for clients that are treated
        alike."""
        ...

    def revision_of(self, tenant: str) -> int:
        """The revision of a tenant's policy that counts now; 0: it has none."""
        ...


class CurrentPolicies(PolicySource, Protocol):
    """One whose answers change: whoever decided by one can tell whether it still counts."""

    def stamp_of(self, tenant: str) -> Stamp:
        """Another one once what is said of any client of the tenant may have changed."""
        ...


def why_not(
    unit: PlacementUnit,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    fleet: PlacementFleet | None = None,
) -> str:
    """Why this unit of the fleet may not take a client of `tenant` at `location`; empty when it
    may."""
    return why_never(unit, policy, fleet) or why_not_here(unit, location, tenant)


def why_never(
    unit: PlacementUnit, policy: PlacementPolicy, fleet: PlacementFleet | None = None
) -> str:
    """Why this unit may not take any client under the policy; empty when it may."""
    if not unit.accepting:
        return unit.not_accepting_reason or "takes no new clients"
    return why_forbidden(unit, policy, fleet)


def constraints_of(policy: PlacementPolicy, fleet: PlacementFleet | None) -> tuple[Constraint, ...]:
    """All that hold for each unit of this fleet. Raises ValueError for a policy that asks which
    units there are where that is not said: nothing is allowed by leaving it out."""
    shard = policy.shuffle_shard
    if shard is None:
        return policy.constraints
    if fleet is None:
        raise ValueError("which units a tenant has depends on the fleet, and none is given")
    return (*policy.constraints, shard.constraint(fleet))


def why_forbidden(
    unit: PlacementUnit, policy: PlacementPolicy, fleet: PlacementFleet | None = None
) -> str:
    """Why the policy keeps its clients off this unit of the fleet, whatever the unit takes at
    present; empty when it does not."""
    if policy.denied:
        return policy.denied
    for constraint in constraints_of(policy, fleet):
        if reason := constraint.why_not(unit):
            return reason
    return ""


def allows(
    unit: PlacementUnit,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    fleet: PlacementFleet | None = None,
) -> bool:
    """Whether a client may live in this unit of the fleet, by the policy or by what it spills over
    to, whatever the unit takes at present."""
    stage: PlacementPolicy | None = policy
    while stage is not None:
        if not why_forbidden(unit, stage, fleet):
            return not why_not_here(unit, location, tenant)
        stage = stage.spillover
    return False


def why_not_here(unit: PlacementUnit, location: Location, tenant: str) -> str:
    """Why this unit does not serve the tenant or the place; empty when it does."""
    if unit.tenants and tenant not in unit.tenants:
        return f"serves only {_listed('tenant', unit.tenants)}"
    serves = unit.serves
    if not serves.countries and not serves.continents:
        return ""
    if location.country and location.country in serves.countries:
        return ""
    if location.continent and location.continent in serves.continents:
        return ""
    areas = [
        _listed(kind, codes)
        for kind, codes in (("country", serves.countries), ("continent", serves.continents))
        if codes
    ]
    where = location.country or "an unknown country"
    return f"serves only {' and '.join(areas)}; the client is in {where}"


def _listed(noun: str, names: tuple[str, ...]) -> str:
    plural = {"country": "countries", "continent": "continents", "tenant": "tenants"}
    return f"{noun if len(names) == 1 else plural[noun]} {', '.join(names)}"
