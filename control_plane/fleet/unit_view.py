"""UnitView and UnitSnapshot: everything the store holds about one unit, at one revision. Pure.

A snapshot keeps the raw records with their revisions, for whoever writes on the strength of
it; a view is what readers get. How many clients a unit has is counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from control_plane import keys
from control_plane.errors import Conflict, NotFound, ServiceError
from control_plane.fleet.capacity import CapacityRecord
from control_plane.fleet.lifecycle import LifecycleRecord, unwritten
from control_plane.fleet.records import (
    DamagedRecord,
    decode_agent,
    decode_capacity_record,
    decode_lifecycle,
    decode_status,
    decode_unit,
    decode_usage,
)
from control_plane.fleet.unit import UnitSpec, UnitStatus, serving_endpoint
from control_plane.store.damaged import UNREADABLE, name_in, shown_key
from control_plane.store.port import KeyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """One unit as the store shows it at one revision."""

    spec: UnitSpec
    endpoint: str  # where clients are sent; see `serving_endpoint`
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
    applied: KeyValue | None = None  # what its agent applied last
    removed: KeyValue | None = None  # that an operator removed it
    cluster_clients: int = 0  # counted in assignment clusters

    @property
    def record(self) -> CapacityRecord:
        if self.capacity is None:
            return CapacityRecord(capacity=0)
        return decode_capacity_record(self.capacity)

    @property
    def clients(self) -> int:
        here = sum(decode_usage(pair) for pair in self.usages if _is_here(pair))
        # Clusters are not read at one moment: below 0 means that the capacity record has
        # changed since, which whoever writes by this count finds out by its compare.
        return max(0, self.record.settled + here + self.cluster_clients)

    @property
    def state(self) -> LifecycleRecord:
        if self.lifecycle is None:
            return unwritten(had_agent=self.agent is not None)
        return decode_lifecycle(self.lifecycle)

    @property
    def revision(self) -> int:
        """Changes with the unit's record and with its state; 0: there is no such unit."""
        return max(revision_of(self.unit), revision_of(self.lifecycle)) if self.unit else 0

    def endpoint_of(self, spec: UnitSpec) -> str:
        """Where clients are sent, were this the spec."""
        return serving_endpoint(spec, decode_agent(self.agent) if self.agent else None)

    def view(self, unit_id: str) -> UnitView:
        """Raises NotFound."""
        if self.unit is None:
            raise NotFound(f"there is no unit {unit_id}")
        spec = decode_unit(self.unit)
        return UnitView(
            spec=spec,
            endpoint=self.endpoint_of(spec),
            revision=self.revision,
            status=decode_status(self.live) if self.live else None,
            capacity=self.record,
            clients=self.clients,
            lifecycle=self.state,
        )


def was_removed(unit_id: str, removed: KeyValue) -> str:
    """What its agent is told of a unit that an operator removed."""
    when = datetime.fromtimestamp(int(removed.value) / 1000, UTC)
    return (
        f"unit {unit_id} was removed by an operator on {when:%Y-%m-%d at %H:%M:%S UTC}; it comes "
        "back when an operator applies it: homeport units apply"
    )


def changed_since(unit_id: str, revision: int) -> Conflict:
    """The error for an edit that was decided on an older revision."""
    return Conflict(
        f"unit {unit_id} changed since revision {revision}; read it again and reapply your change"
    )


def _is_here(usage: KeyValue) -> bool:
    """Whether it is of a provisioner that has everything in this store; where the store is an
    assignment cluster too, others are counted there."""
    name = name_in(usage.key, keys.USAGE)
    return name is not None and not keys.cluster_of(name)


def revision_of(pair: KeyValue | None) -> int:
    """At which it was written; 0 for a key that is not there, as compares have it."""
    return pair.mod_revision if pair else 0


def views_from_pairs(
    pairs: Iterable[KeyValue],
    counted: Mapping[tuple[str, str], int | None] | None = None,
    *,
    damaged: Callable[[str, Exception], None] = lambda name, error: None,
) -> Sequence[UnitView]:
    """All units by id, as these records show them. counted: as `clients_in_clusters` has it.
    damaged: told of each unit with a record that cannot be decoded; it is left out. Keys that
    nobody of us wrote are passed over; replicas tell of them."""
    named: dict[bytes, dict[str, KeyValue]] = {
        prefix: {} for prefix in (keys.UNITS, keys.LIVE, keys.CAPACITY, keys.LIFECYCLE, keys.AGENTS)
    }
    usages: dict[str, list[KeyValue]] = {}
    for pair in pairs:
        for prefix, found in named.items():
            if pair.key.startswith(prefix) and (name := name_in(pair.key, prefix)):
                found[name] = pair
        if pair.key.startswith(keys.USAGE) and (name := name_in(pair.key, keys.USAGE)):
            usages.setdefault(name.rpartition("/")[0], []).append(pair)
    views = []
    for name, unit_pair in sorted(named[keys.UNITS].items()):
        try:
            snapshot = UnitSnapshot(
                unit=unit_pair,
                live=named[keys.LIVE].get(name),
                capacity=named[keys.CAPACITY].get(name),
                usages=tuple(usages.get(name, ())),
                lifecycle=named[keys.LIFECYCLE].get(name),
                agent=named[keys.AGENTS].get(name),
                cluster_clients=clients_in_clusters(
                    name, named[keys.CAPACITY].get(name), counted or {}
                ),
            )
            views.append(snapshot.view(name))
        except (ServiceError, *UNREADABLE) as error:
            damaged(name, error)
    return views


def last_seen_views(pairs: Iterable[KeyValue]) -> Sequence[UnitView]:
    """All units by id as these records show them, read earlier and without usage keys: who
    may have been handed out since counts as a client."""
    return [
        replace(view, clients=max(0, view.capacity.settled + view.capacity.granted))
        for view in views_from_pairs(pairs)
    ]


def clients_in_clusters(
    unit_id: str, capacity: KeyValue | None, counted: Mapping[tuple[str, str], int | None]
) -> int:
    """Clients of the provisioners that the unit's capacity record names. Others' are settled,
    or of a unit of that name that is gone. counted: usage by (unit, provisioner); None: it cannot
    be read. Raises DamagedRecord."""
    if capacity is None or not counted:
        return 0
    clients = 0
    for who in decode_capacity_record(capacity).grants:
        usage = counted.get((unit_id, who), 0)
        if usage is None:
            key = shown_key(keys.usage(unit_id, who))
            raise DamagedRecord(f"the record {key} of cluster {keys.cluster_of(who)} is damaged")
        clients += usage
    return clients
