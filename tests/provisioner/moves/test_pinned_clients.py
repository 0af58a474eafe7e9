"""Pinned clients in drains, failovers and rebalancing: in their unit, or where they are."""

from __future__ import annotations

import time

import pytest

from control_plane.fleet.lifecycle import Event
from control_plane.fleet.liveness import Liveness
from control_plane.fleet.move_job import JobKind, MoveJob
from control_plane.store.embedded import EmbeddedStore
from provisioner.applied_policies.followed_pins import FollowedPins
from provisioner.applied_policies.pin_record import PinRecord
from tests.support.moves_harness import at_work, fleet, settle_in, tenant, until
from tests.support.unit_records import unit_status


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    await fleet(opened, dublin=50, virginia=50, mumbai=50)
    await tenant(opened)
    yield opened
    await opened.close()


def pinning(harness, **units):
    """By client the unit in which it has to live."""
    pins = FollowedPins(wall=time.time, on_change=lambda tenant: None)
    harness.of = lambda tenant, location, key: pins.applied(harness.policy, key)
    for client, unit in units.items():
        pins.note(f"t/{client}", PinRecord(unit=unit, at_ms=1))
    return pins


async def units_of(harness):
    return {client: home.unit for client, home in (await harness.homes()).items()}


async def test_a_drain_leaves_those_pinned_to_the_unit_until_they_are_unpinned(store):
    await settle_in(store, "dublin", "anna", "ben", "carla")
    async with at_work(store) as harness:
        pins = pinning(harness, anna="dublin", ben="mumbai")
        await harness.make("dublin", Event.DRAIN, rate_per_s=1e6)

        async def told() -> MoveJob:
            return await harness.job("drain-dublin")

        job = await until(told, lambda job: job.kept == 1, "one that stays")
        assert "pin:dublin" in job.message
        assert await units_of(harness) == {"anna": "dublin", "ben": "mumbai", "carla": "virginia"}
        pins.note("t/anna", None)
        await harness.ended("drain-dublin")
        assert (await units_of(harness))["anna"] == "virginia"


async def test_those_pinned_to_a_lost_unit_wait_for_it(store):
    await settle_in(store, "dublin", "anna", "ben")
    async with at_work(store) as harness:
        pinning(harness, anna="dublin")
        agent = Liveness(store, "dublin", 10)
        await agent.attach(unit_status())
        await harness.make("dublin", Event.HEARD)
        await agent.leave()
        await harness.make("dublin", Event.SILENT)

        async def homes() -> dict[str, str]:
            return await units_of(harness)

        found = await until(homes, lambda found: found["ben"] != "dublin", "the other to leave")
        job = await harness.job("failover-dublin")
        await until(lambda: harness.job(job.id), lambda job: job.passes > 0, "a whole pass")
        assert found["anna"] == "dublin"
        assert (await units_of(harness))["anna"] == "dublin"


async def test_a_rebalancing_brings_those_pinned_to_where_they_have_to_live(store):
    await settle_in(store, "dublin", "anna", "ben")
    async with at_work(store) as harness:
        pinning(harness, anna="mumbai")
        await harness.job_store.create(
            MoveJob(id="rebalance", kind=JobKind.REBALANCE, rate_per_s=1e6, start_ms=1)
        )
        await harness.ended("rebalance")
        assert await units_of(harness) == {"anna": "mumbai", "ben": "dublin"}
