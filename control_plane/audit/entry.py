"""AuditEntry: one line of the audit log, and how it is written.

What is attempted is written twice: as asked, before the attempt, and with its outcome, after it.
So no change is without an entry; of what a server took with it when it died, another one writes
the outcome (`outcomes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from control_plane.errors import ServiceError


class AuditPhase(StrEnum):
    ASKED = "asked"  # before the change is attempted
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"  # the change may or may not have been made
    TRIMMED = "trimmed"  # the log itself: its oldest entries were deleted


class Transactions(StrEnum):
    """Of a change: whether its transactions say themselves that they were made, and how many it
    takes."""

    UNMARKED = ""  # they do not
    ONE = "one"
    SEVERAL = "several"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCaller:
    """Who asked. tenant: the only one it has to do with; certificate: the identity that TLS has
    verified; address: the one that counts as its. Each empty where there is none."""

    name: str
    roles: tuple[str, ...] = ()
    tenant: str = ""
    certificate: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPoint:
    """An entry by its place and its hash, 32 bytes in hex. Sequence 0 is before the first."""

    sequence: int
    hash: str


START = ChainPoint(sequence=0, hash=bytes(32).hex())


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """sequence: from 1, without a gap; time_ms: Unix ms, never before that of the entry before;
    previous: the hash of the entry before; these three the log sets. id: tells two entries apart
    that say the same. asked: the sequence that this is the outcome of. kind and target: which
    object; tenant: whose, empty: of none. transactions: by which its outcome can be told. code: the
    status, by name. request, before and after: JSON. trimmed: the newest entry that was deleted."""

    id: str
    phase: AuditPhase
    sequence: int = 0
    time_ms: int = 0
    previous: str = ""
    asked: int = 0
    service: str = ""
    method: str = ""
    caller: AuditCaller | None = None
    tenant: str = ""
    kind: str = ""
    target: str = ""
    transactions: Transactions = Transactions.UNMARKED
    code: str = ""
    message: str = ""
    request: Any = None
    before: Any = None
    after: Any = None
    trimmed: ChainPoint | None = None


class DamagedEntry(ServiceError):
    """A record of the audit log is none; somebody wrote past Homeport."""

    reason = "DAMAGED_RECORD"


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(AuditEntry)


def encode_entry(entry: AuditEntry) -> bytes:
    """Canonical JSON: members sorted, no blanks, UTF-8."""
    return _encoder.encode(entry)


def decode_entry(content: bytes) -> AuditEntry:
    """Members that are not known are passed over. Raises DamagedEntry."""
    try:
        return _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedEntry(f"an entry of the audit log cannot be read: {error}") from error
