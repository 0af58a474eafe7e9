"""The numbers, links and calls of an account as its unit keeps them: its part of the database,
which moves with it, and what the unit remembers of tenants' numbers. Functions of a connection, for
works of the engine.

A link that was taken back rests: its row stands without the contact's number until its technical
number may be another contact's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from control_plane.errors import Refused
from control_plane.sqlite.schema import Schema
from deployment_units.services.profiles.names import PROVED
from deployment_units.services.state.parts import Part, Table
from deployment_units.services.telephony.linking import LinkTable, User
from deployment_units.services.telephony.records import CallRow

MAX_LINKS: Final = 1_000  # of an account, with those that rest
MAX_OWN: Final = 16  # proved telephones that are looked at
DAY_MS: Final = 86_400_000
REST_MS: Final = 30 * DAY_MS
BY_ACCOUNT, BY_STRANGER = "account", "stranger"
LINKED, ANONYMOUS = "linked", "anonymous"
_STRANGERS, _ASKED, _LOOPS, _SECRET = "strangers", "asked", "loops", "secret"
_RINGS = "rings"
_HELD: Final = ", ".join(f"'{one}'" for one in sorted(PROVED))


class LinkRow(msgspec.Struct, array_like=True, frozen=True):
    """technical, contact: E.164; contact empty: it rests. made_by: whose doing it is. since_ms:
    made, or taken back; last_ms: the last call or text; Unix ms."""

    technical: str
    contact: str
    made_by: str
    since_ms: int
    last_ms: int | None


class NumberRow(msgspec.Struct, array_like=True, frozen=True):
    """A virtual number, E.164; place: the first is shown."""

    number: str
    place: int


class SettingRow(msgspec.Struct, array_like=True, frozen=True):
    """name: `strangers`, what they are shown as; `asked`: when the directory was asked for numbers
    last, Unix ms; `loops`: own telephones that are numbers of ours, by comma; `rings`: the
    telephone that its owner chose; `secret`: of digests, hexadecimal."""

    name: str
    value: str


PART = Part(
    schema=Schema(
        part="telephony",
        steps=(
            (
                "CREATE TABLE call_links (owner INTEGER NOT NULL, technical TEXT NOT NULL,"
                " contact TEXT NOT NULL, made_by TEXT NOT NULL, since_ms INTEGER NOT NULL,"
                " last_ms INTEGER, PRIMARY KEY (owner, technical)) WITHOUT ROWID",
                "CREATE UNIQUE INDEX call_links_contact ON call_links (owner, contact)"
                " WHERE contact <> ''",
                "CREATE INDEX call_links_technical ON call_links (technical)",
                "CREATE TABLE call_numbers (owner INTEGER NOT NULL, number TEXT NOT NULL,"
                " place INTEGER NOT NULL, PRIMARY KEY (owner, number)) WITHOUT ROWID",
                "CREATE INDEX call_numbers_number ON call_numbers (number)",
                "CREATE TABLE call_records (owner INTEGER NOT NULL, id BLOB NOT NULL,"
                " kind TEXT NOT NULL, outgoing INTEGER NOT NULL, technical TEXT NOT NULL,"
                " other BLOB NOT NULL, routed_ms INTEGER NOT NULL, limit_s INTEGER NOT NULL,"
                " began_ms INTEGER, answered_ms INTEGER, ended_ms INTEGER, ended TEXT NOT NULL,"
                " PRIMARY KEY (owner, id)) WITHOUT ROWID",
                "CREATE TABLE call_settings (owner INTEGER NOT NULL, name TEXT NOT NULL,"
                " value TEXT NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID",
                # The unit's own memory: of no owner, and never handed over.
                "CREATE TABLE call_tenants (tenant TEXT PRIMARY KEY, technical TEXT NOT NULL,"
                " countries TEXT NOT NULL) WITHOUT ROWID",
            ),
        ),
    ),
    tables=(
        Table(name="call_links", row=LinkRow, key=1),
        Table(name="call_numbers", row=NumberRow, key=1),
        Table(name="call_records", row=CallRow, key=1),
        Table(name="call_settings", row=SettingRow, key=1),
    ),
)


class TooManyLinks(Refused):
    """The account has as many as it may."""

    reason = "TOO_MANY_LINKS"


class NotProved(Refused):
    """It is no telephone of the account."""

    reason = "NOT_PROVED"


def user(db: sqlite3.Connection, owner: int) -> User:
    """The account's numbers: of its telephones the one that rings first. Those that are numbers of
    ours are left out."""
    loops, rings = setting(db, owner, _LOOPS).split(","), setting(db, owner, _RINGS)
    own = [one for one in proved(db, owner) if one not in loops]
    own.sort(key=lambda one: one != rings)
    virtual = db.execute("SELECT number FROM call_numbers WHERE owner = ? ORDER BY place", (owner,))
    return User(own=tuple(own), virtual=tuple(number for (number,) in virtual))


def proved(db: sqlite3.Connection, owner: int) -> list[str]:
    """Telephones that the account has proved, E.164, the first one first."""
    rows = db.execute(
        "SELECT substr(uri, 5) FROM identifiers WHERE owner = ? AND kind = 'tel'"
        f" AND state IN ({_HELD}) ORDER BY proved_ms, uri LIMIT ?",
        (owner, MAX_OWN),
    )
    return [number for (number,) in rows]


def table_for(
    db: sqlite3.Connection, owner: int, name: str, caller: str | None, dialled: str
) -> LinkTable:
    """As much of the account's links as says where one call goes. name: what it is in the table."""
    rows = db.execute(
        "SELECT technical, contact FROM call_links"
        " WHERE owner = ? AND contact <> '' AND (technical = ? OR contact = ?)",
        (owner, dialled, caller or ""),
    )
    return LinkTable(
        users={name: user(db, owner)},
        links={(name, technical): contact for technical, contact in rows},
    )


