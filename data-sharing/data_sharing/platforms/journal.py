"""Journal: the instructions of a platform and what became of them, on its own disk.

Before an action that is not idempotent runs, its id is synced; after any action, its outcome
is, before anybody hears of it. So after a crash an outcome that was reached is reported and not
reached again; an idempotent action without one runs again; and of one that is not idempotent
and was running, nobody can know: its outcome is UNKNOWN, which is said and not guessed.

An id is kept until the decision service has recorded its outcome and its deadline is over:
what is delivered after that is refused as expired.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any

import msgspec

from control_plane.errors import Refused
from control_plane.sqlite.schema import Schema
from data_sharing.database import Database
from data_sharing.instruction import Performance, Performed
from data_sharing.signing import LEEWAY_MS, Delivery, InstructionRefusal, RefusalReason

KEEP_AFTER_DEADLINE_MS = 10 * LEEWAY_MS
SCHEMA = Schema(
    part="journal",
    steps=(
        (
            """CREATE TABLE entries (
                 instruction TEXT PRIMARY KEY, digest BLOB NOT NULL, attempt INTEGER NOT NULL,
                 idempotent INTEGER NOT NULL, deadline_ms INTEGER NOT NULL, outcome BLOB,
                 recorded INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
            "CREATE TABLE fences (partition TEXT PRIMARY KEY, fence INTEGER NOT NULL)",
        ),
    ),
)
_PUT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Performed).decode
Statement = tuple[str, tuple[Any, ...]]


