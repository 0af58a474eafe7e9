"""Sessions of devices as their unit keeps them: where each was reported, and when it booted then.
Functions of a connection, for works of the engine; the table is in kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from deployment_units.services.device_graph.evidence import BootInstant, BootSource, apart_ms
from deployment_units.services.device_graph.kept import MOST_AT_ADDRESS
from deployment_units.services.device_graph.matching import SESSION_MS, Session

SAME_BOOT_MS: Final = 1_000  # of one device, read twice
_SOURCES: Final = {str(one): one for one in BootSource}
SESSIONS_EACH: Final = 4  # of a device: before and after it booted, by both sources


def keep_session(
    db: sqlite3.Connection,
    owner: int,
    session: Session,
    now_ms: int,
    *,
    on_boot: Callable[[], None] = lambda: None,
) -> None:
    """The device as it was reported now; what is known of earlier boots stays for a while. on_boot:
    is told that it was not known to have booted then, by this source; what it raises is raised."""
    boot, device = session.boot, session.device
    rows = db.execute(
        "SELECT device, source, boot_ms, block, server, seen_ms FROM device_sessions"
        " WHERE owner = ?",
        (owner,),
    ).fetchall()
    if not any(
        one == device and source == boot.source and apart_ms(ms, boot.ms) <= SAME_BOOT_MS
        for one, source, ms, *_ in rows
    ):
        on_boot()
    # Where a device was longer ago says nothing, and is not kept, whichever it was.
    over_ms = now_ms - SESSION_MS
    if any(row[-1] <= over_ms for row in rows):
        db.execute("DELETE FROM device_sessions WHERE owner = ? AND seen_ms <= ?", (owner, over_ms))
    place = (session.block, session.server)
    known: dict[tuple[str, int], tuple[str, str]] = {
        (source, ms): (block, server)
        for one, source, ms, block, server, seen_ms in rows
        if one == device and seen_ms > over_ms
    }
    # The same boot, read again: what was read first gives way.
    again = [
        (source, ms)
        for (source, ms), at in known.items()
        if source == boot.source and at == place and abs(ms - boot.ms) <= SAME_BOOT_MS
    ]
    if len(again) == 1 and (
        (boot.source, boot.ms) == again[0] or (boot.source, boot.ms) not in known
    ):
        # What its row takes stays the same.
        db.execute(
            "UPDATE device_sessions SET boot_ms = ?, plus_minus_ms = ?, seen_ms = ?"
            " WHERE owner = ? AND device = ? AND source = ? AND boot_ms = ?",
            (boot.ms, boot.plus_minus_ms, boot.seen_ms, owner, device, *again[0]),
        )
        return
    db.executemany(
        "DELETE FROM device_sessions WHERE owner = ? AND device = ? AND source = ? AND boot_ms = ?",
        [(owner, device, *key) for key in again],
    )
    db.execute(
        "INSERT INTO device_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " plus_minus_ms = excluded.plus_minus_ms, block = excluded.block,"
        " server = excluded.server, seen_ms = excluded.seen_ms",
        (owner, device, boot.source, boot.ms, boot.plus_minus_ms, *place, boot.seen_ms),
    )
    if len(known.keys() - again | {(boot.source, boot.ms)}) > SESSIONS_EACH:
        db.execute(
            "DELETE FROM device_sessions WHERE owner = ? AND device = ? AND (source, boot_ms)"
            " NOT IN (SELECT source, boot_ms FROM device_sessions WHERE owner = ? AND device = ?"
            " ORDER BY seen_ms DESC LIMIT ?)",
            (owner, device, owner, device, SESSIONS_EACH),
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
