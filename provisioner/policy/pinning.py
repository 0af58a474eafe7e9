"""Pinning: the policy of a client that has to live in one unit, whatever else holds for it. Pure.

A pin is a constraint besides those of the policy's rules: together with one that keeps the client
off the unit it leaves no unit, and nobody is placed where a rule forbids it.
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.selectors import Constraint, UnitSelector

RULE = "pin"
DAMAGED = "the record of this client's pin cannot be read"


def pinned(policy: PlacementPolicy, unit: str) -> PlacementPolicy:
    """For its pools as well. unit: empty: which one it is cannot be read, so there is none."""
    if not unit:
        return replace(policy, denied=DAMAGED, denied_by=RULE, spillover=None)
    only = Constraint(rule=f"{RULE}:{unit}", selector=UnitSelector(units=frozenset({unit})))
    stage = policy.spillover
    return replace(
        policy,
        constraints=(*policy.constraints, only),
        spillover=None if stage is None else pinned(stage, unit),
    )
