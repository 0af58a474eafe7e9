"""The judge of the simulation: it sees all clusters at once, which nobody in the fleet can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control_plane import keys
from control_plane.fleet.capacity import decode_capacity
from provisioner.shards import client_keys
from provisioner.shards.shard_map import shard_of
from tests.provisioner.ledger.sharded.scenario import CLIENTS, UNITS, Violation
from tests.provisioner.ledger.sharded.simulated_cluster import Request

if TYPE_CHECKING:
    from tests.provisioner.ledger.sharded.simulated_fleet import SimulatedFleet


def truth(fleet: SimulatedFleet) -> dict[bytes, tuple[bytes, bytes | None]]:
    """Each client's assignment and hold, where its shard's owner has them."""
    shard_map, found = fleet.map, {}
    for client in CLIENTS:
        pairs = fleet.clusters[shard_map.owner(shard_of(client))].pairs
        home = pairs.get(client)
        if home is not None:
            held = pairs.get(client_keys.hold_of(client))
            belongs = held is not None and held.mod_revision == home.mod_revision
            found[client] = home.value, held.value if held is not None and belongs else None
    return found


def clients_at(fleet: SimulatedFleet) -> dict[str, int]:
    counts = dict.fromkeys(UNITS, 0)
    for home, _ in truth(fleet).values():
        counts[home.decode().split()[0]] += 1
    return counts


def judge(fleet: SimulatedFleet, request: Request, before: dict, counts: dict[str, int]) -> None:
    after, now = truth(fleet), clients_at(fleet)
    if request.cluster is fleet.control and after != before:
        lost = {c for c in set(before) | set(after) if before.get(c) != after.get(c)}
        raise Violation(f"a shard changed hands and {lost} with it")
    for unit in UNITS:
        record = decode_capacity(fleet.control.pairs[keys.capacity(unit)].value)
        used = 0
        for name, allowed in record.grants.items():
            cluster = fleet.clusters[keys.cluster_of(name)]
            pair = cluster.pairs.get(keys.usage(unit, name))
            usage = int(pair.value) if pair else 0
            used += usage
            if usage > allowed:
                raise Violation(f"{unit}: {name} used {usage} of {allowed}")
        if record.settled + used != now[unit]:
            raise Violation(f"{unit}: ledger says {record.settled}+{used}, not {now[unit]}")
        if now[unit] > counts[unit] and now[unit] > max(fleet.limits[unit]):
            raise Violation(f"{unit}: {now[unit]} clients of {fleet.limits[unit]}")
