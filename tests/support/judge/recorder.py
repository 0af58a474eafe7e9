"""Follows a store from its beginning on a connection of its own and has every revision judged.

The watch resumes by itself after the last revision delivered, whichever member dies. It is
not trusted in that: nothing but Homeport writes to a store under test, so revisions must
follow each other without a gap, and at the end the store is read and compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

from control_plane.store.etcd import EtcdStore
from control_plane.store.port import Store, WatchBatch, range_all
from tests.support.judge.books import ROOT, Books, Change
from tests.support.judge.journal import Journal
from tests.support.judge.verdict import Verdict

FIRST = 2  # etcd's first write; an empty store is at revision 1
CATCH_UP_S = 60.0
ASSIGNMENTS = ROOT + b"assignments/"


class Recorder:
    """The judge at work over one store."""

    def __init__(self, scratch: Path | None) -> None:
        self.verdict = Verdict()
        self.journal = Journal(scratch, self.verdict)
        self.books = Books(self.verdict, on_step=self.journal.step)
        self.revision = FIRST - 1
        self.standing: set[str] = set()  # live/<unit>, now
        self.moved = asyncio.Condition()

    def take(self, batch: WatchBatch) -> None:
        """Judges what one batch brings, revision by revision."""
        changes: list[Change] = []
        for event in batch.events:
            if event.kv.mod_revision != self.revision:
                self._done(changes)
                if event.kv.mod_revision != self.revision + 1:
                    self.verdict.accuse(
                        "judge", event.kv.mod_revision, "", f"nothing seen since {self.revision}"
                    )
                self.revision = event.kv.mod_revision
            name = event.kv.key[len(ROOT) :].decode()
            if name.startswith("live/"):
                (self.standing.discard if event.deleted else self.standing.add)(name)
            changes.append(Change(name, None if event.deleted else event.kv.value))
        self._done(changes)

    def _done(self, changes: list[Change]) -> None:
        if changes:
            self.books.take(self.revision, changes)
            changes.clear()

    async def follow(self, store: Store) -> None:
        """Until cancelled."""
        async with aclosing(store.watch(ROOT, from_revision=FIRST)) as batches:
            async for batch in batches:
                self.take(batch)
                async with self.moved:
                    self.moved.notify_all()

    async def catch_up(self, store: Store) -> None:
        """Waits until all that the store holds now has been judged, and compares."""
        page = await range_all(store, ASSIGNMENTS)
        async with asyncio.timeout(CATCH_UP_S), self.moved:
            await self.moved.wait_for(lambda: self.revision >= page.revision)
        if self.revision == page.revision:
            shown = ((p.key[len(ASSIGNMENTS) :].decode(), p.value) for p in page.items)
            self.books.compare(page.revision, shown)

    async def finish(self, store: Store, logs: list[Path]) -> Verdict:
        """Judges the clients' logs too. Call when all traffic has ended; once."""
        await self.catch_up(store)
        for log in logs:
            self.journal.read(log)
        self.journal.judge()
        return self.verdict


@asynccontextmanager
async def recording(store: Store, scratch: Path | None) -> AsyncIterator[Recorder]:
    """A recorder that follows the store while the block runs."""
    recorder = Recorder(scratch)
    with recorder.journal:
        following = asyncio.create_task(recorder.follow(store), name="judge")
        try:
            yield recorder
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


@asynccontextmanager
async def connected(endpoints: list[str]) -> AsyncIterator[EtcdStore]:
    """A connection of the judge's own."""
    store = await EtcdStore.connect(endpoints)
    try:
        yield store
    finally:
        await store.close()


async def replay(store: Store, scratch: Path | None = None) -> Books:
    """The history from its beginning until now, judged; what clients were told stays out.
    Clients' lives go into `scratch`, or into memory."""
    async with recording(store, scratch) as recorder:
        await recorder.catch_up(store)
    return recorder.books
