"""One client moves: what is written, what is refused, and what becomes of its state."""

from __future__ import annotations

import pytest

from control_plane import keys
from control_plane.fleet.lifecycle import Event
from control_plane.fleet.unit import Reprovision
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn
from deployment_units.services.state.port import read_state, replace_state
from provisioner.geo.cells import location_of
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.holds import hold
from provisioner.moves.move_operation import (
    DRAINED,
    FAILED_OVER,
    RETURNED,
    Moved,
    MoveRequest,
    NotMoved,
    Superseded,
)
from provisioner.moves.plan import NO_ROOM, MoveStrategy
from provisioner.placement.filters import PlacementPolicy
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.fakes.unit import LoopbackUnit
from tests.support.fleets import never
from tests.support.moves_harness import at_work, fleet, settle_in, tenant, until


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


async def move_request(harness, client, **more):
    found = await harness.store.get(keys.assignment("t", client))
    record = decode_assignment(found.value)
    given = {"cause": DRAINED, "strategy": MoveStrategy.PLACE, **more}
    return MoveRequest(
        tenant=harness.fleet_view.tenant("t"),
        client_id=client,
        found=found,
        record=record,
        location=location_of(record.cell),
        **given,
    )


async def prepared(store, **terms):
    await fleet(store, dublin=10, virginia=2, mumbai=10)
    await tenant(store, **terms)
    await settle_in(store, "dublin", "alice", "bob", "carol")


async def test_a_move_is_one_transaction_with_everything_in_it(store):
    await prepared(store)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.CORDON)
        outcome = await harness.mover.move(await move_request(harness, "alice"))
        assert isinstance(outcome, Moved)
        assert (outcome.unit, outcome.epoch) == ("virginia", 2)
        pair = await store.get(keys.assignment("t", "alice"))
        told = await store.get(keys.move("dublin", "t", "alice"))
        assert pair.mod_revision == told.mod_revision
        home = (await harness.homes())["alice"]
        assert (home.unit, home.epoch, home.home) == ("virginia", 2, "dublin")
        assert home.at_ms == outcome.at_ms > 1_000
        why = home.why
        assert (why.cause, why.left, why.job, why.rule) == ("drained", "dublin", "", "nearest")
        assert why.distance_km == pytest.approx(5_440, abs=60)
        assert why.fleet == harness.fleet_view.fleet.revision > 0
        assert await harness.departures() == {"alice": ("dublin", "virginia", "drained", 2)}
        assert await harness.counts() == {"dublin": 2, "virginia": 1}


async def test_the_home_it_had_to_leave_first_is_remembered_and_forgotten_on_return(store):
    await prepared(store)
    async with at_work(store) as harness:
        for unit, target in (("dublin", "virginia"), ("virginia", "mumbai")):
            await harness.make(unit, Event.CORDON)
            outcome = await harness.mover.move(await move_request(harness, "alice"))
            assert outcome.unit == target
        assert (await harness.homes())["alice"].home == "dublin"
        await harness.make("dublin", Event.UNDRAIN)
        back = await move_request(harness, "alice", cause=RETURNED, to="dublin")
        assert (await harness.mover.move(back)).unit == "dublin"
        home = (await harness.homes())["alice"]
        assert (home.unit, home.epoch, home.home) == ("dublin", 4, "")
        assert (home.why.cause, home.why.left, home.why.rule) == ("returned-home", "mumbai", "")


async def test_a_move_seen_twice_is_made_once(store):
    await prepared(store)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.CORDON)
        who = await move_request(harness, "alice")
        assert isinstance(await harness.mover.move(who), Moved)
        again = await harness.mover.move(who)
        assert isinstance(again, Superseded)
        assert decode_assignment(again.found.value).epoch == 2


async def test_a_client_that_left_meanwhile_is_not_brought_back(store):
    await prepared(store)
    async with at_work(store) as harness:
        await harness.make("dublin", Event.CORDON)
        who = await move_request(harness, "alice")
        await store.commit(Txn(then=[Delete(who.found.key)]))
        assert await harness.mover.move(who) == Superseded(None)


async def test_who_finds_no_room_stays(store):
    await fleet(store, dublin=10, virginia=2)
    await tenant(store)
    await settle_in(store, "dublin", "a", "b", "c")
    async with at_work(store) as harness:
        await harness.make("dublin", Event.CORDON)
        outcomes = [
            await harness.mover.move(await move_request(harness, client)) for client in "abc"
        ]
        assert [type(one) for one in outcomes] == [Moved, Moved, NotMoved]
        assert outcomes[2].reason == NO_ROOM
        assert await harness.counts() == {"dublin": 1, "virginia": 2}


async def test_who_may_go_nowhere_is_told_why(store):
    await fleet(store, dublin=10)
    await tenant(store)
    await settle_in(store, "dublin", "a")
    async with at_work(store) as harness:
        await harness.make("dublin", Event.CORDON)
        outcome = await harness.mover.move(await move_request(harness, "a"))
        assert outcome == NotMoved("none of its units may take a client from there")
        ghost = await move_request(harness, "a", to="ghost")
        assert await harness.mover.move(ghost) == NotMoved("unit ghost takes no clients now")


