"""Schema: the tables of one part of a file, versioned; brought up to date when it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of one part. `steps[n]` are the statements that bring version n to n + 1:
    add steps, never change one that was released."""

    part: str
    steps: tuple[tuple[str, ...], ...]


def migrate(db: sqlite3.Connection, schemas: Sequence[Schema]) -> None:
    """All parts to their newest version, in one transaction. Raises Refused where a newer
    Homeport made the tables."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions"
            " (part TEXT PRIMARY KEY, version INTEGER NOT NULL)"
        )
        for schema in schemas:
            row = db.execute(
                "SELECT version FROM schema_versions WHERE part = ?", (schema.part,)
            ).fetchone()
            version: int = row[0] if row else 0
            if version > len(schema.steps):
                raise Refused(
                    f"the tables of {schema.part} are of version {version}, this Homeport knows "
                    f"{len(schema.steps)}; run the newer one that made them"
                )
            for step in schema.steps[version:]:
                for statement in step:
                    db.execute(statement)
            db.execute(
                "INSERT OR REPLACE INTO schema_versions VALUES (?, ?)",
                (schema.part, len(schema.steps)),
            )
        db.execute("COMMIT")
    except BaseException:  # whatever it was, no step may be half done; it goes on upwards
        db.execute("ROLLBACK")
        raise