def whole_table(db: sqlite3.Connection, owner: int, name: str, *, now_ms: int) -> LinkTable:
    """All of the account's links, and what rests."""
    rows = db.execute(
        "SELECT technical, contact, since_ms FROM call_links WHERE owner = ?", (owner,)
    ).fetchall()
    return LinkTable(
        users={name: user(db, owner)},
        links={(name, technical): contact for technical, contact, _ in rows if contact},
        resting=frozenset(
            (name, technical)
            for technical, contact, since_ms in rows
            if not contact and since_ms > now_ms - REST_MS
        ),
    )


def add_link(db: sqlite3.Connection, owner: int, row: LinkRow, *, now_ms: int) -> None:
    """A new one, of a technical number that stands for nobody. Raises TooManyLinks."""
    db.execute(
        "DELETE FROM call_links WHERE owner = ? AND contact = '' AND since_ms <= ?",
        (owner, now_ms - REST_MS),
    )
    count: int = db.execute("SELECT count(*) FROM call_links WHERE owner = ?", (owner,)).fetchone()[
        0
    ]
    if count >= MAX_LINKS:
        raise TooManyLinks(
            f"an account has at most {MAX_LINKS:,} links, those taken back within 30 days counted; "
            "take some back"
        )
    db.execute(
        "INSERT INTO call_links VALUES (?, ?, ?, ?, ?, ?)",
        (owner, row.technical, row.contact, row.made_by, row.since_ms, row.last_ms),
    )


def has_linked(db: sqlite3.Connection, owner: int, contact: str) -> bool:
    """Whether the account itself has linked the contact of this number."""
    found = db.execute(
        "SELECT 1 FROM call_links WHERE owner = ? AND contact = ? AND made_by = ?",
        (owner, contact, BY_ACCOUNT),
    ).fetchone()
    return found is not None


def adopt(db: sqlite3.Connection, owner: int, technical: str) -> None:
    """The account wants a link that a stranger may have made."""
    db.execute(
        "UPDATE call_links SET made_by = ? WHERE owner = ? AND technical = ?",
        (BY_ACCOUNT, owner, technical),
    )


def take_back(db: sqlite3.Connection, owner: int, number: str, *, now_ms: int) -> bool:
    """The link of a technical number, or of a contact's; whether there was one."""
    gone = db.execute(
        "UPDATE call_links SET contact = '', since_ms = ?, last_ms = NULL"
        " WHERE owner = ? AND contact <> '' AND (technical = ? OR contact = ?)",
        (now_ms, owner, number, number),
    )
    return gone.rowcount > 0


def used(db: sqlite3.Connection, owner: int, technical: str, *, now_ms: int) -> None:
    """A call or text went by a link."""
    db.execute(
        "UPDATE call_links SET last_ms = ? WHERE owner = ? AND technical = ?",
        (now_ms, owner, technical),
    )


def by_strangers(db: sqlite3.Connection, owner: int, *, since_ms: int) -> int:
    """How many links strangers made since then."""
    found: int = db.execute(
        "SELECT count(*) FROM call_links WHERE owner = ? AND made_by = ? AND since_ms > ?",
        (owner, BY_STRANGER, since_ms),
    ).fetchone()[0]
    return found


def links(db: sqlite3.Connection, owner: int, after: str, limit: int) -> list[LinkRow]:
    """Those that stand, in order of their technical numbers, after this one."""
    rows = db.execute(
        "SELECT technical, contact, made_by, since_ms, last_ms FROM call_links"
        " WHERE owner = ? AND contact <> '' AND technical > ? ORDER BY technical LIMIT ?",
        (owner, after, limit),
    )
    return [LinkRow(*row) for row in rows]