@pytest.mark.parametrize(
    ("cause", "strategy", "to"),
    [
        pytest.param(DRAINED, MoveStrategy.PLACE, "", id="drained"),
        pytest.param(FAILED_OVER, MoveStrategy.SPREAD, "", id="failed-over"),
        pytest.param(RETURNED, MoveStrategy.PLACE, "virginia", id="to-a-unit-by-name"),
    ],
)
async def test_nobody_moves_to_where_a_policy_keeps_them_off(store, cause, strategy, to):
    await prepared(store)
    async with at_work(store) as harness:
        harness.policy = PlacementPolicy(revision=3, **never(countries=["US"]))
        await harness.make("dublin", Event.CORDON)
        who = await move_request(harness, "alice", cause=cause, strategy=strategy, to=to)
        outcome = await harness.mover.move(who)
        if to:
            assert outcome == NotMoved("the tenant's policy keeps the client off unit virginia")
        else:
            assert outcome.unit == "mumbai"
            assert (await harness.homes())["alice"].policy == 3


async def test_a_lost_answer_is_looked_up_and_nobody_moves_twice(store):
    await prepared(store)
    faulty = FaultyStore(store)
    async with at_work(faulty) as harness:
        await harness.make("dublin", Event.CORDON)
        faulty.faults.extend(["lost after", "lost before"])
        first = await harness.mover.move(await move_request(harness, "alice"))
        second = await harness.mover.move(await move_request(harness, "bob"))
        assert [first.epoch, second.epoch] == [2, 2]
        assert await harness.counts() == {"dublin": 1, "virginia": 2}


async def test_a_place_that_was_held_is_held_at_the_new_unit(store):
    await prepared(store, hold_s=60.0)
    key = keys.assignment("t", "alice")
    value = encode_assignment("dublin", 1, 1_000, "IE:53.3,-6.3~20")
    held = hold("t", "alice", "dublin", until_ms=1)
    await store.commit(Txn(then=[Put(key, value), held]))
    async with at_work(store) as harness:
        await harness.make("dublin", Event.CORDON)
        for client in ("alice", "bob"):
            assert isinstance(await harness.mover.move(await move_request(harness, client)), Moved)
        holds = (await store.range(keys.HOLDS)).items
        assert [pair.key for pair in holds] == [keys.hold("t", "alice")]
        assert holds[0].mod_revision == (await store.get(key)).mod_revision
        assert b'"virginia"' in holds[0].value


async def test_a_client_that_came_at_the_last_moment_is_not_held_again(store):
    """Its hold was confirmed after the mover saw it: nothing of what was seen holds."""
    await prepared(store, hold_s=60.0)
    key = keys.assignment("t", "alice")
    value = encode_assignment("dublin", 1, 1_000, "IE:53.3,-6.3~20")
    await store.commit(Txn(then=[Put(key, value), hold("t", "alice", "dublin", until_ms=1)]))

    class Confirms(FaultyStore):
        """Deletes the hold just before the move is written."""

        async def commit(self, txn, *, timeout_s=None):
            if any(isinstance(o, Put) and o.key.startswith(keys.MOVES) for o in txn.then):
                await store.commit(Txn(then=[Delete(keys.hold("t", "alice"))]))
            return await super().commit(txn, timeout_s=timeout_s)

    async with at_work(Confirms(store)) as harness:
        await harness.make("dublin", Event.CORDON)
        first = await harness.mover.move(await move_request(harness, "alice"))
        assert isinstance(first, Superseded)
        assert isinstance(await harness.mover.move(await move_request(harness, "alice")), Moved)
        assert (await store.range(keys.HOLDS)).items == []


async def handing_over(harness, old: LoopbackUnit, there: str, new: LoopbackUnit, here: str):
    harness.endpoints.update({"dublin": there, "virginia": here})
    await replace_state(old.state, "t", "alice", 1, b"her basket")
    await harness.make("dublin", Event.CORDON)
    return await harness.mover.move(await move_request(harness, "alice"), timeout_s=5.0)


async def state(unit: LoopbackUnit) -> bytes:
    return await read_state(unit.state, "t", "alice")


async def test_state_goes_first_and_is_forgotten_where_it_was(store):
    await prepared(store, reprovision=Reprovision.MOVE_WITH_STATE)
    async with at_work(store) as harness:
        old, new = LoopbackUnit("dublin", harness.issuer), LoopbackUnit("virginia", harness.issuer)
        async with old.serving() as there, new.serving() as here:
            outcome = await handing_over(harness, old, there, new, here)
            assert (outcome.unit, outcome.epoch) == ("virginia", 2)
            assert await state(new) == b"her basket"
            await until(lambda: state(old), lambda left: left == b"", "the old unit forgets")


async def test_a_reset_client_leaves_its_state_behind_for_good(store):
    await prepared(store, reprovision=Reprovision.RESET)
    async with at_work(store) as harness:
        old, new = LoopbackUnit("dublin", harness.issuer), LoopbackUnit("virginia", harness.issuer)
        async with old.serving() as there, new.serving() as here:
            assert isinstance(await handing_over(harness, old, there, new, here), Moved)
            assert await state(new) == b""
            await until(lambda: state(old), lambda left: left == b"", "the old unit forgets")


async def test_a_broken_handoff_leaves_the_client_and_says_whose_fault_it_was(store):
    await prepared(store, reprovision=Reprovision.MOVE_WITH_STATE)
    async with at_work(store) as harness:
        old, new = LoopbackUnit("dublin", harness.issuer), LoopbackUnit("virginia", harness.issuer)
        async with old.serving() as there:
            outcome = await handing_over(harness, old, there, new, "127.0.0.1:1")
            assert isinstance(outcome, NotMoved)
            assert "unit virginia" in outcome.reason
            assert await state(old) == b"her basket"
            assert (await harness.homes())["alice"].epoch == 1
            assert await harness.counts() == {"dublin": 3}


async def test_a_server_that_moves_nobody_holds_no_second_session(store):
    await prepared(store)
    async with at_work(store) as harness:
        assert (await store.range(keys.SESSIONS)).items == []
        assert harness.mover.session_id == ""
