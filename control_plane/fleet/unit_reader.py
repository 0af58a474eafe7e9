"""UnitReader: reads the records of units, wherever their clients are counted.

Each read is of one revision of the store. Where assignments are in clusters of their own, the
clients there are counted as well, at a moment close by.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from control_plane import keys
from control_plane.fleet.unit_view import (
    UnitSnapshot,
    UnitView,
    clients_in_clusters,
    views_from_pairs,
)
from control_plane.store.port import Get, Store, Txn, range_all
from control_plane.store.shared_read import SharedRead

log = logging.getLogger(__name__)


class AssignmentClusters(Protocol):
    """The assignment clusters, where assignments are not in the store itself."""

    async def counted(self) -> Mapping[tuple[str, str], int | None]:
        """Usage by (unit, provisioner), in all clusters; None: it cannot be read. Raises
        StoreUnavailable."""
        ...

    async def raise_gates(self, unit_id: str) -> None:
        """Returns when every cluster has the unit's fence as it is now. Raises Unavailable."""
        ...


class UnitReader:
    """Over one store. Raises StoreUnavailable besides what is said. clusters: where clients
    are counted, if not in the store alone."""

    def __init__(self, store: Store, clusters: AssignmentClusters | None = None) -> None:
        self._store = store
        self._clusters = clusters
        self._told: set[str] = set()  # units that are left out, each logged once
        self._list_now = SharedRead(lambda: self._list(at_revision=0))

    async def list(self, *, at_revision: int = 0) -> tuple[Sequence[UnitView], int]:
        """All units by id, and the revision at which they were read; 0: now. One with a damaged
        record is left out, and logged once. Raises Compacted for a revision that is gone."""
        return await (self._list(at_revision=at_revision) if at_revision else self._list_now())

    async def _list(self, *, at_revision: int) -> tuple[Sequence[UnitView], int]:
        page = await range_all(self._store, keys.UNITS, at_revision=at_revision)
        pairs = list(page.items)
        for prefix in (keys.LIVE, keys.CAPACITY, keys.LIFECYCLE, keys.AGENTS, keys.USAGE):
            pairs += (await range_all(self._store, prefix, at_revision=page.revision)).items
        counted = await self._counted()
        left_out: dict[str, Exception] = {}
        views = views_from_pairs(pairs, counted, damaged=left_out.__setitem__)
        for name in left_out.keys() - self._told:
            log.error("leaving out unit %s, a record of it is damaged: %s", name, left_out[name])
        self._told = set(left_out)
        return views, page.revision

    async def snapshot(self, unit_id: str) -> UnitSnapshot:
        """Everything about one unit at one revision."""
        result = await self._store.commit(
            Txn(
                then=[
                    Get(keys.unit(unit_id)),
                    Get(keys.live(unit_id)),
                    Get(keys.capacity(unit_id)),
                    Get(keys.usage(unit_id, ""), prefix=True),
                    Get(keys.lifecycle(unit_id)),
                    Get(keys.agent(unit_id)),
                    Get(keys.applied(unit_id)),
                    Get(keys.removed(unit_id)),
                ]
            )
        )
        unit, live, capacity, usages, lifecycle, agent, applied, removed = result.results
        counted = await self._counted()
        return UnitSnapshot(
            unit=unit[0] if unit else None,
            live=live[0] if live else None,
            capacity=capacity[0] if capacity else None,
            usages=tuple(usages),
            lifecycle=lifecycle[0] if lifecycle else None,
            agent=agent[0] if agent else None,
            applied=applied[0] if applied else None,
            removed=removed[0] if removed else None,
            cluster_clients=clients_in_clusters(
                unit_id, capacity[0] if capacity else None, counted
            ),
        )

    async def raise_gates(self, unit_id: str) -> None:
        """After a new fence, before it is acknowledged: every assignment cluster has it.
        Raises Unavailable, and then the fence stands, but not everywhere yet."""
        if self._clusters is not None:
            await self._clusters.raise_gates(unit_id)

    async def _counted(self) -> Mapping[tuple[str, str], int | None]:
        return await self._clusters.counted() if self._clusters is not None else {}
