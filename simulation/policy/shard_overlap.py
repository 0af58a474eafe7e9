"""Overlap: how much tenants share of their shuffle shards, counted and as expected.

Of n units a tenant has k at random. Two tenants have all of them in common with probability
1 / C(n, k), none with C(n - k, k) / C(n, k), and k^2 / n of them on average (hypergeometric; C.
MacCarthaigh, "Workload isolation using shuffle-sharding", The Amazon Builders' Library).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from control_plane.errors import InvalidInput
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.shuffle_shards import NO_UNIT, ShuffleShard
from provisioner.policy.document import ShuffleSharding

MOST_TENANTS = 2_000  # each is compared with each


def overlap_of(
    sharding: ShuffleSharding, fleet: PlacementFleet, tenant: str, others: Sequence[str]
) -> dict[str, Any]:
    """Of these tenants, had all of them this policy. Raises InvalidInput for too many."""
    tenants = list(dict.fromkeys([tenant, *others]))
    if len(tenants) > MOST_TENANTS:
        raise InvalidInput("tenants", f"more than {MOST_TENANTS:,} tenants are compared")
    shards = [_shard(sharding, fleet, one) for one in tenants]
    known = {unit: at for at, unit in enumerate(sorted(set().union(*shards)))}
    has = np.zeros((len(tenants), len(known)), dtype=np.float32)
    for at, shard in enumerate(shards):
        has[at, [known[unit] for unit in shard]] = 1.0
    shared = np.rint(has @ has.T).astype(np.int64)
    pairs = shared[np.triu_indices(len(tenants), k=1)]
    sizes = has.sum(axis=1).astype(np.int64)
    # Who has no unit that this tenant has not: all of its units go where this tenant's go.
    within = int(((shared[0, 1:] == sizes[1:]) & (sizes[1:] > 0)).sum())
    among = sum(sharding.among.matches(unit) for unit in fleet.units)
    count = len(pairs)
    return {
        "tenant": tenant,
        "units": sorted(shards[0]),
        "tenants": len(tenants),
        "among": among,
        "share_all": _part(int((pairs >= min(sharding.units, among)).sum()), count),
        "share_any": _part(int((pairs > 0).sum()), count),
        "shared_on_average": round(float(pairs.mean()), 4) if count else 0.0,
        "tenants_by_shared_units": {
            str(units): int(times)
            for units, times in enumerate(np.bincount(shared[0, 1:]).tolist() if others else [])
        },
        "lose_all_with_it": _part(within, len(tenants) - 1),
        "most_tenants_of_a_unit": int(has.sum(axis=0).max()) if known else 0,
        "least_tenants_of_a_unit": int(has.sum(axis=0).min()) if known else 0,
        "expected": expected_overlap(among, sharding.units),
    }


def expected_overlap(units: int, shard: int) -> dict[str, float]:
    """Of two tenants that have `shard` of so many units each, by the formulas above.

    >>> expected_overlap(8, 2)
    {'share_all': 0.035714, 'share_any': 0.464286, 'shared_on_average': 0.5}
    """
    size = min(units, shard)
    if not size:
        return {"share_all": 0.0, "share_any": 0.0, "shared_on_average": 0.0}
    ways = comb(units, size)
    return {
        "share_all": round(1 / ways, 6) if ways < 1 << 60 else 0.0,
        "share_any": round(1 - comb(units - size, size) / ways, 6),
        "shared_on_average": round(size * size / units, 6),
    }


def _shard(sharding: ShuffleSharding, fleet: PlacementFleet, tenant: str) -> frozenset[str]:
    asked = ShuffleShard(tenant=tenant, units=sharding.units, among=sharding.among)
    found = asked.constraint(fleet).selector.units
    return frozenset() if found == NO_UNIT else found


def _part(some: int, of: int) -> float:
    return round(some / of, 6) if of else 0.0
