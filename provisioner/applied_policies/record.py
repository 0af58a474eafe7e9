"""PolicyRecord: one version of a tenant's policy, as it is stored.

The text is kept as the operator wrote it, comments included. A record of a later format is read as
one that this server does not understand, never as none.
"""

from __future__ import annotations

import msgspec

from control_plane.errors import DataLoss
from control_plane.store.damaged import UNREADABLE, shown_key
from control_plane.store.port import KeyValue

FORMAT = 1


class PolicyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """version: from 1, one more with each change. fault: why it cannot be read, not stored."""

    version: int
    document: str
    at_ms: int  # Unix time at which it was applied, ms
    format: int = FORMAT
    fault: str = ""


_decoder = msgspec.json.Decoder(PolicyRecord)
_encode = msgspec.json.Encoder().encode


def encode_policy(record: PolicyRecord) -> bytes:
    """For the store."""
    return _encode(record)


def decode_policy(pair: KeyValue) -> PolicyRecord:
    """Raises DataLoss for a record that cannot be read."""
    record = read_policy_record(pair)
    if record.fault:
        raise DataLoss(record.fault)
    return record


def read_policy_record(pair: KeyValue) -> PolicyRecord:
    """The same, never raising: one that cannot be read says so as its `fault`."""
    try:
        record = _decoder.decode(pair.value)
    except UNREADABLE:
        fault = f"the record {shown_key(pair.key)} is damaged"
        return PolicyRecord(version=0, document="", at_ms=0, fault=fault)
    if record.format > FORMAT:
        fault = f"the record {shown_key(pair.key)} was written by a later version of Homeport"
        return PolicyRecord(version=record.version, document="", at_ms=0, fault=fault)
    return record
