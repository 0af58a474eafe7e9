"""Transitions in the store: the ledger closes with a new fence, jobs begin and end with the
state, and whoever is late changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound
from control_plane.fleet.capacity import decode_capacity, encode_capacity
from control_plane.fleet.lifecycle import Event, LossPolicy, State
from control_plane.fleet.liveness import Liveness
from control_plane.fleet.move_job import JobState
from control_plane.fleet.records import decode_job
from control_plane.fleet.registry import ApplyRequest, UnitRegistry
from control_plane.fleet.transitions import GuardFailed, TransitionRequest, Transitions
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn, absent
from tests.support.unit_records import unit_spec, unit_status

NOW_S = 1_000.0


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest.fixture
def registry(store):
    return UnitRegistry(store, clock=lambda: 0.0, wall=lambda: NOW_S)


@pytest.fixture
async def transitions(store, registry):
    await registry.apply(unit_spec())
    return Transitions(
        store, registry, wall=lambda: NOW_S, loss_policy=LossPolicy(), rate_per_s=100.0
    )


async def ledger(store):
    return decode_capacity((await store.get(keys.capacity("u"))).value)


async def fence(store) -> int:
    pair = await store.get(keys.fence("u"))
    return pair.mod_revision if pair else 0


async def job(store, name):
    pair = await store.get(keys.job(name))
    return decode_job(pair) if pair else None


async def make(transitions, *events, **terms):
    for event in events:
        done = await transitions.apply("u", TransitionRequest(event=event, **terms))
    return done


async def heard(store) -> Liveness:
    agent = Liveness(store, "u", 10)
    await agent.attach(unit_status())
    return agent


async def test_an_applied_unit_is_joining_and_active_once_heard(store, registry, transitions):
    assert (await registry.get("u")).lifecycle.state is State.JOINING
    await heard(store)
    done = await make(transitions, Event.HEARD)
    assert (done.changed, done.view.lifecycle.state) == (True, State.ACTIVE)
    assert (await registry.get("u")).revision == done.view.revision
    assert (await make(transitions, Event.HEARD)).changed is False


@pytest.mark.parametrize("event", [Event.CORDON, Event.DRAIN])
async def test_who_stops_taking_clients_gets_a_closed_ledger_and_a_new_fence(
    store, transitions, event
):
    done = await make(transitions, event)
    closed = await ledger(store)
    assert (closed.open, closed.capacity) == (False, 100)
    assert await fence(store) == done.view.revision  # one transaction
    await make(transitions, Event.UNDRAIN)
    assert (await ledger(store)).open


async def test_cordon_then_drain_needs_no_second_fence(store, transitions):
    await make(transitions, Event.CORDON)
    before = await fence(store)
    await make(transitions, Event.DRAIN)
    assert await fence(store) == before


async def test_grants_survive_a_change_of_state(store, transitions):
    granted = (await ledger(store)).with_grant("p", 10)
    await store.commit(Txn(then=[Put(keys.capacity("u"), encode_capacity(granted))]))
    await make(transitions, Event.CORDON)
    assert await ledger(store) == replace(granted, open=False)


async def test_draining_begins_a_job_once_and_takes_a_new_rate(store, transitions):
    begun = await make(transitions, Event.DRAIN)
    assert (begun.job.id, begun.job.rate_per_s) == ("drain-u", 100.0)
    again = await make(transitions, Event.DRAIN)
    assert (again.changed, again.job) == (False, begun.job)
    faster = await make(transitions, Event.DRAIN, rate_per_s=500.0)
    assert faster.job == replace(begun.job, rate_per_s=500.0)
    assert await job(store, "drain-u") == faster.job


@pytest.mark.parametrize("event", [Event.UNDRAIN, Event.CORDON])
async def test_ending_a_drain_ends_its_job(store, transitions, event):
    done = await make(transitions, Event.DRAIN, event)
    assert done.job is None
    ended = await job(store, "drain-u")
    assert (ended.state, ended.end_ms) == (JobState.CANCELLED, NOW_S * 1000)


async def test_a_drained_unit_has_no_clients(store, transitions):
    await make(transitions, Event.DRAIN)
    await store.commit(Txn(then=[Put(keys.usage("u", "p"), b"1")]))
    assert (await make(transitions, Event.EMPTIED)).changed is False
    await store.commit(Txn(then=[Delete(keys.usage("u", "p"))]))
    done = await make(transitions, Event.EMPTIED)
    assert done.view.lifecycle.state is State.DRAINED
    assert (await job(store, "drain-u")).state is JobState.DONE


async def test_a_silent_unit_is_lost_its_clients_leave_and_come_to_stay_when_it_is_back(
    store, transitions
):
    agent = await heard(store)
    await make(transitions, Event.HEARD)
    await agent.leave()
    lost = await make(transitions, Event.SILENT)
    assert (lost.view.lifecycle.state, lost.job.id) == (State.LOST, "failover-u")
    assert not (await ledger(store)).open
    await heard(store)
    back = await make(transitions, Event.HEARD, return_home=True)
    assert (back.view.lifecycle.state, back.job) == (State.ACTIVE, None)
    assert (await ledger(store)).open
    assert (await job(store, "failover-u")).state is JobState.CANCELLED
    assert (await job(store, "return-u")).is_open
    # Who brings clients back to a unit that drains again is called off.
    await make(transitions, Event.DRAIN)
    assert not (await job(store, "return-u")).is_open


async def test_a_late_looker_gives_up_nobody_who_is_heard_and_trusts_nobody_who_is_not(
    store, transitions
):
    agent = await heard(store)
    await make(transitions, Event.HEARD)
    assert (await make(transitions, Event.SILENT)).changed is False
    await agent.leave()
    await make(transitions, Event.SILENT)
    assert (await make(transitions, Event.HEARD)).changed is False


class Meddled:
    """A store in which somebody is quicker, once, between a look and what follows from it."""

    def __init__(self, store, meddle) -> None:
        self._store = store
        self._meddle = meddle

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, txn, **more):
        if any(isinstance(o, Put) for o in txn.then) and self._meddle is not None:
            meddle, self._meddle = self._meddle, None
            await meddle()
        return await self._store.commit(txn, **more)


async def test_an_agent_that_comes_back_at_the_last_moment_keeps_its_clients(
    store, registry, transitions
):
    agent = await heard(store)
    await make(transitions, Event.HEARD)
    await agent.leave()

    async def back():
        await heard(store)

    slow = Transitions(
        Meddled(store, back), registry, wall=lambda: NOW_S, loss_policy=LossPolicy(), rate_per_s=1.0
    )
    assert (await make(slow, Event.SILENT)).changed is False
    assert (await ledger(store)).open


async def test_a_stale_edit_changes_nothing(store, registry, transitions):
    seen = (await registry.get("u")).revision
    await make(transitions, Event.CORDON)
    before = await store.range(keys.ROOT.encode())
    with pytest.raises(Conflict, match="changed since"):
        await make(transitions, Event.DRAIN, expected_revision=seen)
    with pytest.raises(Conflict, match="changed since"):
        await registry.apply(unit_spec(7), ApplyRequest(expected_revision=seen))
    with pytest.raises(Conflict, match="changed since"):
        await registry.remove("u", expected_revision=seen)
    assert (await store.range(keys.ROOT.encode())).items == before.items


async def test_a_guard_that_does_not_hold_stops_it(store, transitions):
    with pytest.raises(GuardFailed, match="depends on"):
        await make(transitions, Event.DRAIN, guards=[absent(keys.unit("u"))])
    assert (await ledger(store)).open


async def test_many_who_say_the_same_at_once_say_it_once(store, transitions):
    done = await asyncio.gather(*(make(transitions, Event.DRAIN) for _ in range(8)))
    assert sum(one.changed for one in done) == 1
    assert len({one.job.id for one in done}) == 1


async def test_nobody_drains_a_unit_that_is_not_there(store, transitions):
    with pytest.raises(NotFound):
        await transitions.apply("ghost", TransitionRequest(event=Event.DRAIN))


async def test_a_failed_removal_opens_no_unit_that_an_operator_closed(store, transitions):
    """Removal closes a unit while it waits for grants, and opens it again when it gives up."""
    granted = (await ledger(store)).with_grant("p", 5)
    await store.commit(Txn(then=[Put(keys.capacity("u"), encode_capacity(granted))]))
    clock = iter(range(1_000))
    registry = UnitRegistry(store, clock=lambda: next(clock), wall=lambda: NOW_S)
    removal = asyncio.create_task(registry.remove("u"))
    await asyncio.sleep(0)
    while (await ledger(store)).open:  # noqa: ASYNC110 - the other task writes it
        await asyncio.sleep(0)
    await make(transitions, Event.CORDON)
    with pytest.raises(Conflict):
        await removal
    assert not (await ledger(store)).open
