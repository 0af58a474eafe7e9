"""Delivery reports over real SMTP: what they change of a delivery, and of nobody else's."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest

from deployment_units.services.channels.channel import Channel
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.gateway import kept as gateway
from deployment_units.services.gateway.delivery_messages import delivery_to_proto
from deployment_units.services.gateway.mail_headers import message_id_of
from deployment_units.services.gateway.plans import CarriedPlan, decoded_plan, encoded_plan
from deployment_units.services.gateway.records import decoded_record, encoded_record
from deployment_units.services.gateway.route import RouteStep
from deployment_units.services.gateway.states import AttemptEvidence, AttemptState, advance
from homeport.api.communication.v1 import delivery_pb2
from tests.support.mail_units import ANNA, CARLA, mail_unit


def report(message_id: str, action: str, status: str) -> str:
    """A report of a delivery (RFC 3464) on a mail of ours to Carla."""
    return (
        "From: MAILER-DAEMON@mail.example\nSubject: Delivery\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nA report.\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.mail.example\n"
        f"Original-Envelope-Id: {message_id}-1\n\n"
        f"Final-Recipient: rfc822; carla@mail.example\nAction: {action}\nStatus: {status}\n"
        f"\n--b--\n"
    )


@pytest.mark.parametrize(
    ("action", "status", "state"),
    [
        ("delivered", "2.0.0", AttemptState.DELIVERED),
        ("failed", "5.1.1", AttemptState.FAILED),
        ("delayed", "4.4.1", AttemptState.DELAYED),
    ],
)
async def test_a_report_is_evidence_of_the_attempt_and_no_message(
    tmp_path: Path, action: str, status: str, state: AttemptState
) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        accounts = unit.unit.accounts

        def sent(db, owner):  # type: ignore[no-untyped-def]
            row = gateway.find(db, owner, 1, CARLA)
            for one in (AttemptState.BEGUN, AttemptState.HANDED_OVER):
                evidence = AttemptEvidence(number=1, channel=Channel.MAIL, state=one, at_ms=1)
                row = msgspec.structs.replace(
                    row, record=encoded_record(advance(decoded_record(row.record), evidence))
                )
            gateway.put(db, owner, row)
            return message_id_of(b"1" * 16, "anna", CARLA)

        one = await accounts.change(ANNA, sent)
        head, _, body = report(one, action, status).partition("\n\n")
        assert await unit.mail(to, f"\n{body}", header=head, sender="") == "2.0.0 kept"
        other = report(one.replace("31", "32", 1), action, status)
        head, _, body = other.partition("\n\n")
        assert (await unit.mail(to, f"\n{body}", header=head, sender="")).startswith("550 5.6.0")
        row = accounts.read(ANNA, lambda db, owner: gateway.find(db, owner, 1, CARLA))
        assert unit.messages() == []
    (attempt,) = decoded_record(row.record).attempts
    assert attempt.state is state


async def test_a_delay_is_shown_in_the_servers_words_until_it_says_more(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        accounts = unit.unit.accounts

        def sent(db, owner):  # type: ignore[no-untyped-def]
            evidence = AttemptEvidence(
                number=1, channel=Channel.MAIL, state=AttemptState.HANDED_OVER, at_ms=1,
                words="250 2.0.0 queued",
            )  # fmt: skip
            row = gateway.find(db, owner, 1, CARLA)
            record = encoded_record(advance(decoded_record(row.record), evidence))
            gateway.put(db, owner, msgspec.structs.replace(row, record=record, due_ms=None))
            return message_id_of(b"1" * 16, "anna", CARLA)

        def shown(db, owner):  # type: ignore[no-untyped-def]
            message = conversations.at(db, owner, 1)
            known = delivery_to_proto(
                message.id, message.conversation, gateway.find(db, owner, 1, CARLA)
            )
            return delivery_pb2.DeliveryState.Name(known.state)[15:], known.words

        one, said = await accounts.change(ANNA, sent), []
        for action, status in (("delayed", "4.4.1"), ("delayed", "4.2.2"), ("relayed", "2.0.0")):
            head, _, body = report(one, action, status).partition("\n\n")
            assert await unit.mail(to, f"\n{body}", header=head, sender="") == "2.0.0 kept"
            said.append(accounts.read(ANNA, shown))
            unit.unit.now += 60.0
    assert said == [("DELAYED", "delayed 4.4.1")] * 2 + [("HANDED_OVER", "")]


async def test_a_failed_mail_makes_the_next_step_due_and_one_to_another_address_does_not(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        accounts = unit.unit.accounts
        steps = (
            RouteStep(Channel.MAIL, "carla@mail.example", 0, 1),
            RouteStep(Channel.MAIL, "carla@contoso.example", 1, 2),
            RouteStep(Channel.TEXT, "+442079460302", 2, 3),
        )

        def sent(db, owner, step=0):  # type: ignore[no-untyped-def]
            evidence = AttemptEvidence(
                number=1, channel=Channel.MAIL, state=AttemptState.HANDED_OVER, at_ms=1
            )
            row = msgspec.structs.replace(
                gateway.find(db, owner, 1, CARLA), due_ms=None,
                plan=encoded_plan(CarriedPlan(steps=steps, step=step, begun=1)),
                record=encoded_record(advance(decoded_record(""), evidence)),
            )  # fmt: skip
            gateway.put(db, owner, row)
            return message_id_of(b"1" * 16, "anna", CARLA)

        for at, due in ((1, False), (0, True)):
            one = await accounts.change(ANNA, partial(sent, step=at))
            head, _, body = report(one, "failed", "5.1.1").partition("\n\n")
            assert await unit.mail(to, f"\n{body}", header=head, sender="") == "2.0.0 kept"
            row = accounts.read(ANNA, lambda db, owner: gateway.find(db, owner, 1, CARLA))
            plan = decoded_plan(row.plan)
            assert plan is not None
            assert plan.step == 1
            assert (row.due_ms is not None) is due
