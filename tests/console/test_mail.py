"""`homeport mail show-reply`: without a server, for people and for programs."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import CommandLine

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
