"""What is told of clients that leave a unit, in the transaction that makes them leave.

DepartureRecord, under moves/<unit>/<tenant>/<client>: where a client went that moved. The
names of clients that were released, as RELEASED is rewritten with them. Both say less than
the assignment, which is the truth; they exist so that watchers, and the unit that was left,
hear of it without reading every new assignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from control_plane import keys
from control_plane.store.port import Put
from provisioner.ledger.assignment import AssignmentRecord, split_key


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartureRecord:
    """Where a client went."""

    epoch: int  # of the assignment it has now; of the one it had, when it has none
    unit: str  # its new unit; empty: it has no home any more
    cause: str  # drained, failed-over, …; hold-expired, released
    at_ms: int  # Unix time, ms
    first_ms: int = 0  # as AssignmentRecord has it


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DepartureRecord)
encode_departure = _encoder.encode
decode_departure = _decoder.decode
"""bytes -> DepartureRecord; raises msgspec.DecodeError on a damaged record."""


def split_departure_key(key: bytes) -> tuple[str, str, str]:
    """(unit, tenant, client_id) of a departure's key. Raises ValueError where it names no
    client."""
    unit, tenant, client_id = key[len(keys.MOVES) :].decode().split("/", 2)
    return unit, tenant, client_id


RELEASED = "released"


def left_home(key: bytes, record: AssignmentRecord, cause: str, *, at_ms: int, lease: int) -> Put:
    """The write that goes with a client's giving its home up. key: of its assignment."""
    tenant, client_id = split_key(key)
    departure = DepartureRecord(
        epoch=record.epoch, unit="", cause=cause, at_ms=at_ms, first_ms=record.first_ms
    )
    return Put(keys.move(record.unit, tenant, client_id), encode_departure(departure), lease)


_names_decoder = msgspec.json.Decoder(list[str])


def released(assignment_keys: Iterable[bytes]) -> Put:
    """The write that goes with the release of these clients."""
    start = len(keys.ASSIGNMENTS)
    return Put(keys.RELEASED, _encoder.encode([key[start:].decode() for key in assignment_keys]))


def decode_released(value: bytes) -> list[str]:
    """`<tenant>/<client>` of each client that a transaction released; raises
    msgspec.DecodeError."""
    return _names_decoder.decode(value)
