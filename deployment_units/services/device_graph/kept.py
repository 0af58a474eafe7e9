"""The devices of an account as its unit keeps them: its part of the database, which moves with it,
and the table of browsers that wait for a report (see waiting). Functions of a connection, for works
of the engine.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from control_plane.errors import Refused
from control_plane.sqlite.schema import Schema
from deployment_units.services.device_graph.evidence import BootInstant, BootSource, apart_ms
from deployment_units.services.device_graph.graph import EDGE_MS, DeviceGraph, Edge
from deployment_units.services.device_graph.matching import (
    SESSION_MS,
    Evidence,
    Session,
)
from deployment_units.services.state.parts import Part, Table

MAX_DEVICES: Final = 32  # of an account
MAX_EDGES: Final = 256
MAX_TAKEN_BACK: Final = 1_024
MOST_AT_ADDRESS: Final = 512  # devices and browsers of one address that are compared
SAME_BOOT_MS: Final = 1_000  # of one device, read twice
_SOURCES: Final = {str(one): one for one in BootSource}
SESSIONS_EACH: Final = 4  # of a device: before and after it booted, by both sources


class ConsentRow(msgspec.Struct, array_like=True, frozen=True):
    """The account lets its devices be matched with browsers, for this purpose."""

    purpose: str
    since_ms: int


class DeviceRow(msgspec.Struct, array_like=True, frozen=True):
    """A device of the account, by its app's id."""

    device: str
    label: str
    since_ms: int


class EdgeRow(msgspec.Struct, array_like=True, frozen=True):
    """See Edge and Evidence."""

    browser: str
    device: str
    since_ms: int
    confirmed_ms: int
    times: int
    apart_ms: int
    tolerance_ms: int
    browser_source: str
    device_source: str
    gap_ms: int


class SessionRow(msgspec.Struct, array_like=True, frozen=True):
    """A device as it was reported once: where, and when it booted by one source."""

    device: str
    source: str
    boot_ms: int
    plus_minus_ms: int
    block: str
    server: str
    seen_ms: int


class TakenBackRow(msgspec.Struct, array_like=True, frozen=True):
    """An edge that the account took back, and wants no more."""

    browser: str
    device: str
    since_ms: int


PART = Part(
    schema=Schema(
        part="devices",
        steps=(
            (
                "CREATE TABLE device_consents (owner INTEGER NOT NULL, purpose TEXT NOT NULL,"
                " since_ms INTEGER NOT NULL, PRIMARY KEY (owner, purpose)) WITHOUT ROWID",
                "CREATE TABLE device_edges (owner INTEGER NOT NULL, browser TEXT NOT NULL,"
                " device TEXT NOT NULL, since_ms INTEGER NOT NULL, confirmed_ms INTEGER NOT NULL,"
                " times INTEGER NOT NULL, apart_ms INTEGER NOT NULL, tolerance_ms INTEGER NOT NULL,"
                " browser_source TEXT NOT NULL, device_source TEXT NOT NULL,"
                " gap_ms INTEGER NOT NULL, PRIMARY KEY (owner, browser)) WITHOUT ROWID",
                "CREATE INDEX device_edges_browser ON device_edges (browser)",
                "CREATE TABLE device_sessions (owner INTEGER NOT NULL, device TEXT NOT NULL,"
                " source TEXT NOT NULL, boot_ms INTEGER NOT NULL, plus_minus_ms INTEGER NOT NULL,"
                " block TEXT NOT NULL, server TEXT NOT NULL, seen_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, device, source, boot_ms)) WITHOUT ROWID",
                "CREATE INDEX device_sessions_block ON device_sessions (block, seen_ms)",
                "CREATE TABLE devices (owner INTEGER NOT NULL, device TEXT NOT NULL,"
                " label TEXT NOT NULL, since_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, device)) WITHOUT ROWID",
                "CREATE TABLE taken_back_edges (owner INTEGER NOT NULL, browser TEXT NOT NULL,"
                " device TEXT NOT NULL, since_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, browser, device)) WITHOUT ROWID",
                # The unit's own memory: of no owner, and never handed over.
                "CREATE TABLE waiting_browsers (tenant TEXT NOT NULL, block TEXT NOT NULL,"
                " browser TEXT NOT NULL, source TEXT NOT NULL, boot_ms INTEGER NOT NULL,"
                " plus_minus_ms INTEGER NOT NULL, server TEXT NOT NULL, seen_ms INTEGER NOT NULL,"
                " PRIMARY KEY (tenant, block, browser, source)) WITHOUT ROWID",
                "CREATE INDEX waiting_browsers_over ON waiting_browsers (seen_ms)",
                "CREATE INDEX waiting_browsers_browser ON waiting_browsers (tenant, browser)",
            ),
            (
                # Those of before have no network, and are gone after a day.
                "ALTER TABLE waiting_browsers ADD COLUMN network TEXT NOT NULL DEFAULT ''",
                "CREATE INDEX waiting_browsers_network"
                " ON waiting_browsers (tenant, network, seen_ms)",
            ),
        ),
    ),
    tables=(
        Table(name="device_consents", row=ConsentRow, key=1),
        Table(name="device_edges", row=EdgeRow, key=1),
        Table(name="device_sessions", row=SessionRow, key=3),
        Table(name="devices", row=DeviceRow, key=1),
        Table(name="taken_back_edges", row=TakenBackRow, key=2),
    ),
    upgrades=(lambda table, values: [(table, values)],),  # no account's rows
)


