"""Records of calls and texts: rows of an account, and how much of its day is used by them.
Functions of a connection, for works of the engine.

A record has no number of the other side: a digest under a secret of the account's, and the
technical number that stood for it. Its id begins with its time, so that the order of ids is that of
calls. The time for which a call may last is taken from the day's minutes when it begins; once it
has ended, what it took counts."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from dataclasses import dataclass
from typing import Final

import msgspec

from deployment_units.services.telephony.port import CallKind, EndCause, RefusedCause

MAX_RECORDS: Final = 1_000  # of an account
DAY_MS: Final = 86_400_000
KEPT_MS: Final = 90 * DAY_MS
DIGEST_BYTES: Final = 16
ID_BYTES: Final = 16
SPARE_MS: Final = 600_000  # beyond the limit of a call, until it counts as ended
SILENT_MS: Final = 180_000  # of one that nothing was heard of since it was routed


class CallRow(msgspec.Struct, array_like=True, frozen=True):
    """A call or text. kind: a CallKind; outgoing: 1, the account began it; technical: E.164, of the
    other side, empty: it was shown as nobody; other: its digest; limit_s: for how long the call may
    last; ended: an EndCause, empty: not yet. Times: Unix ms."""

    id: bytes
    kind: str
    outgoing: int
    technical: str
    other: bytes
    routed_ms: int
    limit_s: int
    began_ms: int | None
    answered_ms: int | None
    ended_ms: int | None
    ended: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Of one account. calls: at once; minutes_a_day: of all calls that were answered; texts_a_day;
    most_s: of one call."""

    calls: int = 4
    minutes_a_day: int = 600
    texts_a_day: int = 500
    most_s: int = 7_200


def record_id(now_ms: int, random: bytes) -> bytes:
    """random: 10 bytes or more."""
    return now_ms.to_bytes(6) + random[: ID_BYTES - 6]


def digest_of(secret: bytes, number: str | None) -> bytes:
    """What a record has in place of the other side's number; empty: withheld."""
    if number is None:
        return b""
    return hmac.digest(secret, number.encode(), hashlib.sha256)[:DIGEST_BYTES]


def room(
    db: sqlite3.Connection, owner: int, kind: CallKind, limits: CallLimits, *, now_ms: int
) -> int | RefusedCause:
    """For how many seconds a call may last that begins now; of a text 0. Or why there is none."""
    since_ms = now_ms - DAY_MS
    if kind is CallKind.TEXT:
        texts: int = db.execute(
            "SELECT count(*) FROM call_records WHERE owner = ? AND id >= ? AND kind = 'text'",
            (owner, since_ms.to_bytes(6)),
        ).fetchone()[0]
        return RefusedCause.TOO_MANY if texts >= limits.texts_a_day else 0
    at_once, taken_ms = 0, 0
    rows = db.execute(
        "SELECT routed_ms, limit_s, began_ms, answered_ms, ended_ms FROM call_records"
        " WHERE owner = ? AND id >= ? AND kind = 'call'",
        (owner, since_ms.to_bytes(6)),
    )
    for routed_ms, limit_s, began_ms, answered_ms, ended_ms in rows:
        heard_of = began_ms is not None or answered_ms is not None
        open_until = routed_ms + (limit_s * 1_000 + SPARE_MS if heard_of else SILENT_MS)
        if ended_ms is None and open_until > now_ms:
            at_once += 1
            taken_ms += limit_s * 1_000
        elif answered_ms is not None:
            taken_ms += min(ended_ms or open_until, open_until) - answered_ms
    if at_once >= limits.calls:
        return RefusedCause.TOO_MANY
    left_s = limits.minutes_a_day * 60 - taken_ms // 1_000
    return min(limits.most_s, left_s) if left_s > 0 else RefusedCause.MINUTES


def open_record(db: sqlite3.Connection, owner: int, row: CallRow, *, now_ms: int) -> None:
    """A call was routed. What is kept no longer goes."""
    db.execute(
        f"INSERT INTO call_records (owner, {_COLUMNS}) VALUES (?{', ?' * len(_FIELDS)})",
        (owner, *msgspec.structs.astuple(row)),
    )
    db.execute(
        "DELETE FROM call_records WHERE owner = ? AND (id < ? OR id <= (SELECT id FROM call_records"
        " WHERE owner = ? ORDER BY id DESC LIMIT 1 OFFSET ?))",
        (owner, max(0, now_ms - KEPT_MS).to_bytes(6), owner, MAX_RECORDS),
    )


def note_began(db: sqlite3.Connection, owner: int, call: bytes, at_ms: int) -> bool:
    """Whether there is such a record; what was noted before stands."""
    return _note(db, "began_ms = coalesce(began_ms, ?)", owner, call, at_ms)


def note_answered(db: sqlite3.Connection, owner: int, call: bytes, at_ms: int) -> bool:
    """The same."""
    return _note(db, "answered_ms = coalesce(answered_ms, ?)", owner, call, at_ms)


def note_ended(
    db: sqlite3.Connection, owner: int, call: bytes, at_ms: int, cause: EndCause
) -> bool:
    """The same."""
    db.execute(
        "UPDATE call_records SET ended = ? WHERE owner = ? AND id = ? AND ended_ms IS NULL",
        (cause, owner, call),
    )
    return _note(db, "ended_ms = coalesce(ended_ms, ?)", owner, call, at_ms)


def _note(db: sqlite3.Connection, change: str, owner: int, call: bytes, at_ms: int) -> bool:
    """A time before the call, or a day after, is that of a wrong clock."""
    row = db.execute(
        "SELECT routed_ms FROM call_records WHERE owner = ? AND id = ?", (owner, call)
    ).fetchone()
    if row is None:
        return False
    within_ms = min(max(at_ms, row[0]), row[0] + DAY_MS)
    db.execute(
        f"UPDATE call_records SET {change} WHERE owner = ? AND id = ?", (within_ms, owner, call)
    )
    return True


def page(db: sqlite3.Connection, owner: int, before: bytes, limit: int) -> list[CallRow]:
    """The latest first, before this one; empty: from the latest."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM call_records WHERE owner = ? AND (? = x'' OR id < ?)"
        " ORDER BY id DESC LIMIT ?",
        (owner, before, before, limit),
    )
    return [CallRow(*row) for row in rows]


_FIELDS: Final = CallRow.__struct_fields__
_COLUMNS: Final = ", ".join(_FIELDS)
