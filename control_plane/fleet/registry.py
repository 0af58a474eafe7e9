"""UnitRegistry: reads and writes the records of units in the store.

Every write is one transaction that compares what it was decided on, so two operators cannot
overwrite each other unseen, and a change of capacity goes with the unit's capacity record and,
where clients lose room, with a new fence (docs/ledger.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from control_plane import keys
from control_plane.errors import Conflict
from control_plane.fleet.capacity import encode_capacity
from control_plane.fleet.records import decode_status, encode_lifecycle, encode_unit
from control_plane.fleet.unit import UnitSpec
from control_plane.fleet.unit_reader import AssignmentClusters, UnitReader
from control_plane.fleet.unit_removal import UnitRemoval
from control_plane.fleet.unit_view import (
    UnitSnapshot,
    UnitView,
    changed_since,
    last_seen_views,
    revision_of,
)
from control_plane.store.port import KeyValue, Operation, Put, Store, Txn, unchanged

ATTEMPTS = 10


class UnitRegistry:
    """Over one store. Raises StoreUnavailable and OutcomeUnknown besides what is said.
    clusters: where clients are counted, if not in the store as well. clock: monotonic
    seconds; wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        clusters: AssignmentClusters | None = None,
    ) -> None:
        self._store = store
        self._wall = wall
        self._reader = UnitReader(store, clusters)
        self._removal = UnitRemoval(store, self._reader, clock=clock)

    async def apply(self, spec: UnitSpec, *, expected_revision: int = 0) -> UnitView:
        """Creates or replaces the desired record of a checked spec.

        Raises Conflict when `expected_revision` is given and the record is not there at
        that revision any more.
        """
        unit_key, capacity_key = keys.unit(spec.id), keys.capacity(spec.id)
        for _ in range(ATTEMPTS):
            seen = await self._reader.snapshot(spec.id)
            if expected_revision and seen.revision != expected_revision:
                raise changed_since(spec.id, expected_revision)
            writes: list[Operation] = [Put(unit_key, encode_unit(spec))]
            before = seen.record
            after = replace(before, capacity=spec.capacity)
            if seen.capacity is None or after != before:
                writes.append(Put(capacity_key, encode_capacity(after)))
            state = seen.state
            if seen.lifecycle is None and seen.unit is None:
                state = replace(state, since_ms=int(self._wall() * 1000))
                writes.append(Put(keys.lifecycle(spec.id), encode_lifecycle(state)))
            if seen.capacity is not None and after.capacity < before.capacity:
                writes.append(Put(keys.fence(spec.id), b"%d" % spec.capacity))
            result = await self._store.commit(
                Txn(
                    compares=[
                        unchanged(unit_key, revision_of(seen.unit)),
                        unchanged(capacity_key, revision_of(seen.capacity)),
                        unchanged(keys.lifecycle(spec.id), revision_of(seen.lifecycle)),
                    ],
                    then=writes,
                )
            )
            if result.succeeded:
                await self._reader.raise_gates(spec.id)
                return UnitView(
                    spec=spec,
                    revision=result.revision,
                    status=decode_status(seen.live) if seen.live else None,
                    capacity=after,
                    clients=seen.clients,
                    lifecycle=state,
                )
        raise Conflict(f"unit {spec.id} keeps changing under this request; try again")

    async def get(self, unit_id: str) -> UnitView:
        """One unit. Raises NotFound."""
        return (await self._reader.snapshot(unit_id)).view(unit_id)

    async def snapshot(self, unit_id: str) -> UnitSnapshot:
        """Everything about one unit at one revision."""
        return await self._reader.snapshot(unit_id)

    async def list(self, *, at_revision: int = 0) -> tuple[Sequence[UnitView], int]:
        """All units by id, and the revision at which they were read; 0: now. Raises Compacted
        for one that is gone."""
        return await self._reader.list(at_revision=at_revision)

    def last_seen(self, pairs: Iterable[KeyValue]) -> Sequence[UnitView]:
        """See `last_seen_views`."""
        return last_seen_views(pairs)

    async def remove(
        self, unit_id: str, *, expected_revision: int = 0, dry_run: bool = False
    ) -> None:
        """Removes a unit without clients. Raises NotFound; Refused when it has clients, and
        then nothing has changed; Conflict when it changed since `expected_revision`, or when
        others kept changing it."""
        await self._removal.remove(unit_id, expected_revision=expected_revision, dry_run=dry_run)

    async def raise_gates(self, unit_id: str) -> None:
        """After a new fence, before it is acknowledged: every assignment cluster has it.
        Raises Unavailable, and then the fence stands, but not everywhere yet."""
        await self._reader.raise_gates(unit_id)