class TooManyDevices(Refused):
    """The account has as many as it may."""

    reason = "TOO_MANY_DEVICES"


class NoConsent(Refused):
    """The account has not agreed that its devices are matched with browsers."""

    reason = "NO_CONSENT"


def consents(db: sqlite3.Connection, owner: int) -> dict[str, int]:
    """Purposes, with the time since when, Unix ms."""
    return dict(
        db.execute("SELECT purpose, since_ms FROM device_consents WHERE owner = ?", (owner,))
    )


def set_consent(
    db: sqlite3.Connection, owner: int, purpose: str, given: bool, *, now_ms: int
) -> None:
    """Withdrawn: what rested on it goes as well."""
    if given:
        db.execute(
            "INSERT INTO device_consents VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (owner, purpose, now_ms),
        )
        return
    db.execute("DELETE FROM device_consents WHERE owner = ? AND purpose = ?", (owner, purpose))
    if not consents(db, owner):
        for table in ("device_edges", "device_sessions"):
            db.execute(f"DELETE FROM {table} WHERE owner = ?", (owner,))


def add_device(db: sqlite3.Connection, owner: int, device: str, label: str, *, now_ms: int) -> None:
    """Adds it, or gives it another label; an empty one stays as it is. Raises TooManyDevices."""
    db.execute(
        "INSERT INTO devices VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET label ="
        " CASE excluded.label WHEN '' THEN label ELSE excluded.label END",
        (owner, device, label, now_ms),
    )
    count: int = db.execute("SELECT count(*) FROM devices WHERE owner = ?", (owner,)).fetchone()[0]
    if count > MAX_DEVICES:
        raise TooManyDevices(
            f"an account has at most {MAX_DEVICES} devices; remove one with RemoveDevice first"
        )


def remove_device(db: sqlite3.Connection, owner: int, device: str) -> bool:
    """With its edges and sessions; whether there was one."""
    for table in ("device_edges", "device_sessions", "taken_back_edges"):
        db.execute(f"DELETE FROM {table} WHERE owner = ? AND device = ?", (owner, device))
    gone = db.execute("DELETE FROM devices WHERE owner = ? AND device = ?", (owner, device))
    return gone.rowcount > 0


