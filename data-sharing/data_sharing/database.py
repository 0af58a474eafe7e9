"""Database: one SQLite file for everything the decision side keeps, written in groups.

Whoever changes something hands in a function of the connection. All that gather while one
sync is under way share the next transaction, each in a savepoint of its own: one that fails
is undone alone. So events, rule state, plans and instructions that belong together are one
function, and either all of it is on disk or nothing. Functions run on the event loop's own
thread, where no other thread competes for the interpreter row by row; only the sync, which
needs no interpreter, waits elsewhere (as in control_plane.store.embedded). One process owns
the file; a lock beside it says so.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from control_plane.errors import Refused, ServiceError
from control_plane.store.port import OutcomeUnknown, StoreUnavailable

T = TypeVar("T")
GROUP_LIMIT = 64  # functions in one transaction
GROUP_S = 0.02  # after so long no function is added to a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of one part. `steps[n]` are the statements that bring version n to n + 1:
    add steps, never change one that was released."""

    part: str
    steps: tuple[tuple[str, ...], ...]


class Database:
    """See the module; `open` makes one."""

    def __init__(self, path: Path, lock: int, schemas: Sequence[Schema]) -> None:
        self._lock = lock
        self._writer = _connect(path)
        _migrate(self._writer, schemas)
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._queue: deque[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]]
        self._queue = deque()
        self._wake = asyncio.Event()
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="database sync")
        self._closed = False
        self._task = asyncio.create_task(self._commit_groups(), name="database commits")
        self.connected = True  # whether the last transaction could be written
        self.groups = 0  # transactions committed
        self.on_undo: list[Callable[[], None]] = []
        """Called after work that had run was undone: what anybody remembers of it in memory
        is not so and has to be read again."""
        self.on_commit: list[Callable[[], None]] = []
        """Called after each transaction that is on disk."""

    @classmethod
    async def open(cls, path: Path, schemas: Sequence[Schema]) -> Database:
        """Opens or creates the file and brings its tables up to date. Raises Refused when
        another process has it, when it is no database of ours, or a newer Homeport's."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise Refused(
                f"the database {path} is in use by another process; stop that one, "
                "or use another --data-dir"
            ) from error
        try:
            return cls(path, lock, schemas)
        except sqlite3.Error as error:
            os.close(lock)
            raise Refused(f"{path} is not a Homeport database ({error}); move it away") from error
        except ServiceError:
            os.close(lock)
            raise

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Runs `work` in the next transaction. The future has its result once that is on
        disk; or what it raised, and then it has done nothing; or StoreUnavailable (nothing
        was done), or OutcomeUnknown (the sync failed). `work` blocks everybody: keep it to
        milliseconds. It must not begin, commit or roll back a transaction."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(StoreUnavailable("the database is closed"))
        else:
            self._queue.append((work, answer))
            self._wake.set()
        return answer

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`submit`, waited for. A caller that is cancelled stops waiting; the work is done."""
        return await asyncio.shield(self.submit(work))

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on what is committed, all of it as of one moment. Blocks."""
        if self._closed:
            raise StoreUnavailable("the database is closed")
        self._reader.execute("BEGIN")
        try:
            return work(self._reader)
        finally:
            self._reader.execute("COMMIT")

    async def close(self) -> None:
        """Finishes what was handed in, then closes."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        await self._task
        self._syncing.shutdown()
        self._reader.close()
        self._writer.close()
        os.close(self._lock)

    # -- inside ------------------------------------------------------------------------

    async def _commit_groups(self) -> None:
        while self._queue or not self._closed:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._commit_group()

    async def _commit_group(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + GROUP_S
        done: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            while self._queue and len(done) < GROUP_LIMIT and (not done or loop.time() < end):
                work, answer = self._queue.popleft()
                done.append((answer, None, None))
                done[-1] = (answer, *self._attempt(work))
        except sqlite3.Error as error:
            if not done:  # the transaction did not even begin: who waits longest is told
                done.append((self._queue.popleft()[1], None, None))
            self._undo(done, StoreUnavailable(f"the database cannot write: {error}"))
            return
        try:
            await loop.run_in_executor(self._syncing, self._writer.execute, "COMMIT")
        except sqlite3.Error as error:
            self._undo(done, OutcomeUnknown(f"the database could not sync: {error}"))
            return
        self.connected = True
        self.groups += 1
        for answer, result, failure in done:
            if answer.done():
                continue
            if failure is None:
                answer.set_result(result)
            else:
                answer.set_exception(failure)
        for listener in self.on_commit:
            listener()

    def _attempt(self, work: Callable[[sqlite3.Connection], Any]) -> tuple[Any, Exception | None]:
        """What the work gives, or what it raised; its neighbours are not concerned. Raises
        sqlite3.Error where SQLite has undone, or cannot go on with, the whole transaction."""
        db = self._writer
        db.execute("SAVEPOINT work")
        try:
            result = work(db)
        except Exception as failure:  # goes to whoever handed the work in
            if not db.in_transaction:
                raise sqlite3.OperationalError(str(failure)) from failure
            db.execute("ROLLBACK TO work")
            db.execute("RELEASE work")
            self._tell_undone()
            if isinstance(failure, sqlite3.OperationalError):
                failure = StoreUnavailable(f"the database cannot write: {failure}")
            return None, failure
        db.execute("RELEASE work")
        return result, None

    def _undo(
        self, done: list[tuple[asyncio.Future[Any], Any, Exception | None]], error: ServiceError
    ) -> None:
        self.connected = False
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        self._tell_undone()
        for answer, _, failure in done:
            if not answer.done():
                answer.set_exception(failure or type(error)(error.message))

    def _tell_undone(self) -> None:
        for listener in self.on_undo:
            listener()


def _connect(path: Path) -> sqlite3.Connection:
    """In autocommit mode: transactions are begun and ended by hand."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA page_size = 8192")  # of a new file: a page has some ten events
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")  # where savepoints keep pages
    connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    connection.execute("PRAGMA mmap_size = 268435456")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages: 32 MiB
    return connection


def _migrate(db: sqlite3.Connection, schemas: Sequence[Schema]) -> None:
    """All parts to their newest version, in one transaction. Raises Refused."""
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
