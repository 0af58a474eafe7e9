"""Encodes and decodes stored records of units, tenants and jobs: JSON, one record a key.

Unknown fields are ignored when reading, so that an older server lives beside a newer one. A
record that cannot be read raises DamagedRecord, which names its key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from control_plane.errors import ServiceError
from control_plane.fleet.capacity import CapacityRecord
from control_plane.fleet.lifecycle import LifecycleRecord
from control_plane.fleet.move_job import MoveJob
from control_plane.fleet.unit import AgentRecord, TenantSpec, UnitSpec, UnitStatus
from control_plane.printable import quoted
from control_plane.store.damaged import UNREADABLE, shown_key
from control_plane.store.port import KeyValue

T = TypeVar("T")


class DamagedRecord(ServiceError):
    """A stored record is not what it should be; somebody wrote past Homeport."""

    reason = "DAMAGED_RECORD"


_encoder = msgspec.json.Encoder(order="deterministic")
_units = msgspec.json.Decoder(UnitSpec)
_agents = msgspec.json.Decoder(AgentRecord)
_statuses = msgspec.json.Decoder(UnitStatus)
_tenants = msgspec.json.Decoder(TenantSpec)
_capacities = msgspec.json.Decoder(CapacityRecord)
_lifecycles = msgspec.json.Decoder(LifecycleRecord)
_jobs = msgspec.json.Decoder(MoveJob)


def encode_unit(spec: UnitSpec) -> bytes:
    """A unit's desired record."""
    return _encoder.encode(spec)


def decode_unit(pair: KeyValue) -> UnitSpec:
    """Raises DamagedRecord."""
    return _decode(_units, pair)


def encode_status(status: UnitStatus) -> bytes:
    """A unit's live record."""
    return _encoder.encode(status)


def decode_status(pair: KeyValue) -> UnitStatus:
    """Raises DamagedRecord."""
    return _decode(_statuses, pair)


def encode_agent(agent: AgentRecord) -> bytes:
    """Who registered for a unit last."""
    return _encoder.encode(agent)


def decode_agent(pair: KeyValue) -> AgentRecord:
    """Raises DamagedRecord."""
    if not pair.value.startswith(b"{"):  # an earlier version wrote the incarnation alone
        return AgentRecord(incarnation=pair.value.decode(errors="replace"))
    return _decode(_agents, pair)


def decode_capacity_record(pair: KeyValue) -> CapacityRecord:
    """A unit's capacity record. Raises DamagedRecord."""
    return _decode(_capacities, pair)


def decode_usage(pair: KeyValue) -> int:
    """Net slots that a provisioner handed out at a unit. Raises DamagedRecord."""
    try:
        return int(pair.value)
    except ValueError as error:
        raise DamagedRecord(
            f"the record {shown_key(pair.key)} is damaged: {quoted(pair.value)} is no number"
        ) from error


def encode_tenant(tenant: TenantSpec) -> bytes:
    """A tenant's record."""
    return _encoder.encode(tenant)


def decode_tenant(pair: KeyValue) -> TenantSpec:
    """Raises DamagedRecord."""
    return _decode(_tenants, pair)


def encode_lifecycle(record: LifecycleRecord) -> bytes:
    """A unit's state."""
    return _encoder.encode(record)


def decode_lifecycle(pair: KeyValue) -> LifecycleRecord:
    """Raises DamagedRecord."""
    return _decode(_lifecycles, pair)


def encode_job(job: MoveJob) -> bytes:
    """A job that moves clients."""
    return _encoder.encode(job)


def decode_job(pair: KeyValue) -> MoveJob:
    """Raises DamagedRecord."""
    return _decode(_jobs, pair)


def readable(pairs: Iterable[KeyValue], decode: Callable[[KeyValue], T]) -> Iterator[T]:
    """The records that can be decoded. Of the others nothing is said here, for lists are read
    often: the replica that follows them logs each once, and metrics name it."""
    for pair in pairs:
        try:
            yield decode(pair)
        except DamagedRecord:
            continue


def _decode(decoder: msgspec.json.Decoder[T], pair: KeyValue) -> T:
    try:
        return decoder.decode(pair.value)
    except UNREADABLE as error:
        raise DamagedRecord(
            f"the record {shown_key(pair.key)} is damaged ({error}); apply it again"
        ) from error
