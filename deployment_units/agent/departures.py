"""Records the departures that heartbeats bring: which clients have left the unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from control_plane.identity.departures import Departed, DepartureMemory
from deployment_units.agent.capacity_limit import CapacityLimit
from homeport.api.fleet.v1 import fleet_pb2 as pb

DECIDED_BEFORE_S = 30.0  # at most so long after it was decided a departure is written


def record_departures(
    memory: DepartureMemory,
    limit: CapacityLimit,
    departures: Iterable[pb.Departure],
    *,
    wall: Callable[[], float],
) -> None:
    """What is reported has happened, so a departure is over now at the latest, also by a clock
    that runs ahead of ours; else tickets issued after it would be refused. limit counts them no
    more. wall: Unix seconds."""
    now = wall()
    for departure in departures:
        limit.leave(departure.tenant, departure.client_id)
        decided_at = departure.depart_time.seconds + departure.depart_time.nanos / 1e9
        memory.note(
            departure.tenant,
            departure.client_id,
            Departed(
                epoch=departure.epoch,
                unit_id=departure.unit_id,
                endpoint=departure.endpoint,
                decided_at=decided_at,
                over_at=min(decided_at + DECIDED_BEFORE_S, now),
                first_ms=departure.first_assign_time.ToMilliseconds(),
            ),
        )