def link_of(db: sqlite3.Connection, owner: int, technical: str) -> LinkRow:
    """One that is there."""
    row = db.execute(
        "SELECT technical, contact, made_by, since_ms, last_ms FROM call_links"
        " WHERE owner = ? AND technical = ?",
        (owner, technical),
    ).fetchone()
    return LinkRow(*row)


def setting(db: sqlite3.Connection, owner: int, name: str) -> str:
    """Empty: there is none."""
    row = db.execute(
        "SELECT value FROM call_settings WHERE owner = ? AND name = ?", (owner, name)
    ).fetchone()
    return row[0] if row else ""


def set_setting(db: sqlite3.Connection, owner: int, name: str, value: str) -> None:
    db.execute(
        "INSERT INTO call_settings VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value",
        (owner, name, value),
    )


def strangers(db: sqlite3.Connection, owner: int) -> str:
    """LINKED or ANONYMOUS."""
    return setting(db, owner, _STRANGERS) or LINKED


def set_strangers(db: sqlite3.Connection, owner: int, value: str) -> None:
    """LINKED or ANONYMOUS."""
    set_setting(db, owner, _STRANGERS, value)


def set_rings(db: sqlite3.Connection, owner: int, number: str) -> None:
    """The telephone of the account that rings, E.164; empty: the one that was proved first. Raises
    NotProved."""
    if number and number not in proved(db, owner):
        raise NotProved("the account has proved no such telephone; prove it first")
    set_setting(db, owner, _RINGS, number)


def secret(db: sqlite3.Connection, owner: int, new_secret: bytes) -> bytes:
    """Of the account's digests; new_secret: 32 random bytes, where it has none yet."""
    has = setting(db, owner, _SECRET)
    if has:
        return bytes.fromhex(has)
    set_setting(db, owner, _SECRET, new_secret.hex())
    return new_secret


def asked_ms(db: sqlite3.Connection, owner: int) -> int:
    """When the directory said last which numbers the account has, Unix ms; 0: never."""
    return int(setting(db, owner, _ASKED) or 0)


def set_numbers(
    db: sqlite3.Connection,
    owner: int,
    virtual: Sequence[str],
    loops: Collection[str],
    *,
    now_ms: int,
) -> None:
    """The account's virtual numbers, and which of its telephones are numbers of ours, as the
    directory says now."""
    db.execute("DELETE FROM call_numbers WHERE owner = ?", (owner,))
    db.executemany(
        "INSERT INTO call_numbers VALUES (?, ?, ?)",
        [(owner, number, place) for place, number in enumerate(virtual)],
    )
    set_setting(db, owner, _LOOPS, ",".join(sorted(loops)))
    set_setting(db, owner, _ASKED, str(now_ms))


def tenant_numbers(
    db: sqlite3.Connection, tenant: str
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The tenant's technical numbers and its countries, as the directory said last; None: never."""
    row = db.execute(
        "SELECT technical, countries FROM call_tenants WHERE tenant = ?", (tenant,)
    ).fetchone()
    if row is None:
        return None
    technical, countries = (tuple(text.split(",")) if text else () for text in row)
    return technical, countries


def set_tenant_numbers(
    db: sqlite3.Connection, tenant: str, technical: Sequence[str], countries: Sequence[str]
) -> None:
    """See tenant_numbers."""
    db.execute(
        "INSERT INTO call_tenants VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
        " technical = excluded.technical, countries = excluded.countries",
        (tenant, ",".join(technical), ",".join(countries)),
    )


def owner_of_call(db: sqlite3.Connection, caller: str | None, dialled: str) -> int | None:
    """The number of the owner here whose call one is, by the tables alone; None: nobody's here, or
    more than one account's."""
    rows = db.execute(
        "SELECT n.owner FROM call_numbers n JOIN owners o ON o.owner = n.owner"
        " WHERE n.number = ? AND o.state IN ('live', 'leaving') LIMIT 2",
        (dialled,),
    ).fetchall()
    if not rows and caller is not None:
        rows = db.execute(
            "SELECT l.owner FROM call_links l JOIN owners o ON o.owner = l.owner"
            " JOIN identifiers i ON i.owner = l.owner AND i.uri = ?"
            " WHERE l.technical = ? AND l.contact <> ''"
            f" AND o.state IN ('live', 'leaving') AND i.state IN ({_HELD}) LIMIT 2",
            (f"tel:{caller}", dialled),
        ).fetchall()
    return rows[0][0] if len(rows) == 1 else None
