"""The plan of one process of a load with events: who publishes what, when and which way. Pure.

Arrivals, users and time zones are those of any load, of users who are all there already. What an
event leads to is drawn apart, so that the same seed has the same users come with any mix.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulation.load.events.event_kinds import EventKind, EventSettings
from simulation.load.plan import LoadPlan, Longitudes, plan_of
from simulation.load.settings import LoadSettings
from simulation.load.user_kinds import UserKind

_DRAWN = 1  # added to the seed's stream


def event_plan_of(
    settings: LoadSettings, events: EventSettings, process: int, longitudes: Longitudes
) -> LoadPlan:
    """The plan of process number `process`; kinds are `kind_of`'s numbers, places the number of the
    rule that an invoking event is for. Events that change plans are of users 0 to plans - 1, whose
    process does not matter."""
    everybody = replace(settings, mix={UserKind.KNOWN: 1.0})
    base = plan_of(everybody, process, longitudes)
    rng = np.random.default_rng((settings.seed, process, _DRAWN))
    count = len(base.at_s)
    weights = np.array([events.mix.get(kind, 0.0) for kind in EventKind])
    kinds = rng.choice(len(weights), size=count, p=weights / weights.sum()).astype(np.uint8)
    ways = (rng.random(count) < events.http_share).astype(np.uint8)
    rules = rng.integers(events.rules, size=count, dtype=np.uint16)
    owners = rng.integers(min(events.plans, settings.users), size=count, dtype=np.int64)
    return LoadPlan(
        at_s=base.at_s,
        kinds=(kinds << 1 | ways).astype(np.uint8),
        users=np.where(kinds == EventKind.CHANGING, owners, base.users),
        places=np.where(kinds == EventKind.INVOKING, rules, 0).astype(np.uint16),
        prepared=base.prepared[:0],
    )
