"""UnitRegistry: reads and writes the records of units in the store.

Every write is one transaction that compares what it was decided on, so two operators cannot
overwrite each other unseen, and a change of capacity goes with the unit's capacity record and,
where clients lose room, with a new fence (docs/ledger.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace

from control_plane import keys
from control_plane.errors import Conflict, Refused
from control_plane.fleet.capacity import encode_capacity
from control_plane.fleet.records import decode_status, decode_unit, encode_lifecycle, encode_unit
from control_plane.fleet.unit import UnitSpec
from control_plane.fleet.unit_reader import AssignmentClusters, UnitReader
from control_plane.fleet.unit_removal import UnitRemoval
from control_plane.fleet.unit_view import (
    UnitSnapshot,
    UnitView,
    changed_since,
    last_seen_views,
    revision_of,
    was_removed,
)
from control_plane.store.port import Delete, KeyValue, Operation, Put, Store, Txn, unchanged

ATTEMPTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """On which terms a spec is applied.

    fields: of the spec, which are written where the unit is there already; none: all of them.
    registering: by the unit's own agent, when it starts: it may not undo what an operator did
    since it applied the same spec before. dry_run: nothing is written.
    """

    expected_revision: int = 0
    fields: frozenset[str] = frozenset()
    registering: bool = False
    dry_run: bool = False


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
        self._removal = UnitRemoval(store, self._reader, clock=clock, wall=wall)

    async def apply(self, spec: UnitSpec, request: ApplyRequest | None = None) -> UnitView:
        """Writes a checked spec, or those fields of it that are asked for.

        Raises Conflict when a revision is expected and the unit is not at that one any more, or
        when others keep changing it; Refused when an agent registers a unit that was removed.
        """
        request = request or ApplyRequest()
        for _ in range(ATTEMPTS):
            seen = await self._reader.snapshot(spec.id)
            if request.expected_revision and seen.revision != request.expected_revision:
                raise changed_since(spec.id, request.expected_revision)
            if request.registering and seen.removed is not None:
                raise Refused(was_removed(spec.id, seen.removed))
            view, writes = self._planned(applied_over(seen, spec, request), seen)
            if request.dry_run:
                return view
            if request.registering:
                if seen.applied is None or decode_unit(seen.applied) != spec:
                    writes.append(Put(keys.applied(spec.id), encode_unit(spec)))
            elif seen.removed is not None:
                writes.append(Delete(keys.removed(spec.id)))
            if not writes:
                await self._reader.raise_gates(spec.id)
                return view
            result = await self._store.commit(
                Txn(
                    compares=[
                        unchanged(keys.unit(spec.id), revision_of(seen.unit)),
                        unchanged(keys.capacity(spec.id), revision_of(seen.capacity)),
                        unchanged(keys.lifecycle(spec.id), revision_of(seen.lifecycle)),
                        unchanged(keys.applied(spec.id), revision_of(seen.applied)),
                        unchanged(keys.removed(spec.id), revision_of(seen.removed)),
                    ],
                    then=writes,
                )
            )
            if result.succeeded:
                await self._reader.raise_gates(spec.id)
                changed = any(one.key == keys.unit(spec.id) for one in writes)
                return replace(view, revision=result.revision) if changed else view
        raise Conflict(f"unit {spec.id} keeps changing under this request; try again")

    def _planned(self, spec: UnitSpec, seen: UnitSnapshot) -> tuple[UnitView, list[Operation]]:
        """The unit as it will be, but for its revision, and what has to be written for that."""
        writes: list[Operation] = []
        if seen.unit is None or decode_unit(seen.unit) != spec:
            writes.append(Put(keys.unit(spec.id), encode_unit(spec)))
        before = seen.record
        after = replace(before, capacity=spec.capacity)
        if seen.capacity is None or after != before:
            writes.append(Put(keys.capacity(spec.id), encode_capacity(after)))
        state = seen.state
        if seen.lifecycle is None and seen.unit is None:
            state = replace(state, since_ms=int(self._wall() * 1000))
            writes.append(Put(keys.lifecycle(spec.id), encode_lifecycle(state)))
        if seen.capacity is not None and after.capacity < before.capacity:
            writes.append(Put(keys.fence(spec.id), b"%d" % spec.capacity))
        view = UnitView(
            spec=spec,
            endpoint=seen.endpoint_of(spec),
            revision=seen.revision,
            status=decode_status(seen.live) if seen.live else None,
            capacity=after,
            clients=seen.clients,
            lifecycle=state,
        )
        return view, writes

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


def applied_over(seen: UnitSnapshot, spec: UnitSpec, request: ApplyRequest) -> UnitSpec:
    """The spec as it is to be, where this one is applied over what is there. Pure."""
    if seen.unit is None:
        return spec
    stands, written = decode_unit(seen.unit), request.fields
    if request.registering:
        # What the agent says now and did not say the last time; all else is an operator's word.
        last = decode_unit(seen.applied) if seen.applied is not None else spec
        written = frozenset(
            field.name
            for field in fields(UnitSpec)
            if getattr(last, field.name) != getattr(spec, field.name)
        )
    elif not written:
        return spec
    return replace(stands, **{name: getattr(spec, name) for name in written})
