"""Engine: one SQLite file that is written by group commit and read as of the last commit.

Whoever changes something hands in a function of the connection, its work. All works that gather
while one sync is under way share the next transaction, each in a savepoint of its own: one that
fails is undone alone. Works run on the event loop's own thread, where no other thread competes
for the interpreter row by row; only the sync, which needs no interpreter, waits elsewhere. Reads
go over a second connection, `reader`; `writer` is for works alone. One process owns the file; a
lock beside it says so.

The embedded store, the decision side's database and a platform's journal stand on it. It knows
no tables: `prepare` makes them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from control_plane.errors import OutcomeUnknown, Refused, ServiceError, StoreUnavailable
from control_plane.short_switches import SHORT_SWITCHES
from control_plane.sqlite.checkpointing import Checkpointing
from control_plane.sqlite.connection import FileLock, connect
from control_plane.supervision import log_failure
from control_plane.turns import Turns

log = logging.getLogger(__name__)

T = TypeVar("T")
GROUP_LIMIT = 64  # works in one transaction
TRY_AGAIN_S = 1.0  # after a transaction that could not be written, where nobody hands in a work
ROOM_BYTES = 8 << 20  # on the disk, for the largest of transactions: pages come in such numbers
_NOT_WRITTEN = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
     sqlite3.SQLITE_CORRUPT)
)  # fmt: skip

Work: TypeAlias = Callable[[sqlite3.Connection], T]
"""Runs inside a transaction and blocks everybody: keep it to milliseconds. It must not begin,
commit or roll back a transaction. What it raises undoes it."""

Steps: TypeAlias = Callable[[sqlite3.Connection], Generator[None, None, T]]
"""A work in steps: wherever it yields, the event loop comes to what else is ready, within the same
transaction. So each step is to be kept to milliseconds, and what is in memory must be as the
connection has it wherever it yields."""

UNDO_WORK = "ROLLBACK TO work"
"""A statement by which a work undoes what it has written so far, and goes on."""


class CommitGate(Protocol):
    """What else a transaction has to go through before it is committed: a changelog elsewhere, of
    which the file is a copy. The disk under the file need not be waited for then."""

    async def ready(self, db: sqlite3.Connection) -> None:
        """Before each transaction, outside of one; may bring the file up to date. Raises
        StoreUnavailable: nothing can be written now."""
        ...

    async def commit(self, db: sqlite3.Connection) -> None:
        """At the end of each transaction, inside it: once this returns it is committed. Raises
        StoreUnavailable or OutcomeUnknown, and it is undone."""
        ...


class _Queued(NamedTuple):
    of: str
    work: Work[Any]  # or Steps
    answer: asyncio.Future[Any]
    in_steps: bool = False


class _Outcome(NamedTuple):
    answer: asyncio.Future[Any]
    result: Any
    failure: Exception | None


class Snapshot:
    """A context in which a connection sees one commit."""

    __slots__ = ("_db",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, *exc: object) -> None:
        self._db.execute("COMMIT")


def free_on_disk(folder: Path) -> int:
    """Bytes that may still be written where the folder is."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class Engine:
    """See the module."""

    def __init__(
        self,
        path: Path,
        *,
        prepare: Callable[[sqlite3.Connection], None],
        page_bytes: int,
        called: str = "database",
        group_s: float = math.inf,
        before_commit: Callable[[], None] | None = None,
        try_again_s: float = TRY_AGAIN_S,
        free_bytes: Callable[[Path], int] = free_on_disk,
        gate: CommitGate | None = None,
    ) -> None:
        """Opens or creates the file, within a running event loop. called: what messages call it.
        group_s: after so long no work is added to a transaction. before_commit: called inside
        each transaction, after its works. try_again_s: as TRY_AGAIN_S. free_bytes: on the disk of
        a folder. gate: what its transactions go through besides. Raises Refused when another
        process has the file, when it is not what `prepare` expects, and what `prepare` raises."""
        self._called = called
        self._group_s = group_s
        self._before_commit = before_commit
        self._try_again_s = try_again_s
        self._free_bytes = free_bytes
        self._gate = gate
        self._folder = path.parent
        self._lock = FileLock(path, called)
        try:
            self.writer, self.reader = _open_both(path, prepare, page_bytes)
        except sqlite3.Error as error:
            self._lock.release()
            raise Refused(f"{path} is not a Homeport {called} ({error}); move it away") from error
        except ServiceError:
            self._lock.release()
            raise
        self._queue = Turns[_Queued](lambda one: one.of)
        self._wake = asyncio.Event()
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix=f"{called} sync")
        self._checkpoints = Checkpointing(path, page_bytes=page_bytes, called=called)
        self._closed = False
        self.connected = True  # whether the last transaction could be written, with all its works
        self.groups = 0  # transactions committed
        self.failures = 0  # transactions, or works in them, that could not be written
        self._refused = 0  # works of this transaction that could not be
        self._wrote = False  # whether one of them has written anything
        self.around: Callable[[Work[Any]], Work[Any]] | None = None
        """Given each work that is handed in, where it is handed in; what it returns is run."""
        self.on_commit: list[Callable[[], None]] = []
        """Called after each transaction that is on disk."""
        self.on_undo: list[Callable[[], None]] = []
        """Called after work that had run was undone, alone or with its group: what anybody
        remembers of it in memory is not so and has to be read again."""
        self.on_rollback: list[Callable[[], None]] = []
        """Called after a whole group was undone, before `on_undo`."""
        self._task = asyncio.create_task(self._commit_groups(), name=f"{called} commits")
        self._task.add_done_callback(log_failure)

    def submit(self, work: Work[T], *, of: str = "") -> asyncio.Future[T]:
        """Runs `work` in the next transaction that has room for it. of: for whom; works of one are
        run in their order, and those for several in turn. The future has its result once that is on
        disk; or what it raised, and then it has done nothing; or StoreUnavailable (nothing
        was done), or OutcomeUnknown (the sync failed)."""
        made = work if self.around is None else self.around(work)
        return self._enqueue(made, of, in_steps=False)

    def submit_steps(self, work: Steps[T], *, of: str = "") -> asyncio.Future[T]:
        """The same for a work in steps, which `around` is not given."""
        return self._enqueue(work, of, in_steps=True)

    def _enqueue(self, work: Work[Any], of: str, *, in_steps: bool) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(StoreUnavailable(f"the {self._called} is closed"))
        else:
            self._queue.append(_Queued(of, work, answer, in_steps))
            self._wake.set()
        return answer

    async def transact(self, work: Work[T]) -> T:
        """`submit`, waited for. A caller that is cancelled stops waiting; the work is done."""
        return await self.submit(work)  # one that is cancelled is passed over when it is done

    def read(self, work: Work[T]) -> T:
        """Runs `work` on what is committed, all of it as of one moment. Blocks."""
        with self.snapshot():
            return work(self.reader)

    def snapshot(self) -> Snapshot:
        """All that `reader` reads inside is as of one commit."""
        self.check_open()
        return Snapshot(self.reader)

    def check_open(self) -> None:
        """Raises StoreUnavailable once it is closed."""
        if self._closed:
            raise StoreUnavailable(f"the {self._called} is closed")

    async def close(self) -> None:
        """Finishes what was handed in, then closes."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        await asyncio.wait([self._task])
        self._syncing.shutdown()
        self._checkpoints.close()
        while self._queue:  # where the event loop has ended the task before
            answer = self._queue.popleft().answer
            if not answer.done():
                answer.set_exception(StoreUnavailable(f"the {self._called} is closed"))
        self.reader.close()
        self.writer.close()
        self._lock.release()

    # -- inside ------------------------------------------------------------------------

    async def _commit_groups(self) -> None:
        while self._queue or not self._closed:
            if not self._queue:
                self._wake.clear()
                try:
                    async with asyncio.timeout(None if self.connected else self._try_again_s):
                        await self._wake.wait()
                except TimeoutError:
                    # Who waits until it can be written again hands in nothing.
                    self._queue.append(_Queued("", self._write_again, _unanswered()))
                continue
            await self._commit_group()

    async def _commit_group(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._group_s
        queue, done = self._queue, list[_Outcome]()
        self._refused, self._wrote = 0, False
        if self._gate is not None:
            try:
                await self._gate.ready(self.writer)
            except StoreUnavailable as error:  # all that have waited for it so far
                done += [_Outcome(one.answer, None, None) for one in queue]
                queue.clear()
                self._undo(done, error)
                return
        try:
            self.writer.execute("BEGIN IMMEDIATE")
            while queue and len(done) < GROUP_LIMIT and (not done or loop.time() < end):
                one = queue.popleft()
                done.append(_Outcome(one.answer, None, None))
                done[-1] = _Outcome(one.answer, *await self._attempt(one))
            if self._before_commit is not None:
                self._before_commit()
        except Exception as error:
            if not isinstance(error, sqlite3.Error):  # a defect; nobody may wait for ever for it
                log.exception("a transaction of the %s failed", self._called)
            if not done:  # the transaction did not even begin: who waits longest is told
                done.append(_Outcome(queue.popleft().answer, None, None))
            self._undo(done, StoreUnavailable(f"the {self._called} cannot write: {error}"))
            return
        if self._gate is not None:
            try:
                await self._gate.commit(self.writer)
            except (StoreUnavailable, OutcomeUnknown) as error:
                self._undo(done, error)
                return
        SHORT_SWITCHES.begin()
        try:
            await loop.run_in_executor(self._syncing, self.writer.execute, "COMMIT")
        except sqlite3.Error as error:
            # Whether the sync reached the disk is not known.
            self._undo(done, OutcomeUnknown(f"the {self._called} could not sync: {error}"))
            return
        finally:
            SHORT_SWITCHES.end()
        if self._refused or self._wrote:  # one that has written nothing proves nothing
            self.connected = not self._refused
        self.groups += 1
        for answer, result, failure in done:
            if answer.done():
                continue
            if failure is None:
                answer.set_result(result)
            else:
                answer.set_exception(failure)
        self._checkpoints.committed()
        self._notify(self.on_commit)

    async def _attempt(self, one: _Queued) -> tuple[Any, Exception | None]:
        """What the work gives, or what it raised; its neighbours are not concerned. Raises
        sqlite3.Error where SQLite has undone, or cannot go on with, the whole transaction."""
        db = self.writer
        db.execute("SAVEPOINT work")
        changes = db.total_changes
        try:
            result = one.work(db)
            if one.in_steps:
                result = await _last_of(result)
        except Exception as failure:  # goes to whoever handed the work in
            if not db.in_transaction:
                raise sqlite3.OperationalError(str(failure)) from failure
            db.execute(UNDO_WORK)
            db.execute("RELEASE work")
            self._notify(self.on_undo)
            if isinstance(failure, sqlite3.OperationalError):
                if getattr(failure, "sqlite_errorcode", 0) & 0xFF in _NOT_WRITTEN:
                    self._refused += 1
                    self.failures += 1
                failure = StoreUnavailable(f"the {self._called} cannot write: {failure}")
            return None, failure
        db.execute("RELEASE work")
        self._wrote = self._wrote or db.total_changes > changes
        return result, None

    def _undo(self, done: list[_Outcome], error: StoreUnavailable | OutcomeUnknown) -> None:
        self.connected = False
        self.failures += 1
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")
        self._notify(self.on_rollback)
        self._notify(self.on_undo)
        for answer, _, failure in done:
            if not answer.done():
                answer.set_exception(failure or type(error)(error.message))

    def _write_again(self, db: sqlite3.Connection) -> None:
        """A work: writes a page with what it holds already. A page often fits where a transaction
        does not, so there has to be room as well."""
        if self._free_bytes(self._folder) < ROOM_BYTES:
            full = sqlite3.OperationalError("the disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version}")
        self._wrote = True

    @staticmethod
    def _notify(listeners: list[Callable[[], None]]) -> None:
        for listener in listeners:
            try:
                listener()
            except Exception:  # the boundary: what is on disk is so, whoever does not follow
                log.exception("a listener of a database failed")


async def _last_of(steps: Generator[None, None, T]) -> T:
    """What they return at the end; between two of them comes everything else that is ready."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        await asyncio.sleep(0)


def _unanswered() -> asyncio.Future[Any]:
    """An answer that nobody waits for."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    answer.cancel()
    return answer


def _open_both(
    path: Path, prepare: Callable[[sqlite3.Connection], None], page_bytes: int
) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """The connections that write and read; the first one's tables are there."""
    writer = connect(path, page_bytes=page_bytes)
    try:
        prepare(writer)
        return writer, connect(path, page_bytes=page_bytes, read_only=True)
    except BaseException:  # whatever it was goes on upwards
        writer.close()
        raise
