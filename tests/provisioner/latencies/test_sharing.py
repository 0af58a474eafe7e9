"""What servers share: read by all, kept over a restart, bounded, written again where in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, KeyValue, Put, Txn, range_all
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.shared_voices import chunk_of
from provisioner.latencies.sharing import WRITES, LatencySharing, WriteOutcome
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.fleets import at, fleet

BERLIN = at(52.5, 13.4, country="DE", uncertainty_km=20.0)
UNITS = {str(unit.id): unit for unit in fleet("frankfurt", "dublin").units}
HEARD_S = 20.0


class Server:
    """One start of a server, whose replica is followed while the test lasts."""

    def __init__(self, store: FaultyStore, source: str, most_records: int = 100) -> None:
        self.keeper = LatencyKeeper(lambda latencies: None, clock=lambda: 1_000.0)
        self.sharing = LatencySharing(
            store,
            self.keeper,
            source=source,
            every_s=1.0,
            clock=lambda: 1_000.0,
            wall=lambda: 1_800_000_000.0,
            jitter=lambda: 0.5,
            most_records=most_records,
        )

    def report(self, *networks: str, cell: int = 0, ms: float = 30.0) -> None:
        place = at(52.5, 13.4 + cell / 10, country="DE", uncertainty_km=20.0)
        for network in networks:
            self.keeper.report(place, network, f"c-{network}", {"frankfurt": ms}, UNITS)

    async def believes(self) -> float | None:
        await self.sharing.read()
        await self.keeper.refresh()
        found = self.keeper.believed.estimates.get(BERLIN.cell, {}).get("frankfurt")
        return None if found is None else found.ms


class Place:
    """The store of some servers."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.store = FaultyStore(
            store,
            lambda txn: any(
                isinstance(one, Put | Delete) and one.key.startswith(keys.LATENCIES)
                for one in txn.then
            ),
        )
        self.revision = 0

    async def records(self) -> list[KeyValue]:
        page = await range_all(self.store, keys.LATENCIES)
        self.revision = page.revision
        return list(page.items)

    async def write_by_hand(self, name: str) -> None:
        put = Put(keys.LATENCIES + name.encode(), b"nonsense")
        await self.store.commit(Txn(then=[put]))

    @asynccontextmanager
    async def server(
        self, source: str, most_records: int = 100, *, follows: bool = True
    ) -> AsyncIterator[Server]:
        made = Server(self.store, source, most_records)
        await made.sharing.replica.start()
        following = asyncio.create_task(made.sharing.replica.run())
        if not follows:
            following.cancel()
        try:
            yield made
        finally:
            following.cancel()

    async def heard(self, *servers: Server) -> None:
        await self.records()
        for one in servers:
            replica = one.sharing.replica
            assert await replica.wait_for_revision(self.revision, timeout_s=HEARD_S)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    yield Place(store)
    await store.close()


async def test_two_servers_come_to_what_neither_knows_alone(place: Place) -> None:
    async with place.server("a") as one, place.server("b") as other:
        one.report("n1", "n2", ms=30.0)
        other.report("n3", ms=40.0)
        assert await one.believes() is None
        await one.sharing.write()
        await other.sharing.write()
        await place.heard(one, other)
        assert await one.believes() == await other.believes() == 30.0


async def test_a_server_that_starts_again_believes_what_it_did(place: Place) -> None:
    async with place.server("a") as before:
        before.report("n1", "n2", "n3")
        await before.sharing.write()
    async with place.server("a-again") as after:
        assert await after.believes() == 30.0
        after.report("n1", "n2", "n3", ms=50.0)  # clients that come back are heard once more
        assert await after.believes() in (30.0, 50.0)
        assert after.keeper.believed.estimates[BERLIN.cell]["frankfurt"].networks == 3


