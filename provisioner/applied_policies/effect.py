"""PolicyEffect: what a policy would mean for the clients that a tenant has, counted beforehand.

Every client is taken where its record says it was, as for a move. Nothing is changed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from control_plane import keys
from control_plane.store.damaged import UNREADABLE
from provisioner.applied_policies.followed_pins import FollowedPins
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.client_keys import ClientKeys
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy, allows
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.policy.certainty import certainty_of
from provisioner.policy.compiled import CompiledPolicy

PAGE = 500
SLICE = 100  # clients, before other calls get the event loop
MOST_CLIENTS = 100_000  # that are counted; of a larger tenant the first by id


@dataclass(slots=True, kw_only=True)
class PolicyEffect:
    """Clients. nowhere: whom no unit that takes clients may take; displaced: who live in a unit
    that the policy keeps them off; whole: whether all of the tenant's were counted."""

    clients: int = 0
    nowhere: int = 0
    displaced: int = 0
    whole: bool = True
    by_rule: Counter[str] = field(default_factory=Counter)  # of those nowhere: rules that did it
    by_certainty: Counter[str] = field(default_factory=Counter)  # of the location


async def effect_of(
    compiled: CompiledPolicy,
    fleet: PlacementFleet,
    clients: ClientKeys,
    pins: FollowedPins | None = None,
    *,
    most: int = MOST_CLIENTS,
) -> PolicyEffect:
    """Of a policy that was not applied yet, and of the pins beside it. Raises StoreUnavailable."""

    def policy_of(record: AssignmentRecord, key: bytes) -> PlacementPolicy:
        policy = compiled.of(record.location, record.placed_by(key))
        return policy if pins is None else pins.applied(policy, key)

    effect = PolicyEffect()
    prefix = keys.assignment(compiled.tenant, "")
    units: dict[str, PlacementUnit] = {unit.id: unit for unit in fleet.units}
    eligibilities: dict[PlacementPolicy, Eligibility] = {}
    after: bytes | None = None
    while True:
        page = await clients.range(prefix, start_after=after, limit=PAGE)
        for start in range(0, len(page.items), SLICE):
            for pair in page.items[start : start + SLICE]:
                try:
                    record = decode_assignment(pair.value)
                except UNREADABLE:
                    continue
                policy = policy_of(record, pair.key)
                _count(effect, compiled, eligibilities, fleet, policy, record)
                unit = units.get(record.unit)
                if unit and not allows(unit, policy, record.location, compiled.tenant, fleet):
                    effect.displaced += 1
            await asyncio.sleep(0)
        if not page.more:
            return effect
        if effect.clients >= most:
            effect.whole = False
            return effect
        after = page.items[-1].key


def _count(
    effect: PolicyEffect,
    compiled: CompiledPolicy,
    eligibilities: dict[PlacementPolicy, Eligibility],
    fleet: PlacementFleet,
    policy: PlacementPolicy,
    record: AssignmentRecord,
) -> None:
    location, tenant = record.location, compiled.tenant
    effect.clients += 1
    certainty = certainty_of(location, compiled.document.certain_within_km)
    effect.by_certainty[certainty.value] += 1
    stage: PlacementPolicy | None = policy
    first = None
    while stage is not None:
        if stage not in eligibilities:
            if len(eligibilities) > 256:
                eligibilities.clear()
            eligibilities[stage] = Eligibility(fleet, stage)
        eligible = eligibilities[stage].of(location, tenant)
        if len(eligible.indices):
            return
        first = first or eligible
        stage = stage.spillover
    effect.nowhere += 1
    assert first is not None
    effect.by_rule.update(first.emptied_by)
