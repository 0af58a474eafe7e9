"""The keeper writes soon after a change, seldom without one, and never what is unconfirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Health, KeyValue, Put, Txn
from control_plane.store.replica import Replica
from control_plane.store.snapshot import Snapshot, decode_snapshot
from control_plane.store.snapshot_keeper import LONGEST_S, SHORTEST_S, SnapshotKeeper
from control_plane.store.status import StoreStatus

PREFIX = b"things/"
WALL = 1_800_000_000.0


class Disk:
    """Takes what is written, unless it is full."""

    def __init__(self) -> None:
        self.files: list[Snapshot] = []
        self.full = False

    def write(self, path: Path, content: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.files.append(decode_snapshot(content, str(path)))


class Scene:
    """A replica of a real store, a health that tests set, a clock that they move."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store
        self.replica = Replica(store, PREFIX, lambda pair: pair.value, keeps_pairs=True)
        self.health = Health(connected=True, cluster="c")
        self.now = 0.0
        self.disk = Disk()
        self.store_status = StoreStatus(
            self.health, wall=lambda: WALL + self.now,
            confirmed=lambda: self.replica.listed, on_foreign=lambda: None,
        )  # fmt: skip
        self.keeper = SnapshotKeeper(
            Path("snapshot"), [self.replica], self.store_status, self.health,
            endpoints=["here:1"], clock=lambda: self.now, write=self.disk.write,
        )  # fmt: skip

    async def put(self, name: bytes, value: bytes) -> None:
        await self.store.commit(Txn(then=[Put(PREFIX + name, value)]))
        await self.replica.start()  # as its watch would

    async def after(self, seconds: float) -> int:
        """Looks once, that much later; how many snapshots there are then."""
        self.now += seconds
        self.store_status.poll()
        await self.keeper.write_if_due()
        return len(self.disk.files)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    yield Scene(store)
    await store.close()


async def test_nothing_is_written_before_the_store_was_read(scene: Scene) -> None:
    scene.replica.restore([KeyValue(PREFIX + b"old", b"1", 1, 1, 1)])
    assert await scene.after(LONGEST_S) == 0
    await scene.put(b"a", b"1")
    assert await scene.after(1.0) == 1
    assert [pair.key for pair in scene.disk.files[0].pairs] == [PREFIX + b"a"], "the old is gone"


async def test_a_change_is_written_once_and_at_a_bounded_rate(scene: Scene) -> None:
    await scene.put(b"a", b"1")
    assert await scene.after(0.0) == 1
    await scene.put(b"a", b"2")
    assert await scene.after(SHORTEST_S / 2) == 1
    assert scene.keeper.age_s == 0.0
    assert await scene.after(SHORTEST_S / 4) == 1
    assert scene.keeper.age_s == SHORTEST_S / 4
    assert await scene.after(SHORTEST_S / 4) == 2
    assert scene.keeper.age_s == 0.0
    assert [pair.value for pair in scene.disk.files[-1].pairs] == [b"2"]
    assert await scene.after(SHORTEST_S) == 2


async def test_without_a_change_it_is_written_now_and_then_to_tell_how_fresh_it_is(
    scene: Scene,
) -> None:
    await scene.put(b"a", b"1")
    await scene.after(0.0)
    assert await scene.after(LONGEST_S - 1.0) == 1
    assert await scene.after(1.0) == 2
    assert scene.disk.files[-1].confirmed_at == WALL + LONGEST_S


async def test_nothing_is_written_while_the_store_is_away(scene: Scene) -> None:
    await scene.put(b"a", b"1")
    await scene.after(0.0)
    scene.health.connected = False
    assert await scene.after(2 * LONGEST_S) == 1


async def test_a_full_disk_is_counted_and_tried_again(scene: Scene) -> None:
    await scene.put(b"a", b"1")
    scene.disk.full = True
    assert await scene.after(0.0) == 0
    assert await scene.after(SHORTEST_S) == 0
    assert (scene.keeper.failed, scene.keeper.age_s) == (2, SHORTEST_S)
    scene.disk.full = False
    assert await scene.after(SHORTEST_S) == 1
    assert scene.keeper.age_s == 0.0


async def test_what_is_deleted_is_not_in_the_next_one(scene: Scene) -> None:
    from control_plane.store.port import Delete

    await scene.put(b"a", b"1")
    await scene.put(b"b", b"1")
    await scene.after(0.0)
    await scene.store.commit(Txn(then=[Delete(PREFIX + b"a")]))
    await scene.replica.start()
    await scene.after(SHORTEST_S)
    assert [pair.key for pair in scene.disk.files[-1].pairs] == [PREFIX + b"b"]


async def test_what_goes_along_is_written_and_is_no_reason_to_write(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    scene, along = Scene(store), [KeyValue(b"others/a", b"1", 1, 1, 0)]
    scene.keeper._also = lambda: along
    await scene.put(b"a", b"1")
    assert await scene.after(0.0) == 1
    assert [one.key for one in scene.disk.files[-1].pairs] == [b"others/a", PREFIX + b"a"]
    along.append(KeyValue(b"others/b", b"2", 2, 2, 0))
    assert await scene.after(SHORTEST_S) == 1
    assert await scene.after(LONGEST_S) == 2
    assert len(scene.disk.files[-1].pairs) == 3
    await store.close()
