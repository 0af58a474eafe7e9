"""Narrowing: which rules of a policy leave a client no unit. Pure.

Constraints are counted in the order in which the policy has them: how many units were left after
each, and which one left none. A rule that excluded nobody is not named.
"""

from __future__ import annotations

from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy, constraints_of, why_not_here
from provisioner.placement.fleet import PlacementFleet


def narrowing_of(
    fleet: PlacementFleet, policy: PlacementPolicy, location: Location, tenant: str
) -> tuple[str, tuple[str, ...]]:
    """How no unit is left, as a clause of a sentence, and the names of the rules that took part;
    ("", ()) where no rule took part, or units are left. Asks every unit of the fleet."""
    left = [unit for unit in fleet.units if unit.accepting]
    before = len(left)
    told, rules = [], []
    for constraint in constraints_of(policy, fleet):
        kept = [unit for unit in left if not constraint.why_not(unit)]
        if len(kept) < len(left):
            rules.append(constraint.rule)
            told.append(f"rule {constraint.rule} leaves {_count(len(kept))}")
        left = kept
        if not left:
            break
    if not rules:
        return "", ()
    if left and any(not why_not_here(unit, location, tenant) for unit in left):
        return "", ()
    if left:
        told.append("and these serve other tenants or areas")
    start = f"of {before:,} unit{'' if before == 1 else 's'} that may take clients "
    return start + ", ".join(told), tuple(dict.fromkeys(rules))


def _count(units: int) -> str:
    return f"{units:,}" if units else "none"
