"""Follows the histories of several clusters, each on a connection of its own, for the judge."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

from control_plane.store.port import Store, WatchBatch, range_all
from tests.support.judge.books import ROOT
from tests.support.judge.clusters import Atlas
from tests.support.judge.journal import Journal
from tests.support.judge.verdict import Verdict

FIRST = 2
CATCH_UP_S = 60.0


class ClustersRecorder:
    """Follows every store on connections of its own; in place of a Recorder."""

    def __init__(self, control: Store, clusters: Mapping[str, Store], scratch: Path | None) -> None:
        self.verdict = Verdict()
        self.journal = Journal(scratch, self.verdict)
        self.books = Atlas(self.verdict, list(clusters))
        self._stores = {"": control, **clusters}
        self._revisions = dict.fromkeys(self._stores, FIRST - 1)
        self._moved = asyncio.Condition()

    async def follow(self, name: str) -> None:
        """One store, until cancelled."""
        async with aclosing(self._stores[name].watch(ROOT, from_revision=FIRST)) as batches:
            async for batch in batches:
                self._take(name, batch)
                async with self._moved:
                    self._moved.notify_all()

    def _take(self, name: str, batch: WatchBatch) -> None:
        by_revision: dict[int, dict[str, bytes | None]] = defaultdict(dict)
        for event in batch.events:
            key = event.kv.key[len(ROOT) :].decode()
            by_revision[event.kv.mod_revision][key] = None if event.deleted else event.kv.value
        for revision, changes in sorted(by_revision.items()):
            if revision != self._revisions[name] + 1:
                self.verdict.accuse(
                    "judge", revision, name, f"nothing seen since {self._revisions[name]}"
                )
            self._revisions[name] = revision
            if name:
                self.books.cluster(name, revision, changes)
            else:
                self.books.control(revision, changes)

    async def finish(self, store: Store, logs: list[Path]) -> Verdict:
        """Judges everything, the clients' logs too. Call when all traffic has ended; once."""
        for name, one in self._stores.items():
            page = await range_all(one, ROOT, keys_only=True)
            async with asyncio.timeout(CATCH_UP_S), self._moved:
                await self._moved.wait_for(
                    lambda name=name, page=page: self._revisions[name] >= page.revision
                )
        for log in logs:
            self.journal.read(log)
        self.books.finish(self.journal)
        self.journal.judge()
        return self.verdict


@asynccontextmanager
async def recording_clusters(
    control: Store, clusters: Mapping[str, Store], scratch: Path | None
) -> AsyncIterator[ClustersRecorder]:
    """A recorder that follows all stores while the block runs."""
    recorder = ClustersRecorder(control, clusters, scratch)
    with recorder.journal:
        following = [
            asyncio.create_task(recorder.follow(name), name="judge") for name in ("", *clusters)
        ]
        try:
            yield recorder
        finally:
            for task in following:
                task.cancel()
            for task in following:
                with suppress(asyncio.CancelledError):
                    await task