class EntryState(Enum):
    """Of an instruction that is not refused and has no outcome."""

    NEW = "new"  # or a further attempt
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of one instruction. No outcome: it runs, or ran when the platform died."""

    digest: bytes  # of what it orders, so that an id is not used for two things
    attempt: int
    idempotent: bool
    deadline_ms: int
    outcome: Performed | None = None
    recorded: bool = False  # the decision service has the outcome


def digest_of(delivery: Delivery) -> bytes:
    """What makes two deliveries the same order; a later deadline or fence does not."""
    what = delivery.instruction
    parts = (
        what.tenant, what.application, what.version, what.artifact, what.action,
        what.idempotent, dict(what.configuration),
    )  # fmt: skip
    return hashlib.blake2b(
        msgspec.json.encode(parts, order="deterministic"), digest_size=16
    ).digest()


class Journal:
    """`open` one, ask `admit`, then say what happened. On one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries, self._fences = database.read(
            lambda db: (
                dict(_entries(db)),
                dict(db.execute("SELECT partition, fence FROM fences").fetchall()),
            )
        )
        # Those that are recorded, by deadline: what is over is found without looking at all.
        self._recorded = [
            (one.deadline_ms, name) for name, one in self._entries.items() if one.recorded
        ]
        heapify(self._recorded)

    @classmethod
    async def open(cls, path: Path, *, now_ms: int) -> Journal:
        """Opens or creates the file, and ends what a platform that died left open. Raises
        Refused where another process has it or it is no journal."""
        database = await Database.open(path, [SCHEMA])
        try:
            journal = cls(database)
            await journal._end_interrupted(now_ms)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            await database.close()
            raise Refused(f"{path} is not a platform's journal ({error}); move it away") from error
        return journal

    async def _end_interrupted(self, now_ms: int) -> None:
        """See the module. Idempotent ones leave no trace that would keep them from running."""
        for name, entry in list(self._entries.items()):
            if entry.outcome is not None:
                continue
            unknown = Performed(
                instruction=name,
                attempt=entry.attempt,
                status=Performance.UNKNOWN,
                platform="",
                message="the platform died while the action ran; whether it was performed "
                "cannot be known here",
                ended_at_ms=now_ms,
            )
            await self.end(unknown)

    def admit(self, delivery: Delivery) -> Performed | InstructionRefusal | EntryState:
        """What to do with a delivery whose signature and deadline are good: run it, wait for
        it, report the outcome that is known already, or refuse it."""
        what = delivery.instruction

        def refused(reason: RefusalReason, message: str) -> InstructionRefusal:
            return InstructionRefusal(
                reason=reason, message=message, instruction=what.id, attempt=delivery.attempt
            )

        fence = self._fences.get(delivery.partition, 0)
        if delivery.fence < fence:
            return refused(
                RefusalReason.STALE_FENCE,
                f"the decision worker with token {delivery.fence} was replaced; "
                f"token {fence} speaks for partition {delivery.partition} now",
            )
        entry = self._entries.get(what.id)
        if entry is None:
            return EntryState.NEW
        if entry.digest != digest_of(delivery):
            return refused(
                RefusalReason.REPLAYED,
                "this instruction's id was used for another instruction before",
            )
        if entry.outcome is None:
            return EntryState.RUNNING
        if entry.outcome.attempt >= delivery.attempt:
            return replace(entry.outcome, replayed=True)
        return EntryState.NEW

    async def begin(self, delivery: Delivery) -> None:
        """Records that it runs from now on; on disk where running it twice is not as good as
        once, or the fence is new. Raises Unavailable where the disk fails: do not run it."""
        what = delivery.instruction
        entry = Entry(
            digest=digest_of(delivery),
            attempt=delivery.attempt,
            idempotent=what.idempotent,
            deadline_ms=what.deadline_ms,
        )
        statements: list[Statement] = []
        if delivery.fence > self._fences.get(delivery.partition, 0):
            self._fences[delivery.partition] = delivery.fence
            statements.append(
                (
                    "INSERT INTO fences VALUES (?, ?) ON CONFLICT DO UPDATE "
                    "SET fence = max(fence, excluded.fence)",
                    (delivery.partition, delivery.fence),
                )
            )
        if not what.idempotent:
            statements.append((_PUT, _row(what.id, entry)))
        before = self._entries.get(what.id)
        self._entries[what.id] = entry
        if statements:
            try:
                await self._commit(statements)
            except BaseException:  # cancelled too: what is not on disk was not begun
                if before is None:
                    del self._entries[what.id]
                else:
                    self._entries[what.id] = before
                raise

    async def end(self, performed: Performed) -> None:
        """Keeps the outcome; report it when this returns. Raises Unavailable."""
        entry = replace(self._entries[performed.instruction], outcome=performed)
        await self._commit([(_PUT, _row(performed.instruction, entry))])
        self._entries[performed.instruction] = entry

    async def mark_recorded(self, outcomes: Sequence[tuple[str, int]], now_ms: int) -> None:
        """The decision service has recorded these outcomes, (instruction, attempt) each. What
        is over is forgotten. Raises Unavailable."""
        statements: list[Statement] = []
        for name, attempt in outcomes:
            entry = self._entries.get(name)
            if entry is None or entry.outcome is None or entry.outcome.attempt != attempt:
                continue
            self._entries[name] = replace(entry, recorded=True)
            heappush(self._recorded, (entry.deadline_ms, name))
            statements.append(("UPDATE entries SET recorded = 1 WHERE instruction = ?", (name,)))
        for name in self._expired(now_ms - KEEP_AFTER_DEADLINE_MS):
            del self._entries[name]
            statements.append(("DELETE FROM entries WHERE instruction = ?", (name,)))
        if statements:
            await self._commit(statements)

    def _expired(self, before_ms: int) -> Iterator[str]:
        """Those that are recorded and whose deadline is earlier, each once."""
        while self._recorded and self._recorded[0][0] < before_ms:
            _, name = heappop(self._recorded)
            entry = self._entries.get(name)
            # One that is run again has a later deadline, and is not recorded yet.
            if entry is not None and entry.recorded and entry.deadline_ms < before_ms:
                yield name

    def unrecorded(self) -> list[Performed]:
        """Outcomes that the decision service has not recorded, as far as is known here."""
        return [
            replace(entry.outcome, replayed=True)
            for entry in self._entries.values()
            if entry.outcome is not None and not entry.recorded
        ]

    def __len__(self) -> int:
        return len(self._entries)

    async def close(self) -> None:
        """Once what was begun is on disk."""
        await self._database.close()

    async def _commit(self, statements: Sequence[Statement]) -> None:
        """Returns when they are on disk. Raises StoreUnavailable, OutcomeUnknown."""

        def write(db: sqlite3.Connection) -> None:
            for text, values in statements:
                db.execute(text, values)

        await self._database.transact(write)


def _entries(connection: sqlite3.Connection) -> Iterator[tuple[str, Entry]]:
    for name, digest, attempt, idempotent, deadline_ms, outcome, recorded in connection.execute(
        "SELECT instruction, digest, attempt, idempotent, deadline_ms, outcome, recorded "
        "FROM entries"
    ):
        yield (
            name,
            Entry(
                digest=digest,
                attempt=attempt,
                idempotent=bool(idempotent),
                deadline_ms=deadline_ms,
                outcome=None if outcome is None else _read(outcome),
                recorded=bool(recorded),
            ),
        )


def _row(name: str, entry: Entry) -> tuple[Any, ...]:
    outcome = None if entry.outcome is None else _write(entry.outcome)
    return (
        name, entry.digest, entry.attempt, int(entry.idempotent), entry.deadline_ms, outcome,
        int(entry.recorded),
    )  # fmt: skip
