"""What comes to an account finds its way to the person: in the client, then as it wants, never
twice at once, and by its own rules."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from control_plane.errors import Conflict, InvalidInput
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_uri
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import SendResult
from deployment_units.services.contacts import book
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.records import decoded_record, encoded_record
from deployment_units.services.gateway.service import DeliveryService, TooManyRules
from deployment_units.services.gateway.states import (
    AttemptEvidence,
    AttemptState,
    DeliveryState,
    advance,
)
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.profile import Mode
from deployment_units.services.state import owners
from homeport.api.communication.v1 import conversation_pb2
from homeport.api.communication.v1 import delivery_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.fakes.scripted_channel import AWAY, LATER, SILENT, TAKEN, THERE, ScriptedChannel
from tests.support.linked_units import LinkedUnit, enter, linked_units

BEN = Resident(tenant=TENANT, account="ben", epoch=1)


@pytest.fixture
async def london(tmp_path: Path) -> AsyncIterator[LinkedUnit]:
    """Anna writes to Ben, who has an address and knows her."""
    async with linked_units(tmp_path, "london") as (unit,):
        unit.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, TAKEN)
        await enter(unit, "anna")
        await enter(unit, "ben")

        def furnish(db: sqlite3.Connection, owner: int) -> None:
            address = read_uri("mailto:ben@contoso.example")
            assert isinstance(address, Identifier)
            profiles.add_identifier(db, owner, address, "work")
            db.execute("UPDATE identifiers SET proved_ms = 1 WHERE owner = ?", (owner,))
            book.change(db, owner, add=["anna"], remove=[], now_ms=1)

        await unit.unit.accounts.change(BEN, furnish)
        yield unit


def mails(unit: LinkedUnit) -> list[str]:
    channel = unit.channels[Channel.MAIL]
    assert isinstance(channel, ScriptedChannel)
    return [one.address for one in channel.sent]


def own_state(unit: LinkedUnit) -> DeliveryState:
    """Of the message that came to Ben."""

    def read(db: sqlite3.Connection) -> DeliveryState:
        owner = owners.find(db, TENANT, "ben")
        assert owner is not None
        row = kept.find(db, owner.number, 1, kept.ITSELF)
        assert row is not None
        return decoded_record(row.record).state

    return unit.unit.database.read(read)


async def apply(unit: LinkedUnit, document: object, revision: int = 0) -> int:
    request = pb.ApplyRulesRequest(
        document=msgspec.json.encode(document).decode(), revision=revision
    )
    applied = await unit.deliveries.ApplyRules(request, unit.unit.by_ticket("ben"))
    return applied.revision


async def test_by_mail_where_no_client_has_it_in_time_and_once(london: LinkedUnit) -> None:
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    assert mails(london) == []
    await london.pass_time(121.0)
    assert mails(london) == ["ben@contoso.example"]
    for _ in range(3):
        await london.pass_time(90_000.0)
    assert len(mails(london)) == 1
    assert own_state(london) is DeliveryState.HANDED_OVER


@pytest.mark.parametrize("how", ["seen", "had"])
async def test_what_a_client_has_goes_nowhere_else(london: LinkedUnit, how: str) -> None:
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    await (london.mark_seen("ben", 1) if how == "seen" else london.has("ben", 1))
    await london.pass_time(121.0)
    await london.pass_time(90_000.0)
    assert mails(london) == []


async def add_number(unit: LinkedUnit, *answers: SendResult) -> ScriptedChannel:
    """Ben has a number as well, and the unit sends texts."""
    text = unit.channels[Channel.TEXT] = ScriptedChannel(Channel.TEXT, *answers)

    def furnish(db: sqlite3.Connection, owner: int) -> None:
        number = read_uri("tel:+442079460302")
        assert isinstance(number, Identifier)
        profiles.add_identifier(db, owner, number, "")
        db.execute("UPDATE identifiers SET proved_ms = 1 WHERE owner = ?", (owner,))
        profiles.set_preferred(db, owner, [Mode.TEXT, Mode.MAIL])

    await unit.unit.accounts.change(BEN, furnish)
    return text


@pytest.mark.parametrize(
    ("said", "expected"),
    [(THERE, []), (TAKEN, ["ben@contoso.example"])],
    ids=["delivered", "no receipt"],
)
async def test_the_next_channel_is_taken_where_the_one_before_brings_no_receipt(
    london: LinkedUnit, said: SendResult, expected: list[str]
) -> None:
    text = await add_number(london, said)
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    assert len(text.sent) == 1
    for _ in range(3):
        await london.pass_time(601.0)
    assert (len(text.sent), mails(london)) == (1, expected)


async def test_a_receipt_that_comes_later_stops_the_next_channel(london: LinkedUnit) -> None:
    await add_number(london, TAKEN)
    await london.send("anna", 1, "hello", "ben")
    await london.settled()

    def delivered(db: sqlite3.Connection, owner: int) -> None:
        row = kept.find(db, owner, 1, kept.ITSELF)
        assert row is not None
        heard = AttemptEvidence(
            number=1, channel=Channel.TEXT, state=AttemptState.DELIVERED, at_ms=1
        )
        record = advance(decoded_record(row.record), heard)
        kept.put(db, owner, msgspec.structs.replace(row, record=encoded_record(record)))

    await london.unit.accounts.change(BEN, delivered)
    await london.pass_time(601.0)
    assert mails(london) == []


async def test_who_prefers_mail_has_it_there_but_not_while_a_client_follows(
    london: LinkedUnit,
) -> None:
    await london.unit.accounts.change(
        BEN, lambda db, owner: profiles.set_preferred(db, owner, [profiles.Mode.MAIL])
    )
    with london.unit.arrivals.subscribed(TENANT, "ben"):
        await london.send("anna", 1, "hello", "ben")
        await london.settled()
    assert mails(london) == []
    await london.send("anna", 2, "again")
    await london.settled()
    assert len(mails(london)) == 1


async def test_the_accounts_own_rules_decide(london: LinkedUnit) -> None:
    rule = {"name": "nothing", "when": 'message.class == "chat"', "then": {"withhold": True}}
    assert await apply(london, {"rules": [rule]}) == 1
    await london.send("anna", 1, "hello", "ben")
    await london.pass_time(90_000.0)
    assert mails(london) == []
    assert own_state(london) is DeliveryState.WITHHELD
    assert await london.read("ben") == [("anna", "hello")]  # it is kept all the same
    explained = await london.deliveries.ExplainRoute(
        pb.ExplainRouteRequest(sender="anna"), london.unit.by_ticket("ben")
    )
    assert (explained.no_route, explained.why[0].rule) == ("withheld", "rule nothing")
    assert await apply(london, {"never": ["mail"]}, 1) == 2
    explained = await london.deliveries.ExplainRoute(
        pb.ExplainRouteRequest(sender="anna"), london.unit.by_ticket("ben")
    )
    assert [one.channel for one in explained.steps] == [conversation_pb2.CHANNEL_IN_APP]


async def test_the_sender_is_told_that_it_is_withheld_and_then_that_it_was_seen(
    london: LinkedUnit,
) -> None:
    rule = {"name": "nothing", "when": "true", "then": {"withhold": True}}
    await apply(london, {"rules": [rule]})
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    assert await london.deliveries_of("anna", 1) == {"ben": "WITHHELD"}
    request = pb.RedriveRequest(message=bytes(15) + b"\x01", recipient="ben")
    assert not (await london.deliveries.Redrive(request, london.unit.by_ticket("anna"))).redriven
    await london.mark_seen("ben", 1)
    await london.settled()
    assert await london.deliveries_of("anna", 1) == {"ben": "SEEN"}


async def test_the_sender_is_told_what_another_channel_said_and_no_more(london: LinkedUnit) -> None:
    london.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, TAKEN, THERE)
    for number in (1, 2):
        await london.send("anna", number, "hello", "ben")
    await london.settled()
    await london.pass_time(121.0)
    said = [await london.deliveries_of("anna", number) for number in (1, 2)]
    assert said == [{"ben": "HANDED_OVER"}, {"ben": "DELIVERED"}]


async def test_who_showed_something_a_minute_ago_is_there_first(london: LinkedUnit) -> None:
    await london.unit.accounts.change(
        BEN, lambda db, owner: profiles.set_preferred(db, owner, [profiles.Mode.MAIL])
    )
    await london.send("anna", 1, "hello", "ben")
    await london.settled()
    assert len(mails(london)) == 1
    await london.mark_seen("ben", 1)
    await london.pass_time(60.0)
    await london.send("anna", 2, "again")
    await london.settled()
    assert len(mails(london)) == 1
    await london.pass_time(121.0)
    assert len(mails(london)) == 2


async def test_a_channel_that_fails_again_and_again_is_left_alone_for_a_while(
    london: LinkedUnit,
) -> None:
    mail = ScriptedChannel(Channel.MAIL, *[AWAY] * 3, TAKEN)
    london.channels[Channel.MAIL] = mail
    carla = "mailto:carla@mail.example"
    for number in (1, 2, 3):
        talk = number.to_bytes(16, "big")
        await london.send("anna", number, "hello", carla, talk=talk)
        await london.settled()
    assert len(mail.sent) == 3
    await london.send("anna", 4, "hello", carla, talk=bytes(16))
    await london.settled()
    assert len(mail.sent) == 3
    await london.pass_time(60.0)
    assert await london.deliveries_of("anna", 4) == {carla: "HANDED_OVER"}


async def test_who_writes_where_nobody_answers_takes_the_channel_from_nobody(
    london: LinkedUnit,
) -> None:
    mail = ScriptedChannel(Channel.MAIL, *[LATER, SILENT] * 4, TAKEN)
    london.channels[Channel.MAIL] = mail
    for number in range(1, 10):
        talk = number.to_bytes(16, "big")
        carla = f"mailto:carla{number}@mail.example"
        await london.send("anna", number, "hello", carla, talk=talk)
        await london.settled()
    assert len(mail.sent) == 9


async def test_who_applies_many_rules_waits(london: LinkedUnit) -> None:
    now_s = 0.0
    service = DeliveryService(
        london.unit.accounts, london.unit.callers, london.unit.agenda, london.recipients,
        wall_ms=london.unit.wall_ms, clock=lambda: now_s, rate=Rate(per_s=0.1, burst=2.5),
    )  # fmt: skip

    async def apply_(document: str) -> None:
        request = pb.ApplyRulesRequest(document=document)
        await service.ApplyRules(request, london.unit.by_ticket("ben"))

    document = '{"never":["push"]}'
    for _ in range(5):
        await apply_(document)  # the same again costs nothing
    with pytest.raises(Conflict):
        await apply_('{"never":["text"]}')
    with pytest.raises(TooManyRules):
        await apply_('{"never":["mail"]}')
    now_s += 60.0
    with pytest.raises(Conflict):
        await apply_('{"never":["mail"]}')


async def test_rules_are_replaced_by_who_has_read_them(london: LinkedUnit) -> None:
    assert await apply(london, {"never": ["push"]}) == 1
    assert await apply(london, {"never": ["push"]}) == 1  # the same again
    with pytest.raises(Conflict):
        await apply(london, {"never": ["text"]})
    with pytest.raises(InvalidInput, match="rules"):
        await apply(london, {"rules": [{"name": "x", "when": "1 +", "then": {}}]}, 1)
    found = await london.deliveries.GetRules(pb.GetRulesRequest(), london.unit.by_ticket("ben"))
    assert (found.revision, found.document) == (1, '{"never":["push"]}')


async def test_a_stranger_reaches_no_further_than_the_account_lets_it(london: LinkedUnit) -> None:
    await enter(london, "mallory")
    await london.send("mallory", 1, "hello", "ben")
    await london.pass_time(90_000.0)
    assert mails(london) == []  # by mail contacts alone, until Ben says otherwise
