"""`homeport mail`: without a server, for people and for programs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.fakes.smtp_relay import SmtpRelay

MAIL = b"""From: =?utf-8?q?Ann=C3=A1?= <anna@mail.example>\r
Subject: Re: Beans\r
\r
Yes, at noon.\r
\r
On Sat, 28 Nov 2026 at 14:05, Ben <ben@mail.example> wrote:\r
> Shall we?\r
"""


def test_a_reply_is_shown_to_people_and_to_programs(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "reply.eml"
    file.write_bytes(MAIL)
    shown = cli("mail", "show-reply", str(file))
    assert shown.code == 0
    assert "Yes, at noon." in shown.out
    assert "Shall we?" not in shown.out
    document = cli("mail", "show-reply", "-f", str(file), "-o", "json").document
    assert document["from"] == "Anná <anna@mail.example>"
    assert (document["text"], document["quoted"]) == ("Yes, at noon.", True)


def test_what_a_mail_says_cannot_control_the_terminal(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "reply.eml"
    file.write_bytes(b"From: a\x1b[2J\nSubject: \xe2\x80\xae\n\n\x1b[31mred\n")
    shown = cli("mail", "show-reply", str(file))
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out


def test_what_is_no_mail_exits_with_two(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "reply.eml"
    file.write_bytes(b"hello")
    ran = cli("mail", "show-reply", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert f"{file}: the mail has no header" in ran.err


def test_who_wrote_a_mail_is_explained(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(
        b"Return-Path: <carla@mail.example>\n"
        b"Authentication-Results: mx.talk.example; dkim=pass header.d=mail.example\n"
        b"Auto-Submitted: auto-replied\nFrom: Carla <carla@mail.example>\n\nAway.\n"
    )
    believed = cli("mail", "explain", str(file), "--relay", "mx.talk.example", "-o", "json")
    assert believed.document["sender"] == "carla@mail.example"
    assert believed.document["aligned"] is True
    assert believed.document["origin"] == "automatic"
    other = cli("mail", "explain", str(file), "--relay", "mx.evil.example", "-o", "json")
    assert other.document["aligned"] is False
    shown = cli("mail", "explain", "-f", str(file))
    assert shown.code == 0
    assert "Auto-Submitted: auto-replied" in shown.out


def test_a_report_is_explained(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "report.eml"
    file.write_bytes(
        b"From: MAILER-DAEMON@mail.example\nContent-Type: multipart/report; boundary=b\n\n"
        b"--b\n\nx\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n"
        b"Final-Recipient: rfc822; carla@mail.example\nAction: failed\nStatus: 5.1.1\n--b--\n"
    )
    ran = cli("mail", "explain", str(file), "-o", "json")
    assert [one["state"] for one in ran.document["reports"]] == ["failed"]
    assert "failed 5.1.1" in cli("mail", "explain", str(file)).out


@pytest.mark.parametrize(
    ("refuses", "code", "outcome"),
    [("", 0, "handed_over"), ("550 5.1.1 nobody", 4, "refused"), ("451 later", 5, "not_now")],
)
def test_a_mail_is_handed_to_a_relay(
    cli: CommandLine, tmp_path: Path, refuses: str, code: int, outcome: str
) -> None:
    relay = SmtpRelay(refuses=refuses)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(relay.__aenter__())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        (tmp_path / "content").write_text("text: Hello")
        where = ":".join(map(str, relay.address))
        ran = cli(
            "mail", "send", str(tmp_path / "content"), "--relay", where,
            "--from", "ben@talk.example", "--to", "anna@mail.example", "-o", "json",
        )  # fmt: skip
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.run_until_complete(relay.__aexit__())
        loop.close()
    assert (ran.code, ran.document["outcome"]) == (code, outcome)
    assert len(relay.messages) == (1 if code == 0 else 0)
    if code == 0:
        assert ran.document["message_id"].encode() in relay.messages[0][1]


def test_a_relay_that_is_not_there_exits_with_five(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "content").write_text("text: Hello")
    ran = cli(
        "mail", "send", str(tmp_path / "content"), "--relay", "127.0.0.1:1",
        "--from", "ben@talk.example", "--to", "anna@mail.example",
    )  # fmt: skip
    assert ran.code == 5
    assert "not_now" in ran.out
