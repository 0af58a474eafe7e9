"""Registry: reads and writes the records of units in the store.

Every write is one transaction that compares what it was decided on, so two operators
cannot overwrite each other unseen, and a change of capacity goes with its ledger and, where
clients lose room, with a new fence (docs/ledger.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.lifecycle import TAKING, LifecycleRecord, unwritten
from control_plane.fleet.records import (
    decode_ledger,
    decode_lifecycle,
    decode_status,
    decode_unit,
    encode_lifecycle,
    encode_unit,
)
from control_plane.fleet.unit import UnitSpec, UnitStatus
from control_plane.store.port import (
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Store,
    Txn,
    range_all,
    unchanged,
)

ATTEMPTS = 10
REMOVE_WAIT_S = 5.0  # how long provisioners get to give a closed unit's grants back
POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """One unit as the store shows it at one revision."""

    spec: UnitSpec
    revision: int  # of its desired record or its lifecycle, whichever was written last
    status: UnitStatus | None  # None: no agent holds the lease
    capacity: CapacityRecord
    clients: int  # assigned now
    lifecycle: LifecycleRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSnapshot:
    """A unit's keys at one revision."""

    unit: KeyValue | None
    live: KeyValue | None
    capacity: KeyValue | None
    usages: tuple[KeyValue, ...]
    lifecycle: KeyValue | None = None
    agent: KeyValue | None = None
    elsewhere: int = 0  # counted in assignment clusters

    @property
    def record(self) -> CapacityRecord:
        if self.capacity is None:
            return CapacityRecord(capacity=0)
        return decode_ledger(self.capacity)

    @property
    def clients(self) -> int:
        here = sum(int(pair.value) for pair in self.usages if _is_here(pair))
        # Clusters are not read at one moment: below 0 means that the ledger has changed since,
        # which whoever writes by this count finds out, because it compares the ledger.
        return max(0, self.record.settled + here + self.elsewhere)

    @property
    def state(self) -> LifecycleRecord:
        if self.lifecycle is None:
            return unwritten(had_agent=self.agent is not None)
        return decode_lifecycle(self.lifecycle)

    @property
    def revision(self) -> int:
        """Changes with the unit's record and with its state; 0: there is no such unit."""
        return max(_revision(self.unit), _revision(self.lifecycle)) if self.unit else 0

    def view(self, unit_id: str) -> UnitView:
        """Raises NotFound."""
        if self.unit is None:
            raise NotFound(f"there is no unit {unit_id}")
        return UnitView(
            spec=decode_unit(self.unit),
            revision=self.revision,
            status=decode_status(self.live) if self.live else None,
            capacity=self.record,
            clients=self.clients,
            lifecycle=self.state,
        )


def changed_since(unit_id: str, revision: int) -> Conflict:
    """What a stale edit is told."""
    return Conflict(
        f"unit {unit_id} changed since revision {revision}; read it again and reapply your change"
    )


def _is_here(usage: KeyValue) -> bool:
    """Whether it is of a provisioner that has everything in this store; where the store is an
    assignment cluster too, others count as elsewhere."""
    return not keys.cluster_of(usage.key.decode())


def _revision(pair: KeyValue | None) -> int:
    return pair.mod_revision if pair else 0


class ClusterCounts(Protocol):
    """The assignment clusters, where assignments are not in the store itself."""

    async def counted(self) -> Mapping[tuple[str, str], int]:
        """Usage by (unit, provisioner), in all clusters. Raises StoreUnavailable."""
        ...

    async def raise_gates(self, unit_id: str) -> None:
        """Returns when every cluster has the unit's fence as it is now. Raises Unavailable."""
        ...


