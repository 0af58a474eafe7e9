"""The tables of sharing: policies of feeds, consents of users, secrets of tenants, and who was
shown what on which day. Functions of a connection, so that a consent that is withdrawn and an event
that is decided have an order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from control_plane.sqlite.schema import Schema
from data_sharing.sharing.consent import Consent, allows
from data_sharing.sharing.fields import Path
from data_sharing.sharing.policies import GovernedFeed, Memory, SharingPolicies
from data_sharing.sharing.policy import FeedPolicy

SCHEMA = Schema(
    part="sharing",
    steps=(
        (
            """CREATE TABLE sharing_policies (
                 tenant TEXT NOT NULL, feed TEXT NOT NULL, body BLOB NOT NULL,
                 applied_ms INTEGER NOT NULL, PRIMARY KEY (tenant, feed)) WITHOUT ROWID""",
            "CREATE TABLE sharing_secrets (tenant TEXT PRIMARY KEY, secret BLOB NOT NULL)",
            """CREATE TABLE consents (
                 row INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL,
                 subject TEXT NOT NULL, id TEXT NOT NULL, withdrawn INTEGER NOT NULL,
                 body BLOB NOT NULL)""",
            "CREATE UNIQUE INDEX consents_by_id ON consents (tenant, id)",
            "CREATE INDEX consents_of_subject ON consents (tenant, subject, withdrawn)",
            """CREATE TABLE sharing_reads (
                 tenant TEXT NOT NULL, day INTEGER NOT NULL, feed TEXT NOT NULL,
                 reader TEXT NOT NULL, purpose TEXT NOT NULL, field TEXT NOT NULL,
                 events INTEGER NOT NULL,
                 PRIMARY KEY (tenant, day, feed, reader, purpose, field)) WITHOUT ROWID""",
        ),
        (
            """CREATE TABLE memory_resets (
                 tenant TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                 number INTEGER NOT NULL, swept_to TEXT, PRIMARY KEY (tenant, kind, name))
               WITHOUT ROWID""",
            "CREATE INDEX memory_resets_to_sweep ON memory_resets (number)"
            " WHERE swept_to IS NOT NULL",
        ),
    ),
)
MOST_KEPT = 300  # consents of one user, withdrawn ones included; the oldest of these go
MOST_READ_ROWS = 10_000  # of a tenant and day; what more there is counts as of reader "…"
_encode = msgspec.msgpack.Encoder().encode
_policy = msgspec.msgpack.Decoder(FeedPolicy).decode
_consent = msgspec.msgpack.Decoder(Consent).decode

SUBJECTS_AT_ONCE = 100
_OF_ONE = (
    "SELECT subject, body FROM consents WHERE tenant = ? AND subject = ? AND withdrawn = 0"
    " ORDER BY row"
)
_OF_ALL = (
    "SELECT subject, body FROM consents WHERE tenant = ? AND withdrawn = 0"
    f" AND subject IN ({', '.join('?' * SUBJECTS_AT_ONCE)}) ORDER BY subject, withdrawn, row"
)


class PolicyRow(NamedTuple):
    """applied_ms: Unix ms."""

    policy: FeedPolicy
    applied_ms: int


class ReadName(NamedTuple):
    """Who was shown which field of a feed, for what. day: days since 1970, UTC."""

    tenant: str
    day: int
    feed: str
    reader: str
    purpose: str
    field: str


# -- policies --------------------------------------------------------------------------


def policies(db: sqlite3.Connection) -> SharingPolicies:
    """All that are in force."""
    rows = db.execute(
        "SELECT p.tenant, p.feed, p.body, s.secret FROM sharing_policies p"
        " JOIN sharing_secrets s ON s.tenant = p.tenant"
    )
    return SharingPolicies(
        {(tenant, feed): GovernedFeed.of(_policy(body), key) for tenant, feed, body, key in rows},
        resets(db),
    )


def policies_of_tenant(db: sqlite3.Connection, tenant: str) -> list[PolicyRow]:
    """By feed."""
    rows = db.execute(
        "SELECT body, applied_ms FROM sharing_policies WHERE tenant = ? ORDER BY feed", (tenant,)
    )
    return [PolicyRow(_policy(body), applied_ms) for body, applied_ms in rows]


def put_policy(
    db: sqlite3.Connection, tenant: str, policy: FeedPolicy, *, now_ms: int, secret: bytes
) -> None:
    """In force from the next event on. secret: for a tenant that has none."""
    db.execute("INSERT OR IGNORE INTO sharing_secrets VALUES (?, ?)", (tenant, secret))
    db.execute(
        "INSERT OR REPLACE INTO sharing_policies VALUES (?, ?, ?, ?)",
        (tenant, policy.feed, _encode(policy), now_ms),
    )


def is_governed(db: sqlite3.Connection, tenant: str, feed: str) -> bool:
    """Whether the feed has a policy."""
    row = db.execute(
        "SELECT 1 FROM sharing_policies WHERE tenant = ? AND feed = ?", (tenant, feed)
    ).fetchone()
    return row is not None


def delete_policy(db: sqlite3.Connection, tenant: str, feed: str) -> None:
    db.execute("DELETE FROM sharing_policies WHERE tenant = ? AND feed = ?", (tenant, feed))


# -- consents --------------------------------------------------------------------------


def consents_of(db: sqlite3.Connection, tenant: str, subject: str) -> list[Consent]:
    """Of a user: those that hold."""
    rows = db.execute(
        "SELECT body FROM consents WHERE tenant = ? AND subject = ? AND withdrawn = 0 ORDER BY row",
        (tenant, subject),
    )
    return [_consent(body) for (body,) in rows]


def consents_of_all(
    db: sqlite3.Connection, tenant: str, subjects: Sequence[str]
) -> dict[str, list[Consent]]:
    """Of these users, those that hold; who has none is left out."""
    found: dict[str, list[Consent]] = {}
    for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
        some = list(subjects[start : start + SUBJECTS_AT_ONCE])
        # As many as ever, so that the statement is known to SQLite.
        filled = some + some[:1] * (SUBJECTS_AT_ONCE - len(some)) if len(some) > 1 else some
        rows = db.execute(_OF_ONE if len(some) == 1 else _OF_ALL, (tenant, *filled))
        for subject, body in rows:
            found.setdefault(subject, []).append(_consent(body))
    return found


def consents_at(db: sqlite3.Connection, tenant: str, subject: str, position: int) -> list[Consent]:
    """Of a user: those that held when the event there was decided."""
    rows = db.execute(
        "SELECT body FROM consents WHERE tenant = ? AND subject = ? ORDER BY row", (tenant, subject)
    )
    return [one for (body,) in rows if (one := _consent(body)).holds_at(position)]


def last_withdrawn(
    db: sqlite3.Connection,
    tenant: str,
    subject: str,
    consumer: str,
    *,
    feed: str,
    purpose: str,
    path: Path,
) -> Consent | None:
    """Of a user the consent to a consumer that was withdrawn last, and would show what is there."""
    rows = db.execute(
        "SELECT body FROM consents WHERE tenant = ? AND subject = ? AND withdrawn = 1",
        (tenant, subject),
    )
    found = [
        one
        for (body,) in rows
        if (one := _consent(body)).about(feed, purpose) and allows([one], consumer, path)
    ]
    return max(found, key=lambda one: one.withdrawn_ms or 0, default=None)


def applied_ms(db: sqlite3.Connection, tenant: str, feed: str) -> int:
    """Since when its policy is in force, Unix ms; 0: it has none."""
    row = db.execute(
        "SELECT applied_ms FROM sharing_policies WHERE tenant = ? AND feed = ?", (tenant, feed)
    ).fetchone()
    return row[0] if row else 0


def consent(db: sqlite3.Connection, tenant: str, consent_id: str) -> Consent | None:
    """By its id."""
    row = db.execute(
        "SELECT body FROM consents WHERE tenant = ? AND id = ?", (tenant, consent_id)
    ).fetchone()
    return _consent(row[0]) if row else None


def put_consent(db: sqlite3.Connection, one: Consent) -> None:
    """A new one, or what became of one."""
    withdrawn = int(one.withdrawn_ms is not None)
    db.execute(
        "INSERT INTO consents (tenant, subject, id, withdrawn, body) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, id) DO UPDATE SET withdrawn = excluded.withdrawn,"
        " body = excluded.body",
        (one.tenant, one.subject, one.id, withdrawn, _encode(one)),
    )
    db.execute(
        "DELETE FROM consents WHERE tenant = ? AND subject = ? AND withdrawn = 1 AND row NOT IN"
        " (SELECT row FROM consents WHERE tenant = ? AND subject = ?"
        " ORDER BY withdrawn, row DESC LIMIT ?)",
        (one.tenant, one.subject, one.tenant, one.subject, MOST_KEPT),
    )


def consent_page(
    db: sqlite3.Connection, tenant: str, before: int, limit: int, *, subject: str, withdrawn: bool
) -> list[tuple[int, Consent]]:
    """(row, consent) below a row, newest first. subject empty: of all; withdrawn: also those."""
    where, values = "tenant = ? AND row < ?", [tenant, before]
    if subject:
        where += " AND subject = ?"
        values.append(subject)
    if not withdrawn:
        where += " AND withdrawn = 0"
    rows = db.execute(
        f"SELECT row, body FROM consents WHERE {where} ORDER BY row DESC LIMIT ?", (*values, limit)
    )
    return [(row, _consent(body)) for row, body in rows]


# -- reads -----------------------------------------------------------------------------


def add_reads(db: sqlite3.Connection, counts: Mapping[ReadName, int]) -> None:
    """How many more events they were shown."""
    kept: dict[tuple[str, int], int] = {}
    for name, events in counts.items():
        place = name.tenant, name.day
        if place not in kept:
            (kept[place],) = db.execute(
                "SELECT count(*) FROM sharing_reads WHERE tenant = ? AND day = ?", place
            ).fetchone()
        changed = db.execute(
            "UPDATE sharing_reads SET events = events + ? WHERE tenant = ? AND day = ? AND feed = ?"
            " AND reader = ? AND purpose = ? AND field = ?",
            (events, *name),
        )
        if changed.rowcount:
            continue
        kept[place] += 1
        full = kept[place] > MOST_READ_ROWS
        row = (*place, "…", "…", "…", "…") if full else name
        db.execute(
            "INSERT INTO sharing_reads VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " events = events + excluded.events",
            (*row, events),
        )


def read_page(
    db: sqlite3.Connection, tenant: str, after: tuple[int, str, str, str, str], limit: int
) -> list[tuple[ReadName, int]]:
    """Behind a row, by day, feed, reader, purpose and field."""
    rows = db.execute(
        "SELECT tenant, day, feed, reader, purpose, field, events FROM sharing_reads"
        " WHERE tenant = ? AND (day, feed, reader, purpose, field) > (?, ?, ?, ?, ?)"
        " ORDER BY day, feed, reader, purpose, field LIMIT ?",
        (tenant, *after, limit),
    )
    return [(ReadName(*row[:6]), row[6]) for row in rows]


def trim_reads(db: sqlite3.Connection, before_day: int, limit: int) -> int:
    """Deletes what is older; how many."""
    return db.execute(
        "DELETE FROM sharing_reads WHERE (tenant, day, feed, reader, purpose, field) IN"
        " (SELECT tenant, day, feed, reader, purpose, field FROM sharing_reads WHERE day < ?"
        " LIMIT ?)",
        (before_day, limit),
    ).rowcount


# -- what is forgotten -----------------------------------------------------------------


def resets(db: sqlite3.Connection) -> dict[Memory, int]:
    """The newest of each memory."""
    rows = db.execute("SELECT tenant, kind, name, number FROM memory_resets")
    return {Memory(*row[:3]): row[3] for row in rows}


def reset(db: sqlite3.Connection, memories: Iterable[Memory]) -> dict[Memory, int]:
    """They begin anew: what they keep is dead from here on, and is deleted bit by bit."""
    (last,) = db.execute("SELECT coalesce(max(number), 0) FROM memory_resets").fetchone()
    made = {memory: last + n for n, memory in enumerate(dict.fromkeys(memories), start=1)}
    db.executemany(
        "INSERT OR REPLACE INTO memory_resets VALUES (?, ?, ?, ?, '')",
        [(*memory, number) for memory, number in made.items()],
    )
    return made


def first_to_sweep(db: sqlite3.Connection) -> tuple[Memory, str] | None:
    """A memory with cells that are dead, and the key behind which they may be."""
    row = db.execute(
        "SELECT tenant, kind, name, swept_to FROM memory_resets WHERE swept_to IS NOT NULL"
        " ORDER BY number LIMIT 1"
    ).fetchone()
    return (Memory(*row[:3]), row[3]) if row else None


def set_swept(db: sqlite3.Connection, memory: Memory, to: str | None) -> None:
    """No cell up to this key is dead; None: none at all."""
    db.execute(
        "UPDATE memory_resets SET swept_to = ? WHERE tenant = ? AND kind = ? AND name = ?",
        (to, *memory),
    )


def cells_behind(
    db: sqlite3.Connection, memory: Memory, key: str, limit: int
) -> list[tuple[str, bytes]]:
    """(key, content) of what a memory keeps, by key. The empty key comes first."""
    rows = db.execute(
        "SELECT key, content FROM cells WHERE tenant = ? AND kind = ? AND name = ? AND key >= ?"
        " ORDER BY key LIMIT ?",
        (*memory, key, limit),
    )
    return rows.fetchall()
