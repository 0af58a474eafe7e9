"""StoreAuditLog: the audit log of servers that share one store.

An entry and the head of the chain are one transaction, which compares the head it was made on: of
two servers that append at once one is refused, and appends behind the other. Entries of one server
that wait for each other go together. A transaction whose outcome is not known is looked for before
anything is written again, so that nothing stands there twice. An outcome compares and deletes the
marks of its change (`marked_store`), so that it is true of them, and the only one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from control_plane import keys
from control_plane.audit.chain import AuditRecord, extend
from control_plane.audit.entry import START, AuditEntry, AuditPhase, ChainPoint, DamagedEntry
from control_plane.audit.outcomes import abandoned, decided
from control_plane.audit.port import END_AT_ONCE, TRIM_AT_ONCE, ChainPage, due
from control_plane.errors import OutcomeUnknown, StoreUnavailable, Unavailable
from control_plane.store.damaged import DamagedKeys
from control_plane.store.port import (
    Compacted,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Store,
    Txn,
    absent,
    unchanged,
)

APPEND_S = 5.0
AT_ONCE = 20  # entries in one transaction: some 500 kB at most
ATTEMPTS = 50  # against other servers, of which one gets through each time
HASH_BYTES = 32

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Head(msgspec.Struct, frozen=True):
    """The newest entry; mod_revision: of the key, which is not in its value."""

    point: ChainPoint = START
    time_ms: int = 0


class _Marks(NamedTuple):
    """Of one change: that it has no outcome, and that transactions of it were made."""

    opened: KeyValue | None
    made: KeyValue | None


_NO_MARKS = _Marks(None, None)


class StoreAuditLog:
    """An AuditLog. wall: Unix seconds; new_id: tells two trims apart; session: the id of this
    server's session in the store, by which others see that it has gone."""

    def __init__(
        self,
        store: Store,
        *,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        session: Callable[[], str],
    ) -> None:
        self._store = store
        self._wall = wall
        self._new_id = new_id
        self._session = session
        self._lock = asyncio.Lock()
        self._waiting: deque[tuple[AuditEntry, asyncio.Future[int]]] = deque()
        self._damaged = DamagedKeys(log)

    async def append(self, entry: AuditEntry) -> int:
        """See AuditLog."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, answer))
        try:
            async with asyncio.timeout(APPEND_S):
                while not answer.done():
                    async with self._lock:
                        if not answer.done():
                            await self._write_waiting()
        except TimeoutError as error:
            raise _away("the store did not answer in time") from error
        finally:
            if not answer.done():
                answer.cancel()  # it is not written any more by whoever comes next
        return answer.result()

    async def read(self, *, after: int, limit: int) -> ChainPage:
        """See AuditLog."""
        try:
            found = await self._store.commit(
                Txn(then=[Get(keys.AUDIT_HEAD), Get(keys.AUDIT_TRIMMED)])
            )
            at = found.revision
            page = await self._store.range(
                keys.AUDIT_ENTRIES,
                start_after=keys.audit_entry(after),
                limit=limit,
                at_revision=at,
            )
            open_ = await self._store.range(
                keys.AUDIT_OPEN,
                start_after=keys.audit_open(after),
                limit=limit,
                at_revision=at,
                keys_only=True,
            )
        except OutcomeUnknown as error:  # of a transaction that only reads
            raise StoreUnavailable(error.message) from error
        except Compacted as error:
            raise StoreUnavailable("the store was compacted meanwhile; try again") from error
        head, trimmed = (pairs[0] if pairs else None for pairs in found.results)
        return ChainPage(
            records=[_record(pair) for pair in page.items],
            head=_head(head).point,
            trimmed=_point(trimmed),
            open=frozenset(_number(pair, keys.AUDIT_OPEN) for pair in open_.items),
        )

    async def end_abandoned(self, under_way: Collection[int]) -> int:
        """See AuditLog. The outcome goes into a transaction that compares that the session is gone
        and nobody else has written one."""
        page = await self._store.range(keys.AUDIT_OPEN, limit=END_AT_ONCE)
        ended = 0
        for pair in page.items:
            session = keys.session(pair.value.decode(errors="replace"))
            number = _number(pair, keys.AUDIT_OPEN)
            if number in under_way or await self._store.get(session) is not None:
                continue
            asked = await self._store.get(keys.audit_entry(number))
            if asked is None:  # it was trimmed
                guards = [absent(session), unchanged(pair.key, pair.mod_revision)]
                await self._store.commit(Txn(compares=guards, then=_forget(number)))
                continue
            async with self._lock, asyncio.timeout(APPEND_S):
                head, marks = await self._read([number])
                opened, made = marks[number]
                if opened is None:
                    continue
                try:
                    entry = abandoned(_record(asked), self._new_id(), _version(made))
                except DamagedEntry as error:  # it stays open; the others have their outcomes
                    self._damaged.pass_over(asked.key, error)
                    continue
                _, txn = self._transaction([entry], head, marks)
                done = await self._store.commit(
                    Txn(
                        compares=[*txn.compares, absent(session)],
                        creates=txn.creates,
                        then=txn.then,
                    )
                )
            ended += done.succeeded
        self._damaged.end_look()
        return ended

    async def trim(self, *, before_ms: int, keep: int) -> int:
        """See AuditLog."""
        pair = await self._store.get(keys.AUDIT_TRIMMED)
        point = _point(pair)
        page = await self.read(after=point.sequence, limit=TRIM_AT_ONCE)
        gone = due(page, before_ms=before_ms, keep=keep)
        if page.trimmed != point or not gone:
            return 0
        newest = gone[-1].point
        entry = AuditEntry(id=self._new_id(), phase=AuditPhase.TRIMMED, trimmed=newest)
        also: list[Operation] = [Put(keys.AUDIT_TRIMMED, _encode(newest))]
        for record in gone:
            also += [Delete(keys.audit_entry(record.sequence))]
        also += _forget(*(record.sequence for record in gone if record.sequence in page.open))
        guard = unchanged(keys.AUDIT_TRIMMED, pair.mod_revision if pair else 0)
        async with self._lock, asyncio.timeout(APPEND_S):
            head_pair = await self._store.get(keys.AUDIT_HEAD)
            _, txn = self._transaction([entry], head_pair, {})
            done = await self._store.commit(
                Txn(
                    compares=[*txn.compares, guard],
                    creates=txn.creates,
                    then=[*txn.then, *also],
                )
            )
        return len(gone) if done.succeeded else 0

    async def _write_waiting(self) -> None:
        """Appends what waits, as far as it goes into one transaction. Whoever waits for one of
        those is told, whatever becomes of it."""
        taken: list[tuple[AuditEntry, asyncio.Future[int]]] = []
        while self._waiting and len(taken) < AT_ONCE:
            entry, answer = self._waiting.popleft()
            if not answer.done():
                taken.append((entry, answer))
        failure: BaseException = _away("the append was interrupted")
        try:
            sequences = await self._written([entry for entry, _ in taken]) if taken else []
            for (_, answer), sequence in zip(taken, sequences, strict=True):
                if not answer.done():
                    answer.set_result(sequence)
        except Unavailable as error:
            failure = _away(error.message)
        finally:
            for _, answer in taken:
                if not answer.done():
                    answer.set_exception(failure)
                    answer.exception()  # its owner may have left

    async def _written(self, entries: list[AuditEntry]) -> list[int]:
        """The sequence of each; 0 for an outcome that stands there already."""
        ended = [entry.asked for entry in entries if entry.asked]
        unsure: list[tuple[AuditRecord, list[int]]] = []  # attempts that may yet come to pass
        for _ in range(ATTEMPTS):
            # Read before the attempts are looked for: one that comes after that moves the head.
            head, marks = await self._read(ended)
            for newest, sequences in unsure:
                if await self._stands(newest):
                    return sequences
            told: list[AuditEntry] = []
            places: list[int | None] = []  # in `told`
            for entry in entries:
                opened, made = marks[entry.asked] if entry.asked else _NO_MARKS
                stands_already = entry.asked and opened is None
                places.append(None if stands_already else len(told))
                if not stands_already:
                    told.append(decided(entry, _version(made)) if entry.asked else entry)
            if not told:
                return [0] * len(entries)
            records, txn = self._transaction(told, head, marks)
            sequences = [0 if at is None else records[at].sequence for at in places]
            try:
                done = await self._store.commit(txn)
            except OutcomeUnknown:
                unsure.append((records[-1], sequences))
                continue
            if done.succeeded:
                return sequences
            *there, found = done.results
            met = found[0].mod_revision if found else 0
            if any(there) and met == (head.mod_revision if head else 0):
                raise Unavailable(
                    f"the audit log in the store is damaged: entry {records[0].sequence} is there "
                    "already; run `homeport audit verify`"
                )
        raise Unavailable("other servers keep writing to the audit log; try again")

    async def _read(self, ended: Collection[int]) -> tuple[KeyValue | None, dict[int, _Marks]]:
        """The head, and the marks of these changes, all as of one moment."""
        if not ended:
            return await self._store.get(keys.AUDIT_HEAD), {}
        reads = [Get(keys.AUDIT_HEAD)]
        for number in ended:
            reads += [Get(keys.audit_open(number)), Get(keys.audit_made(number))]
        try:
            found = (await self._store.commit(Txn(then=reads))).results
        except OutcomeUnknown as error:  # of a transaction that only reads
            raise StoreUnavailable(error.message) from error
        head, *marks = (pairs[0] if pairs else None for pairs in found)
        pairs = zip(marks[::2], marks[1::2], strict=True)
        return head, {number: _Marks(*one) for number, one in zip(ended, pairs, strict=True)}

    def _transaction(
        self,
        entries: list[AuditEntry],
        pair: KeyValue | None,
        marks: Mapping[int, _Marks],
    ) -> tuple[list[AuditRecord], Txn]:
        """The records of these behind the head as `pair` has it, and what writes them. marks: of
        the changes whose outcomes are among them."""
        head = _head(pair)
        time_ms = max(head.time_ms, int(self._wall() * 1_000))
        point, records = head.point, list[AuditRecord]()
        compares = [unchanged(keys.AUDIT_HEAD, pair.mod_revision if pair else 0)]
        writes: list[Operation] = []
        for entry in entries:
            records.append(extend(point, entry, time_ms))
            point = records[-1].point
            if entry.phase is AuditPhase.ASKED:
                writes.append(Put(keys.audit_open(point.sequence), self._session().encode()))
            elif entry.asked:
                opened, made = marks[entry.asked]
                compares += [
                    unchanged(keys.audit_open(entry.asked), _revision(opened)),
                    unchanged(keys.audit_made(entry.asked), _revision(made)),
                ]
                writes += _forget(entry.asked)
        return records, Txn(
            compares=compares,
            creates=[(keys.audit_entry(one.sequence), one.hash + one.content) for one in records],
            then=[Put(keys.AUDIT_HEAD, _encode(_Head(point, time_ms))), *writes],
            otherwise=[Get(keys.AUDIT_HEAD)],
        )

    async def _stands(self, record: AuditRecord) -> bool:
        pair = await self._store.get(keys.audit_entry(record.sequence))
        return pair is not None and pair.value == record.hash + record.content


def _away(why: str) -> Unavailable:
    return Unavailable(f"the audit log cannot be written: {why}; nothing was changed, try again")


def _forget(*numbers: int) -> list[Operation]:
    """Deletes the marks of these changes."""
    return [Delete(key(number)) for number in numbers for key in (keys.audit_open, keys.audit_made)]


def _revision(pair: KeyValue | None) -> int:
    return pair.mod_revision if pair is not None else 0


def _version(pair: KeyValue | None) -> int:
    return pair.version if pair is not None else 0


def _number(pair: KeyValue, prefix: bytes) -> int:
    """The sequence in a key; 0, where no entry is, for one that nobody of us wrote."""
    name = pair.key[len(prefix) :]
    return int(name) if name.isdigit() else 0


def _record(pair: KeyValue) -> AuditRecord:
    return AuditRecord(
        sequence=_number(pair, keys.AUDIT_ENTRIES),
        content=pair.value[HASH_BYTES:],
        hash=pair.value[:HASH_BYTES],
    )


_encode = msgspec.json.Encoder(order="sorted").encode


def _head(pair: KeyValue | None) -> _Head:
    return _Head() if pair is None else _decoded(pair.value, _Head)


def _point(pair: KeyValue | None) -> ChainPoint:
    return START if pair is None else _decoded(pair.value, ChainPoint)


def _decoded(value: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"the audit log in the store is damaged: its head cannot be read ({error})"
        ) from error