class UnitRegistry:
    """Over one store. Raises StoreUnavailable and OutcomeUnknown besides what is said.
    elsewhere: where clients are counted, if not in the store as well. clock: monotonic
    seconds; wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        elsewhere: ClusterCounts | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wall = wall
        self._elsewhere = elsewhere

    async def apply(self, spec: UnitSpec, *, expected_revision: int = 0) -> UnitView:
        """Creates or replaces the desired record of a checked spec.

        Raises Conflict when `expected_revision` is given and the record is not there at
        that revision any more.
        """
        unit_key, capacity_key = keys.unit(spec.id), keys.capacity(spec.id)
        for _ in range(ATTEMPTS):
            seen = await self.snapshot(spec.id)
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
                        unchanged(unit_key, _revision(seen.unit)),
                        unchanged(capacity_key, _revision(seen.capacity)),
                        unchanged(keys.lifecycle(spec.id), _revision(seen.lifecycle)),
                    ],
                    then=writes,
                )
            )
            if result.succeeded:
                await self.raise_gates(spec.id)
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
        return (await self.snapshot(unit_id)).view(unit_id)

    async def list(self, *, at_revision: int = 0) -> tuple[Sequence[UnitView], int]:
        """All units by id, and the revision at which they were read; 0: now. Raises Compacted
        for one that is gone."""
        page = await range_all(self._store, keys.UNITS, at_revision=at_revision)
        pairs = list(page.items)
        for prefix in (keys.LIVE, keys.CAPACITY, keys.LIFECYCLE, keys.AGENTS, keys.USAGE):
            pairs += (await range_all(self._store, prefix, at_revision=page.revision)).items
        counted = await self._elsewhere.counted() if self._elsewhere is not None else {}
        return self._views(pairs, counted), page.revision

    def last_seen(self, pairs: Iterable[KeyValue]) -> Sequence[UnitView]:
        """All units by id as these records show them, read earlier and without usage keys: who
        may have been handed out since counts as a client."""
        return [
            replace(view, clients=max(0, view.capacity.settled + view.capacity.granted))
            for view in self._views(pairs)
        ]

    def _views(
        self, pairs: Iterable[KeyValue], counted: Mapping[tuple[str, str], int] | None = None
    ) -> Sequence[UnitView]:
        named: dict[bytes, dict[str, KeyValue]] = {
            prefix: {}
            for prefix in (keys.UNITS, keys.LIVE, keys.CAPACITY, keys.LIFECYCLE, keys.AGENTS)
        }
        usages: dict[str, list[KeyValue]] = {}
        for pair in pairs:
            for prefix, found in named.items():
                if pair.key.startswith(prefix):
                    found[pair.key[len(prefix) :].decode()] = pair
            if pair.key.startswith(keys.USAGE):
                unit = pair.key[len(keys.USAGE) :].decode().rpartition("/")[0]
                usages.setdefault(unit, []).append(pair)
        views = []
        for name, unit_pair in sorted(named[keys.UNITS].items()):
            snapshot = UnitSnapshot(
                unit=unit_pair,
                live=named[keys.LIVE].get(name),
                capacity=named[keys.CAPACITY].get(name),
                usages=tuple(usages.get(name, ())),
                lifecycle=named[keys.LIFECYCLE].get(name),
                agent=named[keys.AGENTS].get(name),
                elsewhere=_counted_at(name, named[keys.CAPACITY].get(name), counted or {}),
            )
            views.append(snapshot.view(name))
        return views

    async def remove(
        self, unit_id: str, *, expected_revision: int = 0, dry_run: bool = False
    ) -> None:
        """Removes a unit without clients. Raises NotFound; Refused when it has clients, and
        then nothing has changed; Conflict when it changed since `expected_revision`, or when
        others kept changing it."""
        end = self._clock() + REMOVE_WAIT_S
        closed_here = removed = False
        try:
            while not removed:
                seen = await self.snapshot(unit_id)
                if seen.unit is None:
                    raise NotFound(f"there is no unit {unit_id}")
                if expected_revision and seen.revision != expected_revision:
                    raise changed_since(unit_id, expected_revision)
                if seen.clients > 0:
                    raise Refused(
                        f"unit {unit_id} has {seen.clients:,} clients; drain it, or release "
                        "them, first"
                    )
                if dry_run:
                    return
                if seen.record.vacant:
                    removed = await self._delete(unit_id, seen)
                elif seen.record.open:
                    closed_here = True  # before the write: its outcome may stay unknown
                    await self._set_open(unit_id, False)
                    await self.raise_gates(unit_id)
                if not removed:
                    if self._clock() > end:
                        raise Conflict(
                            f"unit {unit_id} still has slots reserved by a provisioner; "
                            "try again shortly"
                        )
                    await asyncio.sleep(POLL_S)
        finally:
            # Also when the operator's call was cancelled: nobody else would open it again.
            if closed_here and not removed:
                await self._reopen(unit_id)

    async def raise_gates(self, unit_id: str) -> None:
        """After a new fence, before it is acknowledged: every assignment cluster has it.
        Raises Unavailable, and then the fence stands, but not everywhere yet."""
        if self._elsewhere is not None:
            await self._elsewhere.raise_gates(unit_id)

    async def _reopen(self, unit_id: str) -> None:
        for _ in range(ATTEMPTS):
            if await self._set_open(unit_id, True):
                return

    async def _delete(self, unit_id: str, seen: UnitSnapshot) -> bool:
        compares = [
            unchanged(keys.unit(unit_id), _revision(seen.unit)),
            unchanged(keys.capacity(unit_id), _revision(seen.capacity)),
            unchanged(keys.lifecycle(unit_id), _revision(seen.lifecycle)),
            *(unchanged(pair.key, pair.mod_revision) for pair in seen.usages),
        ]
        result = await self._store.commit(
            Txn(
                compares=compares,
                then=[
                    Delete(keys.unit(unit_id)),
                    Delete(keys.capacity(unit_id)),
                    Delete(keys.fence(unit_id)),
                    Delete(keys.starving(unit_id)),
                    Delete(keys.agent(unit_id)),
                    Delete(keys.live(unit_id)),
                    Delete(keys.lifecycle(unit_id)),
                    Delete(keys.usage(unit_id, ""), prefix=True),
                ],
            )
        )
        return result.succeeded

    async def _set_open(self, unit_id: str, is_open: bool) -> bool:
        """Opens or closes a unit for new clients, with a new fence; False when it changed
        meanwhile. One that takes none by its state stays closed."""
        seen = await self.snapshot(unit_id)
        if seen.capacity is None:
            return False
        is_open = is_open and seen.state.state in TAKING
        key = keys.capacity(unit_id)
        result = await self._store.commit(
            Txn(
                compares=[
                    unchanged(key, seen.capacity.mod_revision),
                    unchanged(keys.lifecycle(unit_id), _revision(seen.lifecycle)),
                ],
                then=[
                    Put(key, encode_capacity(replace(seen.record, open=is_open))),
                    Put(keys.fence(unit_id), b"open" if is_open else b"closed"),
                ],
            )
        )
        return result.succeeded

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
                ]
            )
        )
        unit, live, capacity, usages, lifecycle, agent = result.results
        counted = await self._elsewhere.counted() if self._elsewhere is not None else {}
        return UnitSnapshot(
            unit=unit[0] if unit else None,
            live=live[0] if live else None,
            capacity=capacity[0] if capacity else None,
            usages=tuple(usages),
            lifecycle=lifecycle[0] if lifecycle else None,
            agent=agent[0] if agent else None,
            elsewhere=_counted_at(unit_id, capacity[0] if capacity else None, counted),
        )


def _counted_at(
    unit_id: str, capacity: KeyValue | None, counted: Mapping[tuple[str, str], int]
) -> int:
    """Clients of those who stand in the unit's ledger. Others' are settled, or of a unit of
    that name that is gone."""
    if capacity is None or not counted:
        return 0
    grants = decode_ledger(capacity).grants
    return sum(counted.get((unit_id, who), 0) for who in grants)
