"""What a program wrote is never answered by one, and what goes in circles is refused."""

from __future__ import annotations

import pytest

from deployment_units.services.mail_in.loops import (
    ANSWER_EVERY_MS,
    MOST_HOPS,
    MailOrigin,
    may_answer,
    origin_of,
)
from deployment_units.services.mail_in.mail import read_mail

PERSON, AUTOMATIC, LIST, LOOP = (
    MailOrigin.PERSON, MailOrigin.AUTOMATIC, MailOrigin.LIST, MailOrigin.LOOP
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "envelope_from", "origin"),
    [
        pytest.param("", "carla@mail.example", PERSON, id="a person"),
        pytest.param("Auto-Submitted: no", "c@d.example", PERSON, id="a person who says so"),
        pytest.param("Auto-Submitted: No (human)", "c@d.example", PERSON, id="and comments"),
        pytest.param("Auto-Submitted: auto-replied", "c@d.example", AUTOMATIC, id="replied"),
        pytest.param(
            "Auto-Submitted: auto-generated; type=x", "c@d.example", AUTOMATIC, id="generated"
        ),
        pytest.param("", "", AUTOMATIC, id="the null sender"),
        pytest.param("", "<>", AUTOMATIC, id="the null sender in brackets"),
        pytest.param("List-Id: <beans.roastery.example>", "c@d.example", LIST, id="a list"),
        pytest.param("List-Unsubscribe: <https://x>", "c@d.example", LIST, id="a newsletter"),
        pytest.param("Precedence: list", "c@d.example", LIST, id="a list by precedence"),
        pytest.param("Precedence: BULK", "c@d.example", AUTOMATIC, id="bulk"),
        pytest.param("Precedence: first-class", "c@d.example", PERSON, id="first class"),
        pytest.param("X-Autoreply: yes", "c@d.example", AUTOMATIC, id="by an older field"),
        pytest.param(
            "Content-Type: multipart/report; boundary=b", "c@d.example", AUTOMATIC, id="a report"
        ),
        pytest.param("", "MAILER-DAEMON@d.example", AUTOMATIC, id="a server"),
        pytest.param("Delivered-To: ben@talk.example", "c@d.example", LOOP, id="was here"),
        pytest.param("Delivered-To: Ben@Talk.Example", "c@d.example", LOOP, id="was here, too"),
        pytest.param("X-Loop: talk.example", "c@d.example", LOOP, id="passed on from here"),
        pytest.param("X-Loop: talk2.example", "c@d.example", PERSON, id="passed on elsewhere"),
        pytest.param("Delivered-To: else@talk.example", "c@d.example", PERSON, id="elsewhere"),
        pytest.param(
            "\n".join(["Received: by x"] * MOST_HOPS), "c@d.example", PERSON, id="a long way"
        ),
        pytest.param(
            "\n".join(["Received: by x"] * (MOST_HOPS + 1)), "c@d.example", LOOP, id="too long"
        ),
        pytest.param(
            "Auto-Submitted: auto-replied\nDelivered-To: ben@talk.example", "", LOOP,
            id="a loop outweighs a program",
        ),
    ],
)  # fmt: skip
def test_who_wrote_it(fields: str, envelope_from: str, origin: MailOrigin) -> None:
    mail = read_mail(f"From: carla@mail.example\n{fields}".rstrip().encode() + b"\n\nx")
    found = origin_of(mail, envelope_from=envelope_from, recipient="<ben@talk.example>")
    assert found.origin is origin
    assert bool(found.why) is (origin is not PERSON)


@pytest.mark.parametrize("origin", MailOrigin)
def test_only_a_person_is_answered_and_once_a_day(origin: MailOrigin) -> None:
    person = origin is PERSON
    assert may_answer(origin, None, 5) is person
    assert may_answer(origin, 0, ANSWER_EVERY_MS) is person
    assert not may_answer(origin, 0, ANSWER_EVERY_MS - 1)