def devices(db: sqlite3.Connection, owner: int) -> list[DeviceRow]:
    """In order of their ids."""
    rows = db.execute(
        "SELECT device, label, since_ms FROM devices WHERE owner = ? ORDER BY device", (owner,)
    )
    return [DeviceRow(*row) for row in rows]


def is_known_boot(db: sqlite3.Connection, owner: int, session: Session) -> bool:
    """Whether the device was reported with that boot before, by the same source."""
    boot = session.boot
    known = db.execute(
        "SELECT boot_ms FROM device_sessions WHERE owner = ? AND device = ? AND source = ?",
        (owner, session.device, boot.source),
    )
    return any(apart_ms(ms, boot.ms) <= SAME_BOOT_MS for (ms,) in known)


def keep_session(db: sqlite3.Connection, owner: int, session: Session, now_ms: int) -> None:
    """The device as it was reported now; what is known of earlier boots stays for a while."""
    boot = session.boot
    # Where a device was longer ago says nothing, and is not kept, whichever it was.
    db.execute(
        "DELETE FROM device_sessions WHERE owner = ? AND seen_ms <= ?",
        (owner, now_ms - SESSION_MS),
    )
    # The same boot, read again: what was read first gives way.
    db.execute(
        "DELETE FROM device_sessions WHERE owner = ? AND device = ? AND source = ?"
        " AND block = ? AND server = ? AND abs(boot_ms - ?) <= ?",
        (
            owner, session.device, boot.source,
            session.block, session.server, boot.ms, SAME_BOOT_MS,
        ),
    )  # fmt: skip
    db.execute(
        "INSERT INTO device_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " plus_minus_ms = excluded.plus_minus_ms, block = excluded.block,"
        " server = excluded.server, seen_ms = excluded.seen_ms",
        (
            owner, session.device, boot.source, boot.ms, boot.plus_minus_ms,
            session.block, session.server, boot.seen_ms,
        ),
    )  # fmt: skip
    db.execute(
        "DELETE FROM device_sessions WHERE owner = ? AND device = ? AND (source, boot_ms) NOT IN"
        " (SELECT source, boot_ms FROM device_sessions WHERE owner = ? AND device = ?"
        " ORDER BY seen_ms DESC LIMIT ?)",
        (owner, session.device, owner, session.device, SESSIONS_EACH),
    )


def sessions_at(
    db: sqlite3.Connection, tenant: str, block: str, *, since_ms: int
) -> list[tuple[int, Session]]:
    """Devices of accounts of the tenant that live here, last reported from an address since then;
    their owner's number with each. A device is told apart by number and id: `session.device` is
    both."""
    rows = db.execute(
        "SELECT s.owner, s.device, s.source, s.boot_ms, s.plus_minus_ms, s.block, s.server,"
        " s.seen_ms FROM device_sessions s JOIN owners o ON o.owner = s.owner"
        " WHERE s.block = ? AND s.seen_ms >= ? AND o.tenant = ? AND o.state = 'live'"
        " ORDER BY s.seen_ms DESC LIMIT ?",
        (block, since_ms, tenant, MOST_AT_ADDRESS),
    )
    return [
        (
            owner,
            Session(
                device=f"{owner}/{device}",
                block=at,
                server=server,
                boot=BootInstant(
                    ms=ms, plus_minus_ms=about, source=_SOURCES[source], seen_ms=seen_ms
                ),
            ),
        )
        for owner, device, source, ms, about, at, server, seen_ms in rows
    ]


def graph_of(db: sqlite3.Connection, owner: int, browser: str | None = None) -> DeviceGraph:
    """The graph of an account; browser: as far as it concerns that one."""
    which, values = ("", (owner,)) if browser is None else (" AND browser = ?", (owner, browser))
    edges = {
        row[0]: _edge(row)
        for row in db.execute(f"SELECT {_EDGE} FROM device_edges WHERE owner = ?{which}", values)
    }
    taken_back = db.execute(
        f"SELECT browser, device FROM taken_back_edges WHERE owner = ?{which}", values
    )
    return DeviceGraph(edges=edges, taken_back=frozenset((one, other) for one, other in taken_back))


