"""Watches without gap or repeat: against scripted streams, and against etcd coming and going."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from etcd3aio._protobuf import AuthenticateResponse, WatchResponse

from control_plane.store.etcd import EtcdStore, StoreRefused
from control_plane.store.port import (
    Compacted,
    Delete,
    OutcomeUnknown,
    Put,
    StoreUnavailable,
    Txn,
    WatchBatch,
)
from tests.support.etcd import StartEtcd
from tests.support.fakes.scripted_etcd import ScriptedEtcd
from tests.support.fakes.tcp_proxy import TcpProxy

CUT = (grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")


def response(*changes: tuple[bytes, int], header: int, **fields: Any) -> WatchResponse:
    """A WatchResponse with a put of each (key, revision)."""
    message = WatchResponse(**fields)
    message.header.revision = header
    for key, revision in changes:
        change = message.events.add()
        change.kv.key, change.kv.mod_revision = key, revision
    return message


def created(header: int = 1) -> WatchResponse:
    return response(header=header, created=True)


def seen(batch: WatchBatch) -> tuple[list[tuple[bytes, int]], int]:
    return [(e.kv.key, e.kv.mod_revision) for e in batch.events], batch.revision


class Scripted:
    """One scripted etcd and a store over it."""

    def __init__(self, etcd: ScriptedEtcd, store: EtcdStore) -> None:
        self.etcd, self.store = etcd, store

    async def batches(self, count: int, from_revision: int = 1) -> list[Any]:
        watch = self.store.watch(b"k", from_revision=from_revision)
        return [seen(await anext(watch)) for _ in range(count)]

    @property
    def starts(self) -> list[int]:
        """The revisions from which it was asked to watch: one before the first wanted."""
        return [request.create_request.start_revision for request in self.etcd.watched]


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    async with AsyncExitStack() as closing:
        etcd = await closing.enter_async_context(ScriptedEtcd())
        etcd.script("Auth/Authenticate", AuthenticateResponse(token="t"))
        store = await EtcdStore.connect(
            [etcd.endpoint], user="u", password="p", required=False, rng=random.Random(1)
        )
        closing.push_async_callback(store.close)
        yield Scripted(etcd, store)


async def test_a_cut_stream_goes_on_after_the_last_event(scripted: Scripted) -> None:
    scripted.etcd.script_watches(
        [created(), response((b"k1", 5), header=5), CUT],
        [created(), response((b"k2", 9), header=9)],
    )
    assert await scripted.batches(2) == [([(b"k1", 5)], 5), ([(b"k2", 9)], 9)]
    assert scripted.starts == [1, 5]


async def test_the_revision_in_the_creating_response_is_no_position(scripted: Scripted) -> None:
    """The stream broke before the events between 1 and 40 were sent."""
    scripted.etcd.script_watches(
        [created(header=40), CUT], [created(header=40), response((b"k1", 5), header=40)]
    )
    assert await scripted.batches(1) == [([(b"k1", 5)], 5)]
    assert scripted.starts == [1, 1]


async def test_the_header_of_a_catching_up_response_is_no_position(scripted: Scripted) -> None:
    """etcd sends history in portions, all with the current revision in the header."""
    scripted.etcd.script_watches(
        [created(40), response((b"k1", 5), header=40), CUT],
        [created(40), response((b"k2", 9), header=40)],
    )
    assert await scripted.batches(2) == [([(b"k1", 5)], 5), ([(b"k2", 9)], 9)]
    assert scripted.starts == [1, 5]


async def test_what_was_delivered_already_is_not_told_again(scripted: Scripted) -> None:
    scripted.etcd.script_watches(
        [created(), response((b"k1", 5), header=5), CUT],
        [created(), response((b"k1", 5), header=9), response((b"k1", 5), (b"k2", 9), header=9)],
    )
    assert await scripted.batches(2) == [([(b"k1", 5)], 5), ([(b"k2", 9)], 9)]


async def test_fragments_of_one_revision_come_as_one_batch(scripted: Scripted) -> None:
    scripted.etcd.script_watches(
        [
            created(),
            response((b"k1", 5), (b"k2", 6), header=6, fragment=True),
            response((b"k3", 6), header=6, fragment=True),
            response((b"k4", 6), header=6),
        ]
    )
    assert await scripted.batches(1) == [([(b"k1", 5), (b"k2", 6), (b"k3", 6), (b"k4", 6)], 6)]


async def test_half_of_a_fragmented_response_is_thrown_away(scripted: Scripted) -> None:
    scripted.etcd.script_watches(
        [created(), response((b"k1", 6), header=6, fragment=True), CUT],
        [created(), response((b"k1", 6), (b"k2", 6), header=6)],
    )
    assert await scripted.batches(1) == [([(b"k1", 6), (b"k2", 6)], 6)]
    assert scripted.starts == [1, 1]


async def test_progress_moves_a_quiet_watch_on(scripted: Scripted) -> None:
    scripted.etcd.script_watches(
        [created(), response(header=50), CUT], [created(), response((b"k1", 60), header=60)]
    )
    assert await scripted.batches(2) == [([], 50), ([(b"k1", 60)], 60)]
    assert scripted.starts == [1, 50]


async def test_progress_before_a_start_in_the_future_is_not_told(scripted: Scripted) -> None:
    scripted.etcd.script_watches([created(), response(header=50), response((b"k1", 90), header=90)])
    assert await scripted.batches(1, from_revision=80) == [([(b"k1", 90)], 90)]


async def test_a_cancelled_watch_is_made_again(scripted: Scripted) -> None:
    scripted.etcd.script_watches(
        [created(), response(header=1, canceled=True, cancel_reason="etcd is stopping")],
        [created(), response((b"k1", 5), header=5)],
    )
    assert await scripted.batches(1) == [([(b"k1", 5)], 5)]


async def test_compaction_ends_the_watch_and_says_where_history_starts(scripted: Scripted) -> None:
    scripted.etcd.script_watches(
        [created(), response(header=90, canceled=True, compact_revision=70)]
    )
    with pytest.raises(Compacted) as told:
        await scripted.batches(1)
    assert told.value.compact_revision == 70


async def test_another_cluster_behind_the_endpoints_ends_the_watch(scripted: Scripted) -> None:
    """As when a backup was restored: its revisions are lower, and mean something else."""
    old, new = created(5), created(3)
    old.header.cluster_id, new.header.cluster_id = 1, 2
    scripted.etcd.script_watches([old, response((b"k1", 5), header=5), CUT], [new])
    with pytest.raises(Compacted) as told:
        await scripted.batches(2)
    assert told.value.compact_revision == 3


async def test_a_denied_watch_logs_in_anew(scripted: Scripted) -> None:
    """etcd denies a watch whose token has expired, instead of saying that it expired."""
    denied = response(
        header=1,
        created=True,
        canceled=True,
        cancel_reason="rpc error: code = PermissionDenied desc = etcdserver: permission denied",
    )
    scripted.etcd.script_watches([denied], [created(), response((b"k1", 5), header=5)])
    assert await scripted.batches(1) == [([(b"k1", 5)], 5)]
    assert scripted.etcd.count("Auth/Authenticate") == 1


async def test_a_watch_that_stays_denied_is_told(scripted: Scripted) -> None:
    denied = response(header=1, canceled=True, cancel_reason="etcdserver: permission denied")
    scripted.etcd.script_watches([denied], [denied], [denied])
    with pytest.raises(StoreRefused, match="permission denied"):
        await scripted.batches(1)


async def test_closing_the_store_ends_its_watches(scripted: Scripted) -> None:
    scripted.etcd.script_watches([created()])
    ended = asyncio.ensure_future(anext(scripted.store.watch(b"k", from_revision=1), "ended"))
    await scripted.etcd.arrived(1)
    await scripted.store.close()
    assert await ended == "ended"


async def test_cancelling_the_task_that_watches_cancels_it(scripted: Scripted) -> None:
    scripted.etcd.script_watches([created()])
    task = asyncio.ensure_future(anext(scripted.store.watch(b"k", from_revision=1)))
    await scripted.etcd.arrived(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_watch_from_revision_zero_is_from_the_start_and_not_from_now(
    scripted: Scripted,
) -> None:
    scripted.etcd.script_watches([created(), response((b"k1", 5), header=5)])
    await scripted.batches(1, from_revision=0)
    assert scripted.starts == [1]


# From here on: a real etcd.


async def write(store: EtcdStore, key: bytes) -> int:
    """Puts the key, again if nobody knows whether it was put; the revision that was told."""
    while True:
        try:
            return (await store.commit(Txn(then=[Put(key, b"")]))).revision
        except (OutcomeUnknown, StoreUnavailable):
            await asyncio.sleep(0.01)  # etcd is being restarted


async def test_a_watch_spans_a_crash_of_etcd(own_etcd: StartEtcd) -> None:
    cluster = own_etcd()
    store = await EtcdStore.connect(cluster.endpoints)
    watch = store.watch(b"k", from_revision=1)
    first = await write(store, b"k1")
    assert seen(await anext(watch)) == ([(b"k1", first)], first)
    cluster.members[0].kill()
    await asyncio.to_thread(cluster.restart, cluster.members[0])
    second = await write(store, b"k2")
    assert seen(await anext(watch)) == ([(b"k2", second)], second)
    await store.close()


async def test_a_watch_leaves_an_endpoint_that_hangs_up_and_one_that_falls_silent(
    own_etcd: StartEtcd,
) -> None:
    """Keepalive is what notices the silent one; etcd is told to bear a ping a second."""
    cluster = own_etcd(arguments=("--grpc-keepalive-min-time=500ms",))
    target = cluster.endpoints[0]
    async with TcpProxy(target) as rude, TcpProxy(target) as silent:
        watcher = await EtcdStore.connect([rude.endpoint, silent.endpoint, target], keepalive_s=1.0)
        writer = await EtcdStore.connect([target])
        watch = watcher.watch(b"k", from_revision=1)
        revision = await write(writer, b"k1")
        assert seen(await anext(watch)) == ([(b"k1", revision)], revision)
        rude.hang_up()
        revision = await write(writer, b"k2")
        assert seen(await anext(watch)) == ([(b"k2", revision)], revision)
        assert silent.connections == 1
        silent.silence()
        revision = await write(writer, b"k3")
        assert seen(await anext(watch)) == ([(b"k3", revision)], revision)
        assert watcher.health.errors["unanswered"] >= 2
        await watcher.close()
        await writer.close()


async def test_a_quiet_watch_advances_while_others_write(own_etcd: StartEtcd) -> None:
    cluster = own_etcd(progress_every="100ms")
    store = await EtcdStore.connect(cluster.endpoints)
    written = await write(store, b"elsewhere")
    watch = store.watch(b"quiet/", from_revision=1)
    batch = await anext(watch)
    assert (batch.events, batch.revision) == ((), written)
    await store.close()


async def test_a_large_revision_is_one_batch(own_etcd: StartEtcd) -> None:
    """100 values that etcd cannot send in one fragment of 256 KiB."""
    cluster = own_etcd(arguments=(f"--max-request-bytes={256 << 10}",))
    store = await EtcdStore.connect(cluster.endpoints)
    revision = 0
    for portion in range(8):
        keys = [b"k%d-%02d" % (portion, n) for n in range(100)]
        revision = (await store.commit(Txn(then=[Put(k, b"v" * 2_000) for k in keys]))).revision
    assert (await store.commit(Txn(then=[Delete(b"k", prefix=True)]))).revision == revision + 1
    watch = store.watch(b"k", from_revision=revision + 1)
    batch = await anext(watch)
    assert len(batch.events) == 800
    assert {(e.kv.mod_revision, e.deleted) for e in batch.events} == {(revision + 1, True)}
    history = store.watch(b"k", from_revision=1)
    revisions: list[int] = []
    while len(revisions) < 1_600:
        batch = await anext(history)
        told = [e.kv.mod_revision for e in batch.events]
        assert not set(told) & set(revisions), "a revision was split"
        assert batch.revision == told[-1]
        revisions += told
    assert revisions == sorted(revisions)
    await store.close()


async def test_a_deletion_at_the_compacted_revision_is_not_missed(own_etcd: StartEtcd) -> None:
    """Some versions of etcd would start there, and keep the deletion to themselves."""
    store = await EtcdStore.connect(own_etcd().endpoints)
    await write(store, b"k")
    deleted = (await store.commit(Txn(then=[Delete(b"k")]))).revision
    await write(store, b"other")
    await store.compact(deleted)
    with pytest.raises(Compacted):
        await anext(store.watch(b"k", from_revision=deleted))
    await store.close()


async def test_watches_and_reads_of_compacted_history_say_where_it_starts_now(
    own_etcd: StartEtcd,
) -> None:
    store = await EtcdStore.connect(own_etcd().endpoints)
    revisions = [await write(store, b"k") for _ in range(5)]
    await store.compact(revisions[3])
    with pytest.raises(Compacted) as of_the_watch:
        await anext(store.watch(b"k", from_revision=revisions[0]))
    with pytest.raises(Compacted) as of_the_read:
        await store.range(b"k", at_revision=revisions[0])
    assert of_the_watch.value.compact_revision == revisions[3]
    assert of_the_read.value.compact_revision == revisions[3]
    assert (await store.range(b"k", at_revision=revisions[3])).items[0].version == 4
    await store.close()
