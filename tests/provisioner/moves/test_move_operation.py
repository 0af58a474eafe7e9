"""One move as the ledger sees it: what it writes, and which outcome it has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import Exhausted, Unavailable
from control_plane.fleet.unit import Reprovision, TenantId, TenantSpec
from control_plane.store.port import KeyValue, unchanged
from provisioner.geo.cells import location_of
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.departure import DepartureRecord, decode_departure
from provisioner.ledger.provenance import Provenance
from provisioner.moves.move_operation import (
    DRAINED,
    FAILED_OVER,
    REBALANCED,
    RETURNED,
    Moved,
    MoveOperation,
    MoveRequest,
    MoveTarget,
    NotMoved,
    Superseded,
)
from provisioner.moves.plan import MoveStrategy

TENANT = TenantSpec(id=TenantId("t"), hold_s=60.0)
CELL = "IE:53.3,-6.3~20"
HOLD = KeyValue(keys.hold("t", "alice"), b"{}", 4, 7, 0)


def pair(home: str = "") -> KeyValue:
    value = encode_assignment("dublin", 3, 1_000, CELL, 0, home)
    return KeyValue(keys.assignment("t", "alice"), value, 4, 7, 0)


def request(*, cause: str = DRAINED, home: str = "", tenant: TenantSpec = TENANT) -> MoveRequest:
    found = pair(home)
    return MoveRequest(
        tenant=tenant,
        client_id="alice",
        found=found,
        record=decode_assignment(found.value),
        location=location_of(CELL),
        cause=cause,
        strategy=MoveStrategy.PLACE,
    )


def operation(of: MoveRequest, target: MoveTarget | Exhausted, held: KeyValue | None = None):
    return MoveOperation(
        of,
        Account(unit="dublin"),
        find=lambda asked: target,
        stamp_of=lambda tenant: (0, 0),
        lease=77,
        held=held,
        at_ms=2_000,
        expires_at=9.0,
    )


VIRGINIA = Account(unit="virginia")
WHY = Provenance("nearest", "database", 5_500.1, 17, DRAINED, "j1", "dublin")
TO_VIRGINIA = MoveTarget(VIRGINIA, WHY, (2, 5))


async def test_it_writes_the_next_epoch_and_the_departure_under_its_lease():
    move = operation(request(), TO_VIRGINIA)
    assert move.choose() is VIRGINIA
    written = decode_assignment(move.value)
    assert (written.unit, written.epoch, written.at_ms, written.cell) == (
        "virginia", 4, 2_000, CELL,
    )  # fmt: skip
    assert (written.why, written.policy) == (WHY, 2)
    (departure,) = move.writes
    assert (departure.key, departure.lease) == (keys.move("dublin", "t", "alice"), 77)
    assert decode_departure(departure.value) == DepartureRecord(
        epoch=4, unit="virginia", cause=DRAINED, at_ms=2_000
    )
    assert (move.key, move.revision, move.guards) == (pair().key, 7, ())


async def test_a_hold_moves_along_and_guards_the_move():
    move = operation(request(), TO_VIRGINIA, held=HOLD)
    move.choose()
    _, hold = move.writes
    assert hold.key == HOLD.key
    assert b'"virginia"' in hold.value
    assert b"62000" in hold.value  # 60 s after the move, Unix ms
    assert move.guards == (unchanged(HOLD.key, 7),)


@pytest.mark.parametrize(
    ("cause", "home", "expected"),
    [
        pytest.param(DRAINED, "", "dublin", id="a-drained-client-remembers-its-unit"),
        pytest.param(FAILED_OVER, "", "dublin", id="a-client-of-a-lost-unit-does-too"),
        pytest.param(DRAINED, "mumbai", "mumbai", id="the-first-unit-it-had-to-leave-stays-home"),
        pytest.param(DRAINED, "virginia", "", id="no-home-is-kept-for-one-that-is-home-again"),
        pytest.param(REBALANCED, "mumbai", "", id="a-better-unit-is-home"),
        pytest.param(RETURNED, "virginia", "", id="a-returned-client-is-home"),
    ],
)
async def test_the_home_it_had_to_leave(cause, home, expected):
    move = operation(request(cause=cause, home=home), TO_VIRGINIA)
    move.choose()
    assert decode_assignment(move.value).home == expected


async def test_where_no_unit_is_found_nothing_is_to_be_written():
    full = Exhausted("no unit has room")
    move = operation(request(), full)
    assert move.choose() is full
    assert move.writes == ()


async def test_a_move_that_is_durable_says_where_and_at_which_epoch():
    move = operation(request(), TO_VIRGINIA)
    move.account = move.choose()
    move.assigned(12)
    assert await move.outcome == Moved("virginia", 4, 2_000, 0)


@pytest.mark.parametrize("found", [None, pair("mumbai")])
async def test_an_assignment_that_changed_supersedes_the_move(found):
    move = operation(request(), TO_VIRGINIA)
    move.changed(found)
    assert await move.outcome == Superseded(found)


async def test_a_failed_move_gives_the_reason_and_the_first_outcome_stands():
    move = operation(request(), TO_VIRGINIA)
    move.failed(Unavailable("the store is away"))
    move.changed(None)
    assert await move.outcome == NotMoved("the store is away")


@pytest.mark.parametrize(
    ("reprovision", "cause", "expected"),
    [
        pytest.param(Reprovision.MOVE_WITH_STATE, DRAINED, True, id="the-tenant-wants-it"),
        pytest.param(Reprovision.MOVE_WITH_STATE, FAILED_OVER, False, id="a-lost-unit-has-none"),
        pytest.param(Reprovision.MOVE, DRAINED, False, id="the-tenant-does-not-want-it"),
        pytest.param(Reprovision.RESET, DRAINED, False, id="it-is-forgotten"),
    ],
)
def test_whether_state_goes_first(reprovision, cause, expected):
    tenant = replace(TENANT, reprovision=reprovision)
    assert request(cause=cause, tenant=tenant).takes_state is expected


async def test_the_key_and_the_first_assignment_go_along():
    """Without them a client that was moved could not prove itself."""
    for epoch, first_ms, expected in ((3, 500, 500), (1, 0, 1_000), (3, 0, 0)):
        value = encode_assignment("dublin", epoch, 1_000, CELL, key="digest", first_ms=first_ms)
        found = KeyValue(keys.assignment("t", "alice"), value, 4, 7, 0)
        asked = replace(request(), found=found, record=decode_assignment(value))
        move = operation(asked, TO_VIRGINIA)
        move.account = move.choose()
        written = decode_assignment(move.value)
        assert (written.key, written.first_ms) == ("digest", expected)
        assert decode_departure(move.writes[0].value).first_ms == expected
        move.assigned(9)
        assert (await move.outcome).first_ms == expected


async def test_the_place_goes_along_to_the_subdivision():
    at = replace(request(), location=location_of("US:21.3,-157.9~20", subdivision="US-HI"))
    move = operation(at, TO_VIRGINIA)
    move.choose()
    assert decode_assignment(move.value).location.subdivision == "US-HI"


async def test_one_that_was_decided_by_what_policies_do_not_say_any_more_is_not_current():
    move = operation(request(), TO_VIRGINIA)
    move.choose()
    assert not move.is_current()  # the target's is another one
    older = operation(request(), TO_VIRGINIA._replace(stamp=(0, 0)))
    older.choose()
    assert older.is_current()