def edges_of(db: sqlite3.Connection, tenant: str, browser: str) -> list[tuple[int, Edge]]:
    """The browser's edges in the tenant's accounts that live here, with their owners' numbers."""
    rows = db.execute(
        f"SELECT e.owner, {_EDGE_OF} FROM device_edges e JOIN owners o ON o.owner = e.owner"
        " WHERE e.browser = ? AND o.tenant = ? AND o.state = 'live' LIMIT ?",
        (browser, tenant, MOST_AT_ADDRESS),
    )
    return [(row[0], _edge(row[1:])) for row in rows]


def keep_graph(
    db: sqlite3.Connection, owner: int, before: DeviceGraph, after: DeviceGraph, *, now_ms: int
) -> None:
    """Writes what is different. Of the edges those go first that were confirmed longest ago."""
    for browser in before.edges.keys() - after.edges.keys():
        db.execute("DELETE FROM device_edges WHERE owner = ? AND browser = ?", (owner, browser))
    for browser, edge in after.edges.items():
        if before.edges.get(browser) != edge:
            db.execute(
                f"INSERT OR REPLACE INTO device_edges (owner, {_EDGE})"
                f" VALUES (?{', ?' * len(EdgeRow.__struct_fields__)})",
                (owner, *_row_of(edge)),
            )
    for browser, device in after.taken_back - before.taken_back:
        db.execute(
            "INSERT INTO taken_back_edges VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (owner, browser, device, now_ms),
        )
    _trim(db, owner, now_ms)


def erase(db: sqlite3.Connection, owner: int) -> int:
    """Everything of an account's devices, in the caller's transaction; how many rows."""
    gone = 0
    for table in PART.tables:
        gone += db.execute(f"DELETE FROM {table.name} WHERE owner = ?", (owner,)).rowcount
    return gone


def _trim(db: sqlite3.Connection, owner: int, now_ms: int) -> None:
    db.execute(
        "DELETE FROM device_edges WHERE owner = ? AND (confirmed_ms <= ? OR browser IN"
        " (SELECT browser FROM device_edges WHERE owner = ? ORDER BY confirmed_ms DESC"
        " LIMIT -1 OFFSET ?))",
        (owner, now_ms - EDGE_MS, owner, MAX_EDGES),
    )
    db.execute(
        "DELETE FROM taken_back_edges WHERE owner = ? AND (browser, device) IN (SELECT browser,"
        " device FROM taken_back_edges WHERE owner = ? ORDER BY since_ms DESC LIMIT -1 OFFSET ?)",
        (owner, owner, MAX_TAKEN_BACK),
    )


_EDGE: Final = ", ".join(EdgeRow.__struct_fields__)
_EDGE_OF: Final = ", ".join(f"e.{name}" for name in EdgeRow.__struct_fields__)


def _row_of(edge: Edge) -> tuple[object, ...]:
    one = edge.evidence
    return (
        edge.browser, edge.device, edge.since_ms, edge.confirmed_ms, edge.times, one.apart_ms,
        one.tolerance_ms, one.browser_source, one.device_source, one.gap_ms,
    )  # fmt: skip


def _edge(row: tuple[str, str, int, int, int, int, int, str, str, int]) -> Edge:
    browser, device, since, confirmed, times, apart, tolerance, by_browser, by_device, gap = row
    return Edge(
        browser=browser,
        device=device,
        since_ms=since,
        confirmed_ms=confirmed,
        times=times,
        evidence=Evidence(
            apart_ms=apart,
            tolerance_ms=tolerance,
            browser_source=BootSource(by_browser),
            device_source=BootSource(by_device),
            gap_ms=gap,
        ),
    )
