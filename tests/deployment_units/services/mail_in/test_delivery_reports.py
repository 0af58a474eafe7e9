"""Reports of deliveries: what each action proves, and of whose mail."""

from __future__ import annotations

from typing import Any

import pytest

from deployment_units.services.gateway.states import (
    AttemptState,
    DeliveryRecord,
    DeliveryState,
    advance,
)
from deployment_units.services.mail_in.delivery_reports import (
    MOST_RECIPIENTS,
    ReportedOutcome,
    SentMail,
    evidence_of,
    reported,
)
from deployment_units.services.mail_in.mail import read_mail

SENT = SentMail(
    number=2, recipient="carla@mail.example", envelope_id="7Q2X", message_id="<m1@talk.example>"
)


def recipient(**fields: str) -> str:
    said = {
        "Original-Recipient": "rfc822;carla@mail.example",
        "Final-Recipient": "rfc822; carla@mail.example",
        "Action": "delivered",
        "Status": "2.0.0",
        "Diagnostic-Code": "smtp; 250 2.0.0 kept",
    }
    said |= {name.replace("_", "-"): value for name, value in fields.items()}
    return "".join(f"{name}: {value}\n" for name, value in said.items() if value)


def report(
    *recipients: str,
    envelope: str = "Original-Envelope-Id: 7Q2X\n",
    returned: str = "message/rfc822",
    kind: str = "multipart/report; report-type=delivery-status",
    null_sender: bool = False,
) -> tuple[ReportedOutcome, ...]:
    blocks = "\n".join(recipients or (recipient(),))
    raw = (
        "From: MAILER-DAEMON@mail.example\n"
        f"Content-Type: {kind}; boundary=b\n\n--b\n\nIt is about your mail.\n"
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.mail.example\n"
        f"{envelope}\n{blocks}\n--b\nContent-Type: {returned}\n\n"
        "Message-ID:\n <m1@talk.example>\nSubject: x\n\nx\n--b--\n"
    )
    return reported(read_mail(raw.encode()), null_sender=null_sender)


@pytest.mark.parametrize(
    ("fields", "state", "words"),
    [
        pytest.param({}, AttemptState.DELIVERED, "delivered 2.0.0 250 2.0.0 kept", id="delivered"),
        pytest.param({"Action": "Delivered (mailbox)"}, AttemptState.DELIVERED,
                     "delivered 2.0.0 250 2.0.0 kept", id="with a comment"),
        pytest.param({"Action": "failed", "Status": "5.1.1", "Diagnostic_Code": "smtp; 550 nobody"},
                     AttemptState.FAILED, "failed 5.1.1 550 nobody", id="failed"),
        pytest.param({"Action": "delayed", "Status": "4.4.1"}, AttemptState.DELAYED,
                     "delayed 4.4.1 250 2.0.0 kept", id="delayed"),
        pytest.param({"Action": "relayed"}, AttemptState.RELAYED,
                     "relayed 2.0.0 250 2.0.0 kept", id="relayed"),
        pytest.param({"Action": "expanded"}, AttemptState.RELAYED,
                     "expanded 2.0.0 250 2.0.0 kept", id="expanded"),
        pytest.param({"Status": "5.0.0"}, AttemptState.FAILED, "delivered 5.0.0 250 2.0.0 kept",
                     id="delivered with a code of failure"),
        pytest.param({"Status": "4.0.0"}, AttemptState.RELAYED,
                     "delivered 4.0.0 250 2.0.0 kept", id="delivered with a code of delay"),
        pytest.param({"Status": ""}, AttemptState.RELAYED, "delivered 250 2.0.0 kept",
                     id="delivered without a code"),
    ],
)  # fmt: skip
def test_what_an_action_proves(fields: dict[str, str], state: AttemptState, words: str) -> None:
    (outcome,) = report(recipient(**fields))
    assert (outcome.state, outcome.words) == (state, words)
    evidence = evidence_of(outcome, SENT, 7)
    assert evidence is not None
    assert (evidence.number, evidence.state, evidence.at_ms) == (2, state, 7)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"envelope": "Original-Envelope-Id: other\n"}, id="another envelope"),
        pytest.param({"envelope": "", "returned": "text/plain"}, id="nothing says which mail"),
    ],
)
def test_a_report_of_somebody_elses_mail_proves_nothing(changes: dict[str, Any]) -> None:
    (outcome,) = report(**changes)
    assert evidence_of(outcome, SENT, 7) is None


def test_a_report_of_another_recipient_proves_nothing() -> None:
    (outcome,) = report(
        recipient(
            Original_Recipient="rfc822;ben@mail.example", Final_Recipient="rfc822;ben@mail.example"
        )
    )
    assert evidence_of(outcome, SENT, 7) is None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(
            {"Final_Recipient": "rfc822; c.dahl@inner.example"}, id="passed on to another"
        ),
        pytest.param({"Original_Recipient": ""}, id="without the original"),
        pytest.param({"Original_Recipient": "rfc822;CARLA@Mail.example"}, id="in capitals"),
    ],
)
def test_the_recipient_is_the_original_or_the_final_one(fields: dict[str, str]) -> None:
    (outcome,) = report(recipient(**fields))
    assert evidence_of(outcome, SENT, 7) is not None


def test_an_address_with_a_plus_is_taken_as_it_is_written() -> None:
    (outcome,) = report(recipient(Original_Recipient="rfc822;carla+2Bx@mail.example"))
    assert "carla+2bx@mail.example" in outcome.recipients


@pytest.mark.parametrize("returned", ["message/rfc822", "text/rfc822-headers"])
def test_without_an_envelope_id_the_returned_mail_says_which(returned: str) -> None:
    (outcome,) = report(envelope="", returned=returned)
    assert outcome.message_id == "<m1@talk.example>"
    assert evidence_of(outcome, SENT, 7) is not None


def test_each_recipient_has_an_outcome() -> None:
    found = report(
        recipient(), recipient(Action="failed", Status="5.1.1"), recipient(Action="nonsense")
    )
    assert [one.state for one in found] == [AttemptState.DELIVERED, AttemptState.FAILED]
    assert len(report(*[recipient()] * (MOST_RECIPIENTS + 1))) == MOST_RECIPIENTS


def test_what_is_no_report_says_nothing() -> None:
    assert report(kind="multipart/mixed") == ()  # somebody's mail with one attached
    assert report(kind="multipart/mixed", null_sender=True) == report()  # as OpenSMTPD has it
    assert report(kind="multipart/related", null_sender=True) == ()
    assert reported(read_mail(b"From: a@b.example\n\nAction: delivered\n")) == ()
    empty = b"From: a@b.example\nContent-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b--\n"
    assert reported(read_mail(empty)) == ()


def test_a_failure_takes_back_that_it_was_handed_over_and_nothing_else() -> None:
    failed, delivered = (
        report(recipient(Action=action, Status=status))[0]
        for action, status in (("failed", "5.2.2"), ("delivered", "2.0.0"))
    )
    bounced, arrived = (evidence_of(one, SENT, 7) for one in (failed, delivered))
    assert bounced is not None
    assert arrived is not None
    assert advance(DeliveryRecord(), bounced).state is DeliveryState.ROUTED
    assert advance(advance(DeliveryRecord(), arrived), bounced).state is DeliveryState.DELIVERED
