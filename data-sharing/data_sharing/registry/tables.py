"""The registry's tables. Synchronous, inside whatever transaction the caller is in.

`applications.current` is the version in use; `versions` are never changed, but for the word
that they are deprecated. `registry_revision` grows with every change: who decided by an older
state writes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

from control_plane.errors import Conflict
from control_plane.sqlite.schema import Schema
from data_sharing.registry.catalogue import Version
from data_sharing.registry.manifest_reader import manifest_of

SCHEMA = Schema(
    part="registry",
    steps=(
        (
            """CREATE TABLE versions (
                 number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, application TEXT NOT NULL,
                 version TEXT NOT NULL, manifest TEXT NOT NULL, artifact_sha256 TEXT NOT NULL,
                 artifact_size INTEGER NOT NULL, submitted_ms INTEGER NOT NULL,
                 deprecation TEXT NOT NULL DEFAULT '',
                 UNIQUE (tenant, application, version))""",
            """CREATE TABLE applications (
                 tenant TEXT NOT NULL, application TEXT NOT NULL, current INTEGER NOT NULL,
                 previous INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tenant, application)
               ) WITHOUT ROWID""",
            "CREATE TABLE registry_revision (revision INTEGER NOT NULL)",
            "INSERT INTO registry_revision VALUES (0)",
        ),
    ),
)
_COLUMNS = (
    "v.tenant, v.manifest, v.artifact_sha256, v.artifact_size, v.submitted_ms, v.deprecation,"
    " v.number = a.current"
)
_JOINED = "versions v JOIN applications a USING (tenant, application)"


def revision(db: sqlite3.Connection) -> int:
    """How often the registry has changed."""
    number: int = db.execute("SELECT revision FROM registry_revision").fetchone()[0]
    return number


def advance(db: sqlite3.Connection, decided_at: int) -> None:
    """Raises Conflict where somebody changed something since `decided_at`."""
    done = db.execute(
        "UPDATE registry_revision SET revision = revision + 1 WHERE revision = ?", (decided_at,)
    )
    if done.rowcount != 1:
        raise Conflict("the registry was changed meanwhile; try again")


def current_versions(db: sqlite3.Connection) -> list[Version]:
    """Of all applications of all tenants."""
    return list(_versions(db, f"SELECT {_COLUMNS} FROM {_JOINED} WHERE v.number = a.current", ()))


def current_version(db: sqlite3.Connection, tenant: str, application: str) -> Version | None:
    """Of one application; None: there is no such application."""
    found = _versions(
        db,
        f"SELECT {_COLUMNS} FROM {_JOINED}"
        " WHERE tenant = ? AND application = ? AND v.number = a.current",
        (tenant, application),
    )
    return next(found, None)


def version_of(
    db: sqlite3.Connection, tenant: str, application: str, version: str
) -> Version | None:
    """One version; None: there is none."""
    found = _versions(
        db,
        f"SELECT {_COLUMNS} FROM {_JOINED} WHERE tenant = ? AND application = ? AND version = ?",
        (tenant, application, version),
    )
    return next(found, None)


def versions_of(db: sqlite3.Connection, tenant: str, application: str) -> list[Version]:
    """Of one application, newest submission first."""
    return list(
        _versions(
            db,
            f"SELECT {_COLUMNS} FROM {_JOINED} WHERE tenant = ? AND application = ?"
            " ORDER BY v.number DESC",
            (tenant, application),
        )
    )


def previous_version(db: sqlite3.Connection, tenant: str, application: str) -> str:
    """What was current before what is; empty: nothing was."""
    row = db.execute(
        "SELECT v.version FROM applications a JOIN versions v ON v.number = a.previous"
        " WHERE a.tenant = ? AND a.application = ?",
        (tenant, application),
    ).fetchone()
    return row[0] if row else ""


def has_artifact(db: sqlite3.Connection, tenant: str, sha256: str) -> bool:
    """Whether the tenant has submitted it."""
    found = db.execute(
        "SELECT 1 FROM versions WHERE tenant = ? AND artifact_sha256 = ? LIMIT 1", (tenant, sha256)
    )
    return found.fetchone() is not None


def insert(db: sqlite3.Connection, version: Version) -> None:
    """A version that was not there. It is not current yet."""
    manifest = version.manifest
    db.execute(
        "INSERT INTO versions (tenant, application, version, manifest, artifact_sha256,"
        " artifact_size, submitted_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (manifest.tenant, manifest.application, manifest.version, version.text,
         version.artifact_sha256, version.artifact_size, version.submitted_ms),
    )  # fmt: skip


def make_current(db: sqlite3.Connection, tenant: str, application: str, version: str) -> None:
    """A version that is there."""
    (number,) = db.execute(
        "SELECT number FROM versions WHERE tenant = ? AND application = ? AND version = ?",
        (tenant, application, version),
    ).fetchone()
    db.execute(
        "INSERT INTO applications VALUES (?, ?, ?, 0) ON CONFLICT (tenant, application)"
        " DO UPDATE SET previous = current, current = excluded.current"
        " WHERE current != excluded.current",
        (tenant, application, number),
    )


def deprecate(
    db: sqlite3.Connection, tenant: str, application: str, version: str, why: str
) -> None:
    db.execute(
        "UPDATE versions SET deprecation = ? WHERE tenant = ? AND application = ? AND version = ?",
        (why, tenant, application, version),
    )


def _versions(db: sqlite3.Connection, query: str, values: tuple[str, ...]) -> Iterator[Version]:
    for tenant, text, sha256, size, submitted_ms, deprecation, current in db.execute(query, values):
        yield Version(
            manifest=manifest_of(json.loads(text), tenant),  # it was accepted, so it is one
            text=text,
            artifact_sha256=sha256,
            artifact_size=size,
            submitted_ms=submitted_ms,
            deprecation=deprecation,
            current=bool(current),
        )
