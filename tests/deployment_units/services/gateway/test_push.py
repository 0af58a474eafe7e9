"""Notices by push: behind the app, to proved addresses alone, which no route or delivery tells."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import push_kept
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway import kept
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.profile import NOBODY, Mode
from deployment_units.services.state import owners
from homeport.api.communication.v1 import conversation_pb2
from homeport.api.communication.v1 import delivery_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.fakes.scripted_channel import NEVER, TAKEN, ScriptedChannel
from tests.support.linked_units import LinkedUnit, enter, linked_units

BEN = Resident(tenant=TENANT, account="ben", epoch=1)
SECRET = "a-topic-nobody-guesses"
TOPIC = f"ntfys://ntfy.talk.example/{SECRET}"
IN_APP_S = 121.0


@pytest.fixture
async def london(tmp_path: Path) -> AsyncIterator[LinkedUnit]:
    """Anna writes to Ben, who has a push address, and one that is not proved."""
    async with linked_units(tmp_path, "london") as (unit,):
        unit.channels[Channel.PUSH] = ScriptedChannel(Channel.PUSH, TAKEN, duplicates=False)
        await enter(unit, "anna")
        await enter(unit, "ben")

        def furnish(db: sqlite3.Connection, owner: int) -> None:
            for id, topic in (("1", TOPIC), ("2", f"{TOPIC}-2")):
                push_kept.begin(db, owner, topic, "", new_id=id, code="12345678", now_ms=1)
            push_kept.confirm(db, owner, "1", "12345678", now_ms=2)

        await unit.unit.accounts.change(BEN, furnish)
        yield unit


def notices(unit: LinkedUnit) -> list[tuple[str, str]]:
    channel = unit.channels[Channel.PUSH]
    assert isinstance(channel, ScriptedChannel)
    return [(one.address, one.text) for one in channel.sent]


async def test_a_notice_of_what_no_client_has_goes_to_the_proved_address(
    london: LinkedUnit,
) -> None:
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    assert notices(london) == []
    await london.pass_time(IN_APP_S)
    await london.pass_time(90_000.0)
    assert notices(london) == [(TOPIC, "hello")]


async def test_what_a_client_has_is_no_notice(london: LinkedUnit) -> None:
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    await london.mark_seen("ben", 1)
    await london.pass_time(IN_APP_S)
    assert notices(london) == []


async def test_who_may_not_write_in_the_app_sends_no_notice(london: LinkedUnit) -> None:
    explain = pb.ExplainRouteRequest(sender="anna")

    async def steps() -> list[int]:
        ticket = london.unit.by_ticket("ben")
        explained = await london.deliveries.ExplainRoute(explain, ticket)
        assert SECRET not in str(explained)
        return [one.channel for one in explained.steps]

    assert await steps() == [conversation_pb2.CHANNEL_IN_APP, conversation_pb2.CHANNEL_PUSH]
    await london.unit.accounts.change(
        BEN, lambda db, owner: profiles.set_reachability(db, owner, Mode.IN_APP, NOBODY)
    )
    assert conversation_pb2.CHANNEL_PUSH not in await steps()


async def test_an_address_that_was_removed_gets_nothing(london: LinkedUnit) -> None:
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    await london.unit.accounts.change(BEN, lambda db, owner: push_kept.remove(db, owner, "1"))
    await london.pass_time(IN_APP_S)
    assert notices(london) == []


async def test_neither_the_row_nor_the_sender_has_what_is_secret(london: LinkedUnit) -> None:
    london.channels[Channel.PUSH] = ScriptedChannel(Channel.PUSH, NEVER)
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    await london.pass_time(IN_APP_S)
    assert [one for one, _ in notices(london)] == [TOPIC]

    def row(db: sqlite3.Connection) -> str:
        owner = owners.find(db, TENANT, "ben")
        assert owner is not None
        return str(kept.find(db, owner.number, 1, kept.ITSELF))

    listed = await london.deliveries.ListDeliveries(
        pb.ListDeliveriesRequest(message=bytes(15) + b"\x01"), london.unit.by_ticket("anna")
    )
    found = london.unit.database.read(row)
    assert "push:1" in found
    assert SECRET not in found + str(listed)
