"""ClusterCounts: what the unit registry asks of the clusters that hold assignments."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from control_plane import keys
from control_plane.errors import Conflict
from control_plane.fleet.records import DamagedRecord, decode_usage
from control_plane.store.damaged import name_in
from control_plane.store.port import OutcomeUnknown, Store, range_all
from provisioner.ledger.sharded import cross_cluster_transactions

ATTEMPTS = 20


class ClusterCounts:
    """clusters: stores by name."""

    def __init__(self, control: Store, clusters: Mapping[str, Store]) -> None:
        self._control = control
        self._clusters = clusters

    async def counted(self) -> Mapping[tuple[str, str], int | None]:
        """Usage by (unit, provisioner); None: it cannot be read. Raises StoreUnavailable."""
        pages = await asyncio.gather(
            *(range_all(store, keys.USAGE) for store in self._clusters.values())
        )
        found: dict[tuple[str, str], int | None] = {}
        for page in pages:
            for pair in page.items:
                unit, _, who = (name_in(pair.key, keys.USAGE) or "").rpartition("/")
                if keys.cluster_of(who):
                    try:
                        found[unit, who] = decode_usage(pair)
                    except DamagedRecord:
                        found[unit, who] = None
        return found

    async def raise_gates(self, unit_id: str) -> None:
        """Returns when the gate of every cluster says what the fence says now. Raises
        Unavailable, Conflict."""
        fence = await self._control.get(keys.fence(unit_id))
        if fence is None:
            return
        await asyncio.gather(
            *(_raise(store, unit_id, fence.mod_revision) for store in self._clusters.values())
        )


async def _raise(store: Store, unit_id: str, fence_revision: int) -> None:
    for _ in range(ATTEMPTS):
        gate = await store.get(keys.gate(unit_id))
        if cross_cluster_transactions.gate_says(gate) >= fence_revision:
            return
        stale = cross_cluster_transactions.StaleGate(
            unit=unit_id, revision=gate.mod_revision if gate else 0, fence=fence_revision
        )
        try:
            result = await store.commit(cross_cluster_transactions.update_gate(stale))
        except OutcomeUnknown:
            continue
        if result.succeeded:
            return
    raise Conflict(f"the gate of unit {unit_id} keeps changing; try again")
