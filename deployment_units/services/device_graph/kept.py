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
from deployment_units.services.device_graph.evidence import BootSource
from deployment_units.services.device_graph.graph import EDGE_MS, DeviceGraph, Edge
from deployment_units.services.device_graph.matching import (
    Evidence,
)
from deployment_units.services.state.parts import Part, Table

MAX_DEVICES: Final = 32  # of an account
MAX_EDGES: Final = 256
MAX_TAKEN_BACK: Final = 1_024
MOST_AT_ADDRESS: Final = 512  # devices and browsers of one address that are compared


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
    changed = db.execute(
        "INSERT INTO devices VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET label = excluded.label"
        " WHERE excluded.label NOT IN ('', label)",
        (owner, device, label, now_ms),
    )
    if not changed.rowcount:
        return
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
    return DeviceGraph(edges=edges, taken_back=frozenset(taken_back))


def graph_with(db: sqlite3.Connection, owner: int, browser: str, edge: Edge | None) -> DeviceGraph:
    """As `graph_of` of one browser, whose edge was read."""
    taken_back = db.execute(
        "SELECT browser, device FROM taken_back_edges WHERE owner = ? AND browser = ?",
        (owner, browser),
    )
    edges = {} if edge is None else {browser: edge}
    return DeviceGraph(edges=edges, taken_back=frozenset(taken_back))


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
            _keep_edge(db, owner, before.edges.get(browser), edge)
    for browser, device in after.taken_back - before.taken_back:
        db.execute(
            "INSERT INTO taken_back_edges VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (owner, browser, device, now_ms),
        )
    db.execute(
        "DELETE FROM device_edges WHERE owner = ? AND confirmed_ms <= ?", (owner, now_ms - EDGE_MS)
    )
    if after.edges.keys() - before.edges.keys() or after.taken_back - before.taken_back:
        _trim(db, owner)


def _keep_edge(db: sqlite3.Connection, owner: int, before: Edge | None, edge: Edge) -> None:
    if before is not None and _texts_of(before) == _texts_of(edge):
        # Confirmed: what its row takes stays the same.
        one = edge.evidence
        db.execute(
            "UPDATE device_edges SET since_ms = ?, confirmed_ms = ?, times = ?, apart_ms = ?,"
            " tolerance_ms = ?, gap_ms = ? WHERE owner = ? AND browser = ?",
            (
                edge.since_ms, edge.confirmed_ms, edge.times, one.apart_ms, one.tolerance_ms,
                one.gap_ms, owner, edge.browser,
            ),
        )  # fmt: skip
        return
    marks = ", ?" * len(EdgeRow.__struct_fields__)
    db.execute(
        f"INSERT OR REPLACE INTO device_edges (owner, {_EDGE}) VALUES (?{marks})",
        (owner, *_row_of(edge)),
    )


def _texts_of(edge: Edge) -> tuple[str, ...]:
    return edge.device, edge.evidence.browser_source, edge.evidence.device_source


def erase(db: sqlite3.Connection, owner: int) -> int:
    """Everything of an account's devices, in the caller's transaction; how many rows."""
    gone = 0
    for table in PART.tables:
        gone += db.execute(f"DELETE FROM {table.name} WHERE owner = ?", (owner,)).rowcount
    return gone


def _trim(db: sqlite3.Connection, owner: int) -> None:
    db.execute(
        "DELETE FROM device_edges WHERE owner = ? AND browser IN (SELECT browser"
        " FROM device_edges WHERE owner = ? ORDER BY confirmed_ms DESC LIMIT -1 OFFSET ?)",
        (owner, owner, MAX_EDGES),
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
