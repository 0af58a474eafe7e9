"""JetStreamChangeLog: the commits of one partition in one stream, its snapshots beside it.

A commit is one message, or an atomic batch of them where it is large: pieces of its body, then its
head on the subject whose last sequence guards the next one. JetStream writes a batch together, so
what stands between two heads is of the second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import DigestMismatchError, NotFoundError
from nats.js.errors import Error as JetStreamError
from nats.js.object_store import ObjectStore

from control_plane.errors import DataLoss, HistoryGone, NotFound, StoreUnavailable
from data_sharing.replication.commit import Commit, decode, head_of
from data_sharing.replication.jetstream.connection import JetStreamTarget
from data_sharing.replication.jetstream.stream import Stream
from data_sharing.replication.port import Extent, LastCommit

PIECE_BYTES = 512 << 10
HEADERS_BYTES = 4 << 10  # left for headers of what the server takes as one message
SNAPSHOT_S = 600.0  # for all of one


class JetStreamChangeLog:
    """`open` first. partition: its name; letters, digits and hyphens."""

    def __init__(self, client: Client, target: JetStreamTarget, partition: str) -> None:
        self._client = client
        self._target = target
        self._name = f"{target.prefix}-{partition}"
        self._pieces = f"{target.prefix}.{partition}.pieces"
        self._heads = f"{target.prefix}.{partition}.commits"
        self._stream = Stream(
            client, self._name, [self._pieces, self._heads], replicas=target.replicas
        )
        self._snapshots: ObjectStore | None = None

    async def open(self) -> None:
        """Makes the streams where they are not; see Stream.open."""
        await self._stream.open()
        jetstream, bucket = self._client.jetstream(), f"{self._name}-snapshots"
        try:
            try:
                self._snapshots = await jetstream.object_store(bucket)
            except NotFoundError:
                self._snapshots = await jetstream.create_object_store(
                    bucket, replicas=self._target.replicas
                )
        except (NatsError, JetStreamError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"NATS cannot keep snapshots now ({error})") from error

    @property
    def identity(self) -> str:
        return self._stream.identity

    @property
    def piece_bytes(self) -> int:
        return min(PIECE_BYTES, self._client.max_payload - HEADERS_BYTES)

    async def append(self, messages: Sequence[bytes], *, after: int) -> int:
        *pieces, head = messages
        return await self._stream.write(
            [*((self._pieces, one) for one in pieces), (self._heads, head)], after=after
        )

    async def last(self) -> LastCommit | None:
        found = await self._stream.last(self._heads)
        return None if found is None else LastCommit(found.sequence, head_of(found.data))

    async def extent(self) -> Extent:
        return Extent(*await self._stream.extent())

    async def read(self, after: int) -> AsyncIterator[Commit]:
        last = await self.last()
        if last is None or last.sequence <= after:
            return
        if (await self.extent()).first > after + 1:
            raise HistoryGone("the changelog does not go back so far any more")
        pieces: list[bytes] = []
        async for message in self._stream.read(after + 1, last.sequence):
            if message.subject != self._heads:
                pieces.append(message.data)
                continue
            yield decode(message.sequence, pieces, head_of(message.data))
            pieces.clear()
            after = message.sequence
        if after < last.sequence:
            raise StoreUnavailable("the NATS server that was asked is behind; ask again")

    async def trim(self, before: int) -> None:
        last = await self.last()
        if last is None:
            return
        keep = last.sequence - last.head.pieces + 1  # its own pieces are before its head
        await self._stream.purge(min(before, keep))

    # -- snapshots ---------------------------------------------------------------------

    async def put_snapshot(self, name: str, file: Path) -> None:
        try:
            async with asyncio.timeout(SNAPSHOT_S):
                with await asyncio.to_thread(file.open, "rb") as content:
                    await self._store().put(name, content)
        except (NatsError, JetStreamError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"NATS did not take a snapshot ({error})") from error

    async def get_snapshot(self, name: str, file: Path) -> None:
        try:
            async with asyncio.timeout(SNAPSHOT_S):
                with await asyncio.to_thread(file.open, "wb") as content:
                    await self._store().get(name, writeinto=content)
        except NotFoundError as error:
            raise NotFound(f"there is no snapshot {name} any more") from error
        except DigestMismatchError as error:
            raise DataLoss(f"the snapshot {name} is not what was written") from error
        except (NatsError, JetStreamError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"NATS did not give a snapshot ({error})") from error

    async def remove_snapshots(self, keep: str) -> None:
        try:
            for one in await self._store().list():
                if one.name != keep:
                    await self._store().delete(one.name)
        except NotFoundError:
            return
        except (NatsError, JetStreamError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"NATS did not remove snapshots ({error})") from error

    def _store(self) -> ObjectStore:
        if self._snapshots is None:
            raise StoreUnavailable("the changelog was not opened")
        return self._snapshots
