"""Database: the one SQLite file of everything that the decision side keeps.

Events, rule state, plans and instructions that belong together are one work of the engine, and
either all of it is on disk or nothing (see control_plane.sqlite.engine).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from control_plane.sqlite.engine import CommitGate, Engine
from control_plane.sqlite.schema import Schema, migrate

# After so long no work is added to a transaction: one may decide over 2,000 events, and who waits
# for its own waits for that of others as well.
GROUP_S = 0.005
PAGE_BYTES = 8192  # of a new file: a page has some ten events


class Database(Engine):
    """An engine whose tables are schemas."""

    @classmethod
    async def open(
        cls,
        path: Path,
        schemas: Sequence[Schema],
        *,
        prepare: Callable[[sqlite3.Connection], None] = lambda _: None,
        gate: CommitGate | None = None,
    ) -> Self:
        """Opens or creates the file and brings its tables up to date. prepare: what else is done
        to the connection that writes, before anything else is; gate: see Engine. Raises Refused
        when another process has it, when it is no database of ours, or a newer Homeport's."""

        def prepare_all(db: sqlite3.Connection) -> None:
            migrate(db, schemas)
            prepare(db)

        return cls(path, prepare=prepare_all, page_bytes=PAGE_BYTES, group_s=GROUP_S, gate=gate)
