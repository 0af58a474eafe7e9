"""What clients measured, in a snapshot: bounded, older by its own word, and none in older files."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane import keys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import KeyValue
from control_plane.store.snapshot import Snapshot, decode_snapshot, encode_snapshot
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.shared_voices import encode_chunk
from provisioner.latencies.sharing import MOST_KEPT_BYTES, LatencySharing
from provisioner.latencies.voices import FORGOTTEN_S, Voice
from provisioner.placement.latency import Latencies

WALL, CELL, HOUR_S = 1_800_000_000.0, "DE:52.5,13.4~20", 3_600.0
VOICES = [Voice(f"{number:016x}", 30.0, 1, 0.0) for number in range(3)]


class Started:
    """A server that has not heard of its store. after_s: since the snapshot was written."""

    def __init__(self, store: EmbeddedStore, after_s: float = 0.0) -> None:
        self.told: list[Latencies] = []
        self.keeper = LatencyKeeper(self.told.append, clock=lambda: after_s)
        self.sharing = LatencySharing(
            store, self.keeper, source="mine", every_s=1.0, clock=lambda: after_s,
            wall=lambda: WALL + after_s, jitter=lambda: 0.5,
        )  # fmt: skip

    @property
    def known(self) -> list[tuple[str, float, float]]:
        return [
            (unit, one.ms, one.age_s)
            for units in self.keeper.believed.estimates.values()
            for unit, one in units.items()
        ]


@pytest.fixture
async def store(tmp_path: Path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


def record(name: str, value: bytes, revision: int = 1) -> KeyValue:
    return KeyValue(keys.LATENCIES + name.encode(), value, revision, revision, 0)


def snapshot(*pairs: KeyValue) -> Snapshot:
    """As a server reads it from the file."""
    made = Snapshot(
        cluster="c", endpoints=("here:1",), confirmed_at=WALL, revision=9, pairs=tuple(pairs)
    )
    return decode_snapshot(encode_snapshot(made), "file")


CHUNK = encode_chunk({(CELL, "frankfurt"): VOICES}, now=0.0, wall=WALL)


async def test_a_server_believes_what_its_snapshot_holds_before_it_hears_of_the_store(
    store: EmbeddedStore,
) -> None:
    started = Started(store, HOUR_S)
    await started.sharing.restore(snapshot(record("theirs/01", CHUNK)).pairs)
    assert started.known == [("frankfurt", 30.0, HOUR_S)]
    assert started.told == [started.keeper.believed]  # placement goes by it


async def test_what_is_too_old_is_forgotten_and_what_cannot_be_read_passed_over(
    store: EmbeddedStore,
) -> None:
    started = Started(store, FORGOTTEN_S + 1.0)
    await started.sharing.restore(snapshot(record("theirs/01", CHUNK)).pairs)
    newer = CHUNK.replace(b'"format":1', b'"format":2')
    assert newer != CHUNK
    await started.sharing.restore(snapshot(record("theirs/02", newer)).pairs)
    assert (started.known, started.told, started.sharing.unreadable) == ([], [], 1)


async def test_an_older_snapshot_has_none(store: EmbeddedStore) -> None:
    started = Started(store)
    other = KeyValue(keys.UNITS + b"dublin", b"{}", 1, 1, 0)
    await started.sharing.restore(snapshot(other).pairs)
    assert (started.known, started.told) == ([], [])
    assert started.sharing.kept() == []


async def test_what_the_store_has_takes_its_place(store: EmbeddedStore) -> None:
    started = Started(store)
    await started.sharing.restore(snapshot(record("theirs/01", CHUNK)).pairs)
    await started.sharing.replica.start()  # the store has no such record any more
    await started.sharing.read()
    await started.keeper.refresh()
    assert started.known == []


async def test_the_newest_are_kept_within_a_bound(store: EmbeddedStore) -> None:
    started = Started(store)
    large = b"x" * 30_000
    many = [record(f"theirs/{number:03d}", large, number + 1) for number in range(100)]
    started.sharing.replica.restore(many)
    kept = started.sharing.kept()
    assert MOST_KEPT_BYTES - 60_000 < sum(len(one.value) for one in kept) < MOST_KEPT_BYTES
    assert sorted(kept) == many[-len(kept) :]
