"""Clients that are moved go where their policy's hook says, or stay where it has to be heard."""

from __future__ import annotations

import time

import pytest

from control_plane import keys
from control_plane.fleet.lifecycle import Event
from control_plane.store.embedded import EmbeddedStore
from provisioner.geo.cells import location_of
from provisioner.ledger.assignment import decode_assignment
from provisioner.moves.move_operation import DRAINED, REBALANCED, Moved, MoveRequest, NotMoved
from provisioner.moves.plan import MoveStrategy
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.hooks import HookUse
from provisioner.placement_hooks.asked_hook import AskedHook
from tests.support.fakes.placement_hook import FakeHook
from tests.support.moves_harness import at_work, fleet, settle_in, tenant


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    await fleet(opened, dublin=10, virginia=10, mumbai=10)
    await tenant(opened)
    await settle_in(opened, "dublin", "anna", "ben")
    yield opened
    await opened.close()


def asked(hook):
    return {"latency": AskedHook("latency", hook, at_once=4, clock=time.monotonic)}


async def request(harness, client, cause=DRAINED, strategy=MoveStrategy.PLACE):
    found = await harness.store.get(keys.assignment("t", client))
    record = decode_assignment(found.value)
    return MoveRequest(
        tenant=harness.fleet_view.tenant("t"),
        client_id=client,
        found=found,
        record=record,
        location=location_of(record.cell),
        cause=cause,
        strategy=strategy,
    )


async def test_who_has_to_leave_goes_where_the_hook_says(store):
    hook = FakeHook("mumbai")
    async with at_work(store, hooks=asked(hook)) as harness:
        harness.policy = PlacementPolicy(hook=HookUse(name="latency", deadline_ms=2_000))
        await harness.make("dublin", Event.CORDON)
        moved = await harness.mover.move(await request(harness, "anna"))
        assert isinstance(moved, Moved)
        assert moved.unit == "mumbai"
        assert (await harness.homes())["anna"].why.rule == "hook"


async def test_where_it_has_to_be_heard_and_is_not_they_stay(store):
    hook = FakeHook("mumbai")
    hook.down = True
    async with at_work(store, hooks=asked(hook)) as harness:
        use = HookUse(name="latency", deadline_ms=2_000, away="refuse")
        harness.policy = PlacementPolicy(hook=use)
        await harness.make("dublin", Event.CORDON)
        stayed = await harness.mover.move(await request(harness, "anna"))
        assert stayed == NotMoved("hook latency of its policy gave no answer")


async def test_who_lives_where_it_vetoes_is_moved_by_a_rebalancing(store):
    hook = FakeHook(vetoed=["dublin"])
    async with at_work(store, hooks=asked(hook)) as harness:
        harness.policy = PlacementPolicy(hook=HookUse(name="latency", deadline_ms=2_000))
        await harness.mover.ledger()
        wanted = await request(harness, "anna", REBALANCED, MoveStrategy.BETTER)
        assert harness.mover.suits_better(wanted), "it may be: the hook is to be asked"
        moved = await harness.mover.move(wanted)
        assert isinstance(moved, Moved)
        assert moved.unit == "virginia"
        hook.vetoed = frozenset()
        other = await request(harness, "ben", REBALANCED, MoveStrategy.BETTER)
        assert harness.mover.suits_better(other), "the answer is that of its place"