async def test_records_tell_no_network_and_no_client_and_end_by_themselves(place: Place) -> None:
    async with place.server("a") as one:
        one.report("192.0.2.0/24")
        await one.sharing.write()
    (record,) = await place.records()
    assert record.key == keys.LATENCIES + f"a/{chunk_of(BERLIN.cell):02}".encode()
    assert b"192.0.2" not in record.value
    assert b"c-" not in record.value
    assert record.lease


@pytest.mark.parametrize("fault", ["refused", "lost before", "lost after"])
async def test_what_may_not_have_been_written_is_written_again(place: Place, fault: str) -> None:
    async with place.server("a") as one, place.server("b") as other:
        one.report("n1", "n2", "n3")
        place.store.faults.append(fault)
        await one.sharing.write()
        assert one.sharing.outcomes[WriteOutcome.FAILED] == 1
        await one.sharing.write()
        await place.heard(other)
        assert await other.believes() == 30.0
        assert len(await place.records()) == 1
        await one.sharing.write()  # nothing changed
        assert place.store.commits == 2


async def test_what_is_reported_while_a_chunk_is_written_is_written_next(place: Place) -> None:
    async with place.server("a") as one, place.server("b") as other:
        one.report("n1", "n2")
        writing = asyncio.create_task(one.sharing.write())
        await asyncio.sleep(0)  # it has collected, and waits for the store
        one.report("n3")
        await writing
        assert one.keeper.changed == {chunk_of(BERLIN.cell): 1}
        await one.sharing.write()
        assert not one.keeper.changed
        await place.heard(other)
        assert await other.believes() == 30.0


async def test_a_lease_that_is_gone_is_replaced(place: Place) -> None:
    async with place.server("a") as one:
        one.report("n1")
        await one.sharing.write()
        (record,) = await place.records()
        await place.store.lease_revoke(record.lease)
        assert await place.records() == []
        one.report("n1")
        await one.sharing.write()
        await one.sharing.write()
        assert len(await place.records()) == 1


async def test_few_chunks_are_written_at_a_time_those_first_that_wait_longest(
    place: Place,
) -> None:
    async with place.server("a") as one:
        for cell in range(40):
            one.report("n1", cell=cell)
        waiting = list(one.keeper.changed)
        assert len(waiting) > 2 * WRITES
        await one.sharing.write()
        written = {int(pair.key[-2:]) for pair in await place.records()}
        assert written == set(waiting[:WRITES])
        assert list(one.keeper.changed) == waiting[WRITES:]


async def test_as_many_records_as_may_be_are_kept_and_the_oldest_makes_room(place: Place) -> None:
    for name in ("z/00", "z/01", "z/02"):
        await place.write_by_hand(name)
    await place.write_by_hand("z/00")
    async with place.server("a", 3) as one:
        one.report("n1")
        await one.sharing.write()
    names = [pair.key.removeprefix(keys.LATENCIES) for pair in await place.records()]
    assert [name[:1] for name in names] == [b"a", b"z", b"z"]
    assert names[1:] == [b"z/00", b"z/02"]


async def test_a_record_that_was_rewritten_makes_no_room(place: Place) -> None:
    await place.write_by_hand("z/00")
    async with place.server("a", 1, follows=False) as one:
        await place.write_by_hand("z/00")
        one.report("n1")
        await one.sharing.write()
        assert one.sharing.outcomes[WriteOutcome.CONFLICT] == 1
        assert [pair.key for pair in await place.records()] == [keys.LATENCIES + b"z/00"]
        await one.sharing.replica.start()
        await one.sharing.write()
        (record,) = await place.records()
        assert record.key.startswith(keys.LATENCIES + b"a/")


async def test_a_record_that_says_nonsense_counts_for_nothing_and_is_counted(place: Place) -> None:
    async with place.server("a") as one:
        one.report("n1", "n2", "n3")
        await place.write_by_hand("z/00")
        await place.heard(one)
        assert await one.believes() == 30.0
        assert one.sharing.unreadable == 1
