"""Browsers that were seen and wait for a report of their device: the unit's own memory, of no
account, and kept for a day at most. Functions of a connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from deployment_units.services.device_graph.evidence import BootInstant, BootSource, NoBoot
from deployment_units.services.device_graph.kept import MOST_AT_ADDRESS
from deployment_units.services.device_graph.matching import SESSION_MS, Observation
from deployment_units.services.device_graph.networks import network_of

MOST_WAITING: Final = 100_000  # of a unit
MOST_OF_NETWORK: Final = 4_096  # of a /48 or /24: more than a large site has in a day
MOST_PLACES: Final = 16  # of one browser that an explanation goes by, the newest
_FORGOTTEN_AT_ONCE: Final = 1_000


def wait(
    db: sqlite3.Connection,
    tenant: str,
    seen: Observation,
    *,
    most_of_network: int = MOST_OF_NETWORK,
) -> None:
    """Keeps a browser that was seen until a report comes. As many of an address as are compared,
    and so many of a network: the oldest go."""
    boot = seen.boot
    if isinstance(boot, NoBoot):
        return
    network = network_of(seen.block)
    db.execute(
        "INSERT OR REPLACE INTO waiting_browsers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tenant, seen.block, seen.browser, boot.source, boot.ms, boot.plus_minus_ms,
            seen.server, boot.seen_ms, network,
        ),
    )  # fmt: skip
    db.execute(
        "DELETE FROM waiting_browsers WHERE (tenant, block, browser, source) IN (SELECT tenant,"
        " block, browser, source FROM waiting_browsers WHERE tenant = ? AND block = ?"
        " ORDER BY seen_ms DESC LIMIT -1 OFFSET ?)",
        (tenant, seen.block, MOST_AT_ADDRESS),
    )
    db.execute(
        "DELETE FROM waiting_browsers WHERE (tenant, block, browser, source) IN (SELECT tenant,"
        " block, browser, source FROM waiting_browsers WHERE tenant = ? AND network = ?"
        " ORDER BY seen_ms DESC LIMIT -1 OFFSET ?)",
        (tenant, network, most_of_network),
    )


def forget_waiting(db: sqlite3.Connection, *, now_ms: int, most: int = MOST_WAITING) -> int:
    """Some of those that have waited for a day, and of those that are too many in the unit, the
    oldest first; how many. Counts all of them."""
    count: int = db.execute("SELECT count(*) FROM waiting_browsers").fetchone()[0]
    over = db.execute(
        "DELETE FROM waiting_browsers WHERE (tenant, block, browser, source) IN (SELECT tenant,"
        " block, browser, source FROM waiting_browsers WHERE seen_ms < ? OR ? > ?"
        " ORDER BY seen_ms LIMIT ?)",
        (now_ms - SESSION_MS, count, most, _FORGOTTEN_AT_ONCE),
    )
    return over.rowcount


def waiting_at(db: sqlite3.Connection, tenant: str, block: str) -> list[Observation]:
    """Browsers that were seen at an address and have no edge yet."""
    rows = db.execute(
        "SELECT browser, source, boot_ms, plus_minus_ms, server, seen_ms FROM waiting_browsers"
        " WHERE tenant = ? AND block = ? ORDER BY seen_ms LIMIT ?",
        (tenant, block, MOST_AT_ADDRESS),
    )
    found = []
    for browser, source, ms, about, server, seen_ms in rows:
        boot = BootInstant(ms=ms, plus_minus_ms=about, source=BootSource(source), seen_ms=seen_ms)
        found.append(
            Observation(browser=browser, block=block, server=server, boot=boot, seen_ms=seen_ms)
        )
    return found


def no_longer_waits(db: sqlite3.Connection, tenant: str, browsers: Iterable[str]) -> None:
    """Browsers that have an edge now, or that nobody may know of any more."""
    db.executemany(
        "DELETE FROM waiting_browsers WHERE tenant = ? AND browser = ?",
        [(tenant, browser) for browser in browsers],
    )


def waiting_of(db: sqlite3.Connection, tenant: str, browser: str) -> list[Observation]:
    """Where and when a browser was seen last that waits; the newest first."""
    rows = db.execute(
        "SELECT block, source, boot_ms, plus_minus_ms, server, seen_ms FROM waiting_browsers"
        " WHERE tenant = ? AND browser = ? ORDER BY seen_ms DESC LIMIT ?",
        (tenant, browser, MOST_PLACES),
    )
    return [
        Observation(
            browser=browser,
            block=block,
            server=server,
            boot=BootInstant(
                ms=ms, plus_minus_ms=about, source=BootSource(source), seen_ms=seen_ms
            ),
            seen_ms=seen_ms,
        )
        for block, source, ms, about, server, seen_ms in rows
    ]
