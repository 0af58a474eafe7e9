"""Receipts: what the recipient's clients had and showed comes back to the sender, wherever both
live, and never more than that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput, NotFound
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.gateway.peers import PeerResult
from deployment_units.services.gateway.states import DeliveryState
from deployment_units.services.gateway.told import MessageTold, ToldState, known_of, stronger
from homeport.api.communication.v1 import delivery_pb2 as pb
from tests.support.linked_units import LinkedUnit, enter, linked_units


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[list[LinkedUnit]]:
    """Anna and Carla live in one, Ben in the other."""
    async with linked_units(tmp_path, "london", "oslo") as made:
        london, oslo = made
        await enter(london, "anna")
        await enter(london, "carla")
        await enter(oslo, "ben")
        yield made


async def settled(*units: LinkedUnit) -> None:
    for unit in units:
        await unit.settled()


async def test_delivered_and_seen_come_back_from_another_unit(units: list[LinkedUnit]) -> None:
    london, oslo = units
    await london.send("anna", 1, "one", "ben", "carla")
    await london.send("anna", 2, "two")
    await settled(london, oslo)
    assert await london.deliveries_of("anna", 1) == {"ben": "HANDED_OVER", "carla": "HANDED_OVER"}
    await oslo.has("ben", 1)
    await settled(oslo)
    assert await london.deliveries_of("anna", 1) == {"ben": "DELIVERED", "carla": "HANDED_OVER"}
    assert (await london.deliveries_of("anna", 2))["ben"] == "HANDED_OVER"
    await oslo.mark_seen("ben", 2)
    await settled(oslo)
    for number in (1, 2):
        assert (await london.deliveries_of("anna", number))["ben"] == "SEEN"


async def test_and_of_a_member_who_lives_beside_the_sender(units: list[LinkedUnit]) -> None:
    london, _ = units
    await london.send("anna", 1, "one", "ben", "carla")
    await settled(london)
    await london.mark_seen("carla", 1)
    await settled(london)
    assert await london.deliveries_of("anna", 1) == {"ben": "HANDED_OVER", "carla": "SEEN"}


async def test_more_than_one_call_takes_arrive_all_the_same(units: list[LinkedUnit]) -> None:
    london, oslo = units
    for number in range(1, 131):
        await london.send("anna", number, "x", "ben")
    await settled(london)
    await oslo.mark_seen("ben", 130)
    await settled(oslo)
    for number in (1, 100, 101, 130):
        assert await london.deliveries_of("anna", number) == {"ben": "SEEN"}


async def test_receipts_wait_for_a_unit_that_is_away(units: list[LinkedUnit]) -> None:
    london, oslo = units
    await london.send("anna", 1, "one", "ben")
    await settled(london)
    endpoint = london.directory.endpoints["london"]
    london.directory.endpoints["london"] = "127.0.0.1:1"
    await oslo.mark_seen("ben", 1)
    await settled(oslo)
    london.directory.endpoints["london"] = endpoint
    assert await london.deliveries_of("anna", 1) == {"ben": "HANDED_OVER"}
    await oslo.pass_time(300.0)
    assert await london.deliveries_of("anna", 1) == {"ben": "SEEN"}


async def test_what_its_unit_says_is_over_is_not_begun_anew(units: list[LinkedUnit]) -> None:
    london, _ = units
    await london.send("anna", 1, "one", "ben")
    await settled(london)
    receipt = pb.MessageReceipt(message=bytes(15) + b"\x01", state=pb.DELIVERY_STATE_UNDELIVERABLE)
    ben = london.unit.by_introduction("anna", "ben")
    await london.deliveries.Receipt(pb.ReceiptRequest(receipts=[receipt]), ben)
    assert await london.deliveries_of("anna", 1) == {"ben": "UNDELIVERABLE"}
    request = pb.RedriveRequest(message=bytes(15) + b"\x01", recipient="ben")
    assert not (await london.deliveries.Redrive(request, london.unit.by_ticket("anna"))).redriven


async def test_nobody_tells_of_others_messages(units: list[LinkedUnit]) -> None:
    london, oslo = units
    await london.send("anna", 1, "one", "ben")
    await settled(london)
    receipt = pb.MessageReceipt(message=bytes(15) + b"\x01", state=pb.DELIVERY_STATE_SEEN)
    stranger = london.unit.by_introduction("anna", "mallory")
    await london.deliveries.Receipt(pb.ReceiptRequest(receipts=[receipt]), stranger)
    assert await london.deliveries_of("anna", 1) == {"ben": "HANDED_OVER"}
    everything = await london.deliveries.ListDeliveries(
        pb.ListDeliveriesRequest(), london.unit.by_ticket("anna")
    )
    assert [one.recipient for one in everything.deliveries] == ["ben"]
    more = pb.MessageReceipt(message=bytes(16), state=pb.DELIVERY_STATE_HANDED_OVER)
    with pytest.raises(InvalidInput):
        await london.deliveries.Receipt(pb.ReceiptRequest(receipts=[more]), stranger)
    with pytest.raises(NotFound):  # it is the sender's to see
        await oslo.deliveries_of("ben", 1)


async def test_redrive_goes_at_once_and_not_where_it_has_arrived(units: list[LinkedUnit]) -> None:
    london, oslo = units
    endpoint = london.directory.endpoints["oslo"]
    london.directory.endpoints["oslo"] = "127.0.0.1:1"
    await london.send("anna", 1, "one", "ben")
    await london.send("anna", 2, "two")
    await settled(london)
    london.directory.endpoints["oslo"] = endpoint
    request = pb.RedriveRequest(message=bytes(15) + b"\x02", recipient="ben")
    assert (await london.deliveries.Redrive(request, london.unit.by_ticket("anna"))).redriven
    await settled(london)
    assert await oslo.read("ben") == [("anna", "one"), ("anna", "two")]
    assert not (await london.deliveries.Redrive(request, london.unit.by_ticket("anna"))).redriven


async def test_what_is_seen_while_a_receipt_is_on_its_way_is_told_as_well(
    units: list[LinkedUnit],
) -> None:
    london, oslo = units
    for number in (1, 2):
        await london.send("anna", number, "x", "ben")
    await settled(london)
    tell = oslo.peers.tell
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(teller: Resident, writer: str, told: Sequence[MessageTold]) -> PeerResult:
        begun.set()
        await goes_on.wait()
        return await tell(teller, writer, told)

    oslo.peers.tell = slowly  # type: ignore[method-assign]
    await oslo.mark_seen("ben", 1)
    await begun.wait()
    await oslo.mark_seen("ben", 2)
    goes_on.set()
    await settled(oslo)
    assert await london.deliveries_of("anna", 2) == {"ben": "SEEN"}


RISING = [
    DeliveryState.EXPIRED,
    DeliveryState.UNDELIVERABLE,
    DeliveryState.WITHHELD,
    DeliveryState.DELIVERED,
    DeliveryState.SEEN,
]


@given(
    st.lists(
        st.tuples(st.sampled_from(RISING), st.integers(0, 9)),
        min_size=1,
    )
)
def test_what_says_most_stands_in_any_order(told: list[tuple[DeliveryState, int]]) -> None:
    kept = ""
    for state, at_ms in told:
        kept = stronger(kept, ToldState(state, at_ms))
    expected = max((state for state, _ in told), key=RISING.index)
    earliest = min(at_ms for state, at_ms in told if state is expected)
    assert known_of("", kept) == (expected, earliest)
