"""Which units may take a client at all, and why the others may not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from provisioner.geo.location import Location
from provisioner.placement.fleet import PlacementUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementPolicy:
    """A tenant's rules. The default allows everything.

    The uncertainty of a location, within which units count as equally near, is taken to be
    no less than `least_uncertainty_km` (raise it to share load between units of one city)
    and no more than `most_uncertainty_km` (lower it where a vague location, the centre of a
    large country, would make half a continent equal).
    """

    revision: int = 0
    nowhere: Literal["spread", "refuse"] = "spread"  # what a client without location gets
    least_uncertainty_km: float = 0.0
    most_uncertainty_km: float = float("inf")
    allowed_countries: tuple[str, ...] = ()  # units only in these; empty: anywhere
    denied_countries: tuple[str, ...] = ()  # no units in these
    required_labels: Mapping[str, str] = field(default_factory=dict)  # units have all of these
    kept: int = 16  # candidates kept per location, at least 1

    def bounded(self, uncertainty_km: float) -> float:
        """Within how many km units count as equally near to a location that is so uncertain."""
        return max(self.least_uncertainty_km, min(self.most_uncertainty_km, uncertainty_km))


def why_not(unit: PlacementUnit, policy: PlacementPolicy, location: Location, tenant: str) -> str:
    """Why this unit may not take a client of `tenant` at `location`; empty when it may."""
    return why_never(unit, policy) or why_not_here(unit, location, tenant)


def why_never(unit: PlacementUnit, policy: PlacementPolicy) -> str:
    """Why this unit may not take any client under the policy; empty when it may."""
    if not unit.accepting:
        return unit.not_accepting_reason or "takes no new clients"
    if policy.allowed_countries and unit.country not in policy.allowed_countries:
        return f"is in {unit.country}, outside the countries the policy allows"
    if unit.country in policy.denied_countries:
        return f"is in {unit.country}, which the policy denies"
    for name, value in policy.required_labels.items():
        if unit.labels.get(name) != value:
            return f"lacks the label {name}={value} that the policy requires"
    return ""


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
