"""Jobs that move clients: to the end, paused, cancelled, hastened, bounded, taken over."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.lifecycle import Event, State
from control_plane.fleet.liveness import Liveness
from control_plane.fleet.move_job import JobKind, JobState, MoveJob
from control_plane.fleet.records import encode_job
from control_plane.fleet.unit import Failover, Reprovision, ReturnHome
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn
from provisioner.moves import worker
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.moves_harness import MovesHarness, at_work, fleet, settle_in, tenant, until
from tests.support.odd_keys import write_odd_keys
from tests.support.unit_records import unit_status

US_CELL = "US:38.9,-77.4~20"
MANY = [f"c{n:04d}" for n in range(700)]
SLOW = 40.0  # moves a second: slow enough to interfere, quick enough for a test


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


async def prepared(store, clients=MANY, *, virginia=5_000, **terms):
    await fleet(store, dublin=5_000, virginia=virginia, mumbai=5_000)
    await tenant(store, **terms)
    await settle_in(store, "dublin", *clients)


async def moving(harness: MovesHarness, name: str, at_least: int = 1) -> MoveJob:
    """The job, once somebody has moved."""

    async def gone() -> int:
        return len(await harness.departures())

    await until(gone, lambda count: count >= at_least, f"{at_least} moves")
    return await harness.job(name)


async def test_a_drain_ends_when_nobody_is_left(store):
    await prepared(store)
    async with at_work(store) as harness:
        job = await harness.make("dublin", Event.DRAIN)
        assert (job.id, job.total, job.worker) == ("drain-dublin", 700, "")
        done = await harness.ended("drain-dublin")
        assert (done.state, done.moved, done.kept) == (JobState.DONE, 700, 0)
        assert done.end_ms >= done.start_ms > 0
        assert (await harness.registry.get("dublin")).lifecycle.state is State.DRAINED
        assert await harness.counts() == {"virginia": 700}
        assert {home.epoch for home in (await harness.homes()).values()} == {2}


async def test_an_empty_unit_is_drained_at_once(store):
    await prepared(store, [])
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN)
        assert (await harness.ended("drain-dublin")).moved == 0
        assert (await harness.registry.get("dublin")).lifecycle.state is State.DRAINED


async def test_clients_that_were_assigned_late_are_found_behind_the_mark(store):
    await prepared(store, MANY[100:])
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN, rate_per_s=2_000.0)
        await moving(harness, "drain-dublin", at_least=300)
        await settle_in(store, "dublin", *MANY[:50])
        done = await harness.ended("drain-dublin")
        assert done.passes >= 1
        assert await harness.counts() == {"virginia": 650}


async def test_a_paused_drain_moves_nobody_until_it_goes_on(store):
    await prepared(store)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN, rate_per_s=SLOW)
        await moving(harness, "drain-dublin")
        paused = await harness.job_store.control(
            "drain-dublin", state=JobState.PAUSED, rate_per_s=None
        )
        assert paused.state is JobState.PAUSED
        # What is under way when it hears of it may still go; then there is silence.
        counts = [len(await harness.departures())]
        while len(counts) < 3 or counts[-1] != counts[-3]:
            await asyncio.sleep(0.3)
            counts.append(len(await harness.departures()))
        assert 0 < counts[-1] < 700
        await harness.job_store.control("drain-dublin", state=JobState.RUNNING, rate_per_s=1e6)
        assert (await harness.ended("drain-dublin")).moved == 700


async def test_a_cancelled_drain_stops_and_can_be_begun_again(store):
    await prepared(store)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN, rate_per_s=SLOW)
        await moving(harness, "drain-dublin")
        ended = await harness.job_store.control(
            "drain-dublin", state=JobState.CANCELLED, rate_per_s=None
        )
        assert (ended.is_open, ended.message) == (False, "an operator cancelled it")
        with pytest.raises(Refused, match="has ended"):
            await harness.job_store.control("drain-dublin", state=JobState.RUNNING, rate_per_s=None)
        again = await harness.make("dublin", Event.DRAIN, rate_per_s=1e6)
        assert again.total < 700
        await harness.ended("drain-dublin")
        assert await harness.counts() == {"virginia": 700}


async def test_undraining_stops_the_job_and_those_who_left_stay_away(store):
    await prepared(store)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN, rate_per_s=SLOW)
        await moving(harness, "drain-dublin")
        await harness.make("dublin", Event.UNDRAIN)
        assert (await harness.ended("drain-dublin")).state is JobState.CANCELLED
        counts = await harness.counts()
        assert counts["dublin"] + counts["virginia"] == 700
        assert counts["virginia"] >= 1


async def test_another_server_takes_over_where_one_has_gone(store):
    """The first one ends in the middle, and its last mark may be behind what it moved."""
    await prepared(store)
    async with at_work(store) as first:
        await first.make("dublin", Event.DRAIN, rate_per_s=SLOW)
        begun = await moving(first, "drain-dublin", at_least=15)
    async with at_work(store) as second:
        await second.job_store.control("drain-dublin", state=None, rate_per_s=1e6)
        done = await second.ended("drain-dublin")
        assert done.worker not in ("", begun.worker)
        assert await second.counts() == {"virginia": 700}
        assert {home.epoch for home in (await second.homes()).values()} == {2}
        # Nobody was told twice that it left.
        assert len(await second.departures()) == 700


async def test_two_servers_work_on_a_job_one_at_a_time(store):
    await prepared(store)
    async with at_work(store) as one, at_work(store) as two:
        await one.make("dublin", Event.DRAIN, rate_per_s=2_000.0)
        done = await two.ended("drain-dublin")
        assert done.moved == 700
        assert done.worker in (one.mover.session_id, two.mover.session_id)
        assert await one.counts() == {"virginia": 700}


async def test_a_server_whose_session_is_lost_goes_on_under_a_new_one(store):
    await prepared(store)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN, rate_per_s=SLOW)
        begun = await moving(harness, "drain-dublin")
        await store.commit(Txn(then=[Delete(keys.SESSIONS, prefix=True)]))
        await harness.job_store.control("drain-dublin", state=None, rate_per_s=1e6)
        done = await harness.ended("drain-dublin")
        assert done.worker not in ("", begun.worker)

        async def settled() -> bool:
            return (await harness.registry.get("dublin")).clients == 0

        await until(settled, bool, "the lost session's usage is settled")
        assert await harness.counts() == {"virginia": 700}


async def test_lost_answers_of_the_store_lose_and_double_nobody(store):
    await prepared(store)
    faulty = FaultyStore(store, when=lambda txn: any(isinstance(o, Put) for o in txn.then))
    async with at_work(faulty) as harness:
        await harness.make("dublin", Event.DRAIN)
        faulty.faults.extend(["lost after", "lost before", "refused", "lost after"])
        await harness.ended("drain-dublin")
        assert await harness.counts() == {"virginia": 700}
        assert {home.epoch for home in (await harness.homes()).values()} == {2}


async def test_clients_without_room_wait_for_it_and_the_job_says_so(store):
    await fleet(store, dublin=100, virginia=60)
    await tenant(store)
    await settle_in(store, "dublin", *MANY[:100])
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN)
        waiting = await until(lambda: harness.job("drain-dublin"), lambda job: job.passes, "a pass")
        assert (waiting.moved, waiting.kept) == (60, 40)
        assert waiting.message == "40 clients stay: no unit that may take them has room"
        assert (await harness.registry.get("dublin")).lifecycle.state is State.DRAINING
        await fleet(store, virginia=100)
        await harness.job_store.control("drain-dublin", state=None, rate_per_s=5e5)
        assert (await harness.ended("drain-dublin")).moved == 100


async def test_a_handoff_that_breaks_is_reported_and_the_others_move(store):
    await prepared(store, ["alice"], reprovision=Reprovision.MOVE_WITH_STATE)
    async with at_work(store) as harness:
        harness.endpoints.update(dict.fromkeys(("dublin", "virginia"), "127.0.0.1:1"))
        await harness.make("dublin", Event.DRAIN)
        waiting = await until(
            lambda: harness.job("drain-dublin"), lambda job: job.kept, "a failure"
        )
        assert waiting.message.startswith("1 client stays: unit ")
        assert await harness.counts() == {"dublin": 1}
        await tenant(store, reprovision=Reprovision.KEEP)
        await harness.ended("drain-dublin")
        assert await harness.counts() == {"virginia": 1}


class SlowHandoff:
    """Takes half a second for each client; `most`: how many it had under way at once."""

    def __init__(self) -> None:
        self._now = self.most = 0

    async def hand_over(self, client, *, source, target, timeout_s):
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0.5)
        self._now -= 1

    async def forget(self, client, *, unit):
        return None

    async def close(self):
        pass


async def test_state_that_takes_its_time_is_handed_over_side_by_side(store):
    """More at once than are under way where a move is one share of a transaction."""
    await prepared(store, MANY[:200], reprovision=Reprovision.MOVE_WITH_STATE)
    async with at_work(store) as harness:
        handoff = harness.mover._handoff = SlowHandoff()
        await harness.make("dublin", Event.DRAIN, rate_per_s=400.0)
        assert (await harness.ended("drain-dublin")).moved == 200
        assert await harness.counts() == {"virginia": 200}
    assert handoff.most > 2 * worker.SLICE_MIN


async def test_the_lost_units_clients_are_spread_and_their_home_is_remembered(store):
    await prepared(store)
    agent = Liveness(store, "dublin", 10)
    async with at_work(store) as harness:
        await agent.attach(unit_status())
        await harness.make("dublin", Event.HEARD)
        await agent.leave()
        job = await harness.make("dublin", Event.SILENT)
        assert job.id == "failover-dublin"
        done = await harness.ended("failover-dublin")
        assert (done.state, done.moved) == (JobState.DONE, 700)
        counts = await harness.counts()
        assert counts["virginia"] > 300
        assert counts.get("mumbai", 0) > 0  # not all of them on the nearest
        assert {home.home for home in (await harness.homes()).values()} == {"dublin"}
        assert {told[2] for told in (await harness.departures()).values()} == {"failed-over"}
        assert (await harness.registry.get("dublin")).lifecycle.state is State.LOST


async def test_clients_whose_state_is_in_a_lost_unit_wait_until_their_tenant_says_otherwise(store):
    await prepared(store, MANY[:20], reprovision=Reprovision.MOVE_WITH_STATE)
    agent = Liveness(store, "dublin", 10)
    async with at_work(store) as harness:
        await agent.attach(unit_status())
        await harness.make("dublin", Event.HEARD)
        await agent.leave()
        await harness.make("dublin", Event.SILENT)
        waits = await until(
            lambda: harness.job("failover-dublin"), lambda job: job.kept == 20, "clients that wait"
        )
        assert "its state is in unit dublin, which is lost" in waits.message
        assert await harness.counts() == {"dublin": 20}
        await tenant(store, reprovision=Reprovision.MOVE_WITH_STATE, failover=Failover.MOVE)
        assert (await harness.ended("failover-dublin")).moved == 20
        assert "dublin" not in await harness.counts()


async def test_clients_come_home_gradually_where_their_tenant_wants_it(store):
    await prepared(store, MANY[:200], return_home=ReturnHome.GRADUAL)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.DRAIN)
        await harness.ended("drain-dublin")
        assert await harness.counts() == {"virginia": 200}
        await settle_in(store, "virginia", "local", cell=US_CELL)
        await harness.make("dublin", Event.UNDRAIN, return_home=True)
        done = await harness.ended("return-dublin")
        assert (done.moved, done.total) == (200, 200)
        assert await harness.counts() == {"dublin": 200, "virginia": 1}
        assert {home.home for home in (await harness.homes()).values()} == {""}
        assert {told[2] for told in (await harness.departures()).values()} == {"returned-home"}


def rebalancing(bound: int, **more) -> MoveJob:
    return MoveJob(
        id="rebalance", kind=JobKind.REBALANCE, rate_per_s=1e6, max_moves=bound, start_ms=1, **more
    )


async def test_a_rebalance_moves_only_who_is_clearly_better_off_and_never_beyond_its_bound(store):
    await prepared(store, MANY[:50])
    await settle_in(store, "virginia", *MANY[50:350])  # of Dublin, from before it was added
    await settle_in(store, "virginia", *MANY[350:400], cell=US_CELL)
    async with at_work(store) as harness:
        await harness.job_store.create(rebalancing(120))
        done = await harness.ended("rebalance")
        assert (done.moved, done.message) == (120, "the bound of 120 moves is reached")
        assert await harness.counts() == {"dublin": 170, "virginia": 230}
        await harness.job_store.create(rebalancing(1_000))
        assert (await harness.ended("rebalance")).moved == 180
        assert await harness.counts() == {"dublin": 350, "virginia": 50}
        await harness.job_store.create(rebalancing(1_000))
        assert (await harness.ended("rebalance")).moved == 0


async def test_the_bound_holds_over_the_death_of_a_worker(store):
    await prepared(store, [])
    await settle_in(store, "virginia", *MANY)
    async with at_work(store) as first:
        await first.job_store.create(replace(rebalancing(300), rate_per_s=SLOW))
        await moving(first, "rebalance", at_least=20)
    async with at_work(store) as second:
        await second.job_store.control("rebalance", state=None, rate_per_s=1e6)
        done = await second.ended("rebalance")
        moved = len(await second.departures())
        assert 250 < moved <= done.moved <= 300


async def test_there_is_one_rebalance_at_a_time(store):
    await prepared(store)
    async with at_work(store, executing=False) as harness:
        begun = await asyncio.gather(
            *(harness.job_store.create(rebalancing(5)) for _ in range(4)), return_exceptions=True
        )
        assert sum(isinstance(one, MoveJob) for one in begun) == 1
        with pytest.raises(Conflict, match="under way"):
            await harness.job_store.create(rebalancing(5))


async def test_a_removed_units_job_ends(store):
    await prepared(store, [])
    job = MoveJob(id="drain-gone", kind=JobKind.DRAIN, unit="gone", rate_per_s=1.0)
    await store.commit(Txn(then=[Put(keys.job(job.id), encode_job(job))]))
    async with at_work(store) as harness:
        assert (await harness.ended("drain-gone")).moved == 0


async def test_jobs_are_listed_newest_first_and_unknown_ones_are_named(store):
    await prepared(store, [])
    async with at_work(store) as harness:
        for unit in ("dublin", "mumbai"):
            await harness.make(unit, Event.DRAIN)
            await harness.ended(f"drain-{unit}")
        assert await harness.job_store.list(with_ended=False) == []
        listed = await harness.job_store.list(with_ended=True)
        assert {job.id for job in listed} == {"drain-dublin", "drain-mumbai"}
        assert listed == sorted(listed, key=lambda job: -job.start_ms)
        with pytest.raises(NotFound, match="no job drain-ghost"):
            await harness.job_store.control("drain-ghost", state=JobState.PAUSED, rate_per_s=None)


async def test_keys_that_are_nobodys_hold_up_no_job(store):
    """Below every prefix that servers follow, and among the clients, at the end of pages too."""
    await prepared(store)
    home = (await store.get(keys.assignment("t", MANY[0]))).value
    among = [keys.assignment("t", client) + b"\xff" for client in MANY[49::49]]
    await store.commit(Txn(then=[Put(key, home) for key in among]))
    followed = (keys.UNITS, keys.LIVE, keys.AGENTS, keys.LIFECYCLE, keys.JOBS, keys.TENANTS)
    counted = (keys.CAPACITY, keys.SESSIONS, keys.STARVING, keys.USAGE)
    for prefix in (keys.ASSIGNMENTS, *followed, *counted):
        await write_odd_keys(store, prefix, home)
    async with at_work(store, page=50, progress_s=0.0) as harness:
        await harness.make("dublin", Event.DRAIN)
        done = await harness.ended("drain-dublin")
        assert (done.state, done.moved, done.kept) == (JobState.DONE, 700, 0)
    assert all([(await store.get(key)).value == home for key in among])
