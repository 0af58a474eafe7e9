"""Messages between units: they arrive by themselves, once and in order, whoever is away then."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import PermissionDenied, Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.conversations.sending import Sent
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.records import decoded_record
from deployment_units.services.gateway.states import DeliveryState
from deployment_units.services.state import owners
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.linked_units import LinkedUnit, enter, linked_units


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[list[LinkedUnit]]:
    """Anna lives in one, Ben in the other."""
    async with linked_units(tmp_path, "london", "oslo") as made:
        london, oslo = made
        await enter(london, "anna")
        await enter(oslo, "ben")
        yield made


def state(unit: LinkedUnit, account: str, recipient: str, position: int = 1) -> DeliveryState:
    def read(db: sqlite3.Connection) -> DeliveryState:
        owner = owners.find(db, TENANT, account)
        assert owner is not None
        row = kept.find(db, owner.number, position, recipient)
        assert row is not None
        return decoded_record(row.record).state

    return unit.unit.database.read(read)


async def test_a_message_arrives_at_another_unit_and_is_answered(units: list[LinkedUnit]) -> None:
    london, oslo = units
    sent = await london.send("anna", 1, "hello", "ben")
    assert (list(sent.kept_for), list(sent.elsewhere)) == ([], ["ben"])
    await london.settled()
    assert await oslo.read("ben") == [("anna", "hello")]
    assert state(london, "anna", "ben") is DeliveryState.HANDED_OVER
    await oslo.send("ben", 2, "and back")
    await oslo.settled()
    assert await london.read("anna") == [("anna", "hello"), ("ben", "and back")]


async def test_a_repeat_is_answered_as_the_first_time_and_brings_nothing(
    units: list[LinkedUnit],
) -> None:
    london, oslo = units
    first = await london.send("anna", 1, "once", "ben")
    await london.settled()
    assert await london.send("anna", 1, "once", "ben") == first
    await london.settled()
    assert await oslo.read("ben") == [("anna", "once")]


async def test_somebody_at_home_here_of_whom_nothing_is_kept_yet(units: list[LinkedUnit]) -> None:
    london, _ = units
    london.directory.homes["carla"] = ("london", 1)
    sent = await london.send("anna", 1, "welcome", "carla")
    assert list(sent.elsewhere) == ["carla"]
    await london.settled()
    assert await london.read("carla") == [("anna", "welcome")]


async def test_a_unit_that_is_away_is_asked_again_and_order_stays(units: list[LinkedUnit]) -> None:
    london, oslo = units
    endpoint = london.directory.endpoints["oslo"]
    london.directory.endpoints["oslo"] = "127.0.0.1:1"
    await london.send("anna", 1, "first", "ben")
    await london.settled()
    assert state(london, "anna", "ben") is DeliveryState.KEPT
    london.directory.endpoints["oslo"] = endpoint
    await london.send("anna", 2, "second")
    await london.settled()
    assert await oslo.read("ben") == []  # what was sent later does not overtake
    await london.pass_time(300.0)
    assert await oslo.read("ben") == [("anna", "first"), ("anna", "second")]


async def test_a_member_who_uses_the_id_of_another_ones_message_first_holds_up_nothing(
    units: list[LinkedUnit],
) -> None:
    london, oslo = units
    await enter(london, "mallory")
    away, oslo.directory.endpoints["oslo"] = oslo.directory.endpoints["oslo"], "127.0.0.1:1"
    await london.send("anna", 1, "the real one", "ben", "mallory")
    await london.settled()
    assert await london.read("mallory") == [("anna", "the real one")]  # and has its id
    oslo.directory.endpoints["oslo"] = away
    await london.send("mallory", 1, "the same id", "anna", "ben")
    await london.settled()
    assert await oslo.read("ben") == [("mallory", "the same id")]
    await london.pass_time(300.0)
    assert await oslo.read("ben") == [("mallory", "the same id"), ("anna", "the real one")]
    assert (await london.deliveries_of("anna", 1))["ben"] == "HANDED_OVER"
    await oslo.mark_seen("ben", 2)
    await oslo.settled()
    for sender in ("anna", "mallory"):
        assert (await london.deliveries_of(sender, 1))["ben"] == "SEEN"


async def test_who_has_moved_is_found_and_who_is_nobody_is_not(units: list[LinkedUnit]) -> None:
    london, oslo = units
    await london.send("anna", 1, "before", "ben")
    await london.settled()
    oslo.directory.homes["ben"] = ("london", 2)  # oslo has not heard of it: stale at its next epoch
    await enter(london, "ben", 2)
    await london.send("anna", 2, "after")
    await london.settled()
    assert await london.read("ben") == [("anna", "after")]
    await london.send("anna", 3, "to nobody", "nina", talk=b"conversation-two")
    await london.settled()
    assert state(london, "anna", "nina", 3) is DeliveryState.UNDELIVERABLE


async def test_while_the_directory_is_away_what_is_known_goes_on(units: list[LinkedUnit]) -> None:
    london, oslo = units
    await london.send("anna", 1, "one", "ben")
    await london.settled()
    london.directory.failure = Unavailable("the store is away")
    await london.send("anna", 2, "two")
    await london.settled()
    assert await oslo.read("ben") == [("anna", "one"), ("anna", "two")]
    await london.pass_time(600.0)  # introductions have ended
    await london.send("anna", 3, "three")
    await london.settled()
    assert len(await oslo.read("ben")) == 2
    london.directory.failure = None
    await london.pass_time(300.0)
    assert await oslo.read("ben") == [("anna", "one"), ("anna", "two"), ("anna", "three")]


async def test_what_nobody_takes_expires(units: list[LinkedUnit]) -> None:
    london, _ = units
    london.directory.failure = Unavailable("the store is away")
    await london.send("anna", 1, "late", "ben")
    await london.settled()
    await london.pass_time(8 * 86_400.0)
    assert state(london, "anna", "ben") is DeliveryState.EXPIRED


async def test_what_somebody_without_an_account_wrote_is_passed_on(
    units: list[LinkedUnit],
) -> None:
    london, oslo = units
    carla = "mailto:carla@mail.example"
    await london.send("anna", 1, "to both", "ben", "mailto:Carla@MAIL.example")
    anna = Resident(tenant=TENANT, account="anna", epoch=1)
    answer = NewMessage(
        id=bytes(15) + b"\x02", conversation=b"conversation-one", sender=carla,
        via="anna", content=pb.Content(text="by mail").SerializeToString(),
    )  # fmt: skip

    def take_in(db: sqlite3.Connection, owner: int) -> Sent:
        return london.unit.sender.send(db, owner, anna, answer)

    sent = await london.unit.accounts.change(anna, take_in)
    assert sent.elsewhere == ("ben",)
    await london.settled()
    assert await oslo.read("ben") == [("anna", "to both"), (carla, "by mail")]


async def test_nobody_writes_as_somebody_without_an_account(units: list[LinkedUnit]) -> None:
    london, oslo = units
    london.directory.homes["mailto:carla@mail.example"] = ("london", 1)
    with pytest.raises(PermissionDenied):
        await london.send("mailto:carla@mail.example", 1, "hello", "ben")
    request = pb.DeliverRequest(
        conversation=b"conversation-one", id=bytes(16), members=["ben"],
        content=pb.Content(text="hello"), author="mailto:carla@mail.example",
    )  # fmt: skip
    with pytest.raises(PermissionDenied):  # no member
        await oslo.unit.conversations.Deliver(request, oslo.unit.by_introduction("ben", "anna"))
