"""Mail to a relay: what it is told, what its answers mean, and what a mail looks like."""

from __future__ import annotations

import asyncio
import ssl
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from deployment_units.services.channels.mail_message import mail_of
from deployment_units.services.channels.mail_out import MailOut, MailRelay
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome, SendResult
from tests.support.certificates import Authority
from tests.support.contracts.outgoing_channel_contract import outgoing
from tests.support.fakes.smtp_relay import SmtpRelay

NOW_MS = 1_795_867_200_000  # 2026-11-28T12:00:00Z
TO = "anna@mail.example"


async def handed_to(
    relay: SmtpRelay, message: OutgoingMessage, *, within_s: float = 5
) -> SendResult:
    async with relay:
        host, port = relay.address
        channel = MailOut(
            MailRelay(host=host, port=port), host="talk.example", wall_ms=lambda: NOW_MS
        )
        return await channel.send(message, within_s=within_s)


def parsed(message: OutgoingMessage) -> EmailMessage:
    raw = mail_of(message, host="talk.example", now_ms=NOW_MS)
    return cast("EmailMessage", BytesParser(policy=policy.default).parsebytes(raw))


async def test_a_relay_is_told_who_and_asked_for_reports_where_it_gives_them() -> None:
    relay = SmtpRelay(offers=("DSN", "SIZE 10000000"))
    result = await handed_to(relay, outgoing(TO))
    assert result == (SendOutcome.HANDED_OVER, "250 taken", True)
    (mail,) = [one for one in relay.commands if one.startswith("MAIL")]
    assert mail.startswith("MAIL FROM:<reply+1-abc@talk.example> SIZE=")
    assert mail.endswith(" RET=HDRS ENVID=01J8Z-1")
    assert f"RCPT TO:<{TO}> NOTIFY=SUCCESS,FAILURE,DELAY" in relay.commands
    assert [to for to, _ in relay.messages] == [TO]


async def test_a_relay_without_extensions_is_asked_for_none() -> None:
    relay = SmtpRelay()
    assert (await handed_to(relay, outgoing(TO))).outcome is SendOutcome.HANDED_OVER
    assert f"RCPT TO:<{TO}>" in relay.commands


@pytest.mark.parametrize(
    ("said", "outcome", "up"),
    [
        ("550 5.7.1 no", SendOutcome.REFUSED, True),
        ("451 4.3.0 later", SendOutcome.NOT_NOW, False),
        ("451 4.7.1 later", SendOutcome.NOT_NOW, True),
        ("421 4.7.0 closing", SendOutcome.NOT_NOW, False),
        ("350 what", SendOutcome.UNKNOWN, True),
        (None, SendOutcome.UNKNOWN, False),
    ],
)
async def test_the_answer_to_the_message_itself(
    said: str | None, outcome: SendOutcome, up: bool
) -> None:
    result = await handed_to(SmtpRelay(ends=said), outgoing(TO))
    assert (result.outcome, result.channel_up) == (outcome, up)


async def test_a_relay_that_says_nothing_has_surely_taken_nothing() -> None:
    result = await handed_to(SmtpRelay(silent=True), outgoing(TO), within_s=0.2)
    assert result == (SendOutcome.NOT_NOW, "the relay did not answer in time", False)


async def test_a_relay_that_answers_slowly_is_not_waited_for_longer_in_all() -> None:
    result = await handed_to(SmtpRelay(pause_s=0.25), outgoing(TO), within_s=0.4)
    assert result.outcome is not SendOutcome.HANDED_OVER


async def test_nor_has_one_that_is_not_there() -> None:
    relay = SmtpRelay()
    async with relay:
        host, port = relay.address
    channel = MailOut(MailRelay(host=host, port=port), host="talk.example", wall_ms=lambda: 0)
    assert (await channel.send(outgoing(TO), within_s=5)).outcome is SendOutcome.NOT_NOW


async def test_without_tls_nothing_is_handed_over_where_it_has_to_be() -> None:
    relay = SmtpRelay()
    async with relay:
        host, port = relay.address
        where = MailRelay(host=host, port=port, verified_tls=True)
        channel = MailOut(where, host="talk.example", wall_ms=lambda: 0)
        result = await channel.send(outgoing(TO), within_s=5)
    assert result.outcome is not SendOutcome.HANDED_OVER
    assert relay.messages == []


async def test_addresses_outside_ascii_need_a_relay_that_can() -> None:
    there = SmtpRelay()
    result = await handed_to(there, outgoing("grün@straße.example"))
    assert result.outcome is SendOutcome.HANDED_OVER
    assert [to for to, _ in there.messages] == ["grün@xn--strae-oqa.example"]
    result = await handed_to(SmtpRelay(utf8=False), outgoing("grün@straße.example"))
    assert result.outcome is SendOutcome.REFUSED
    assert "RFC 6531" in result.words


def test_a_mail_says_whose_it_is_and_what_it_follows() -> None:
    mail = parsed(
        outgoing(
            TO, sender_name="Ben Holm", subject="Beans", html="<p>Hello</p>",
            answers_to=("A", "B"), automatic=True,
        )
    )  # fmt: skip
    assert mail["From"] == "Ben Holm <reply+1-abc@talk.example>"
    assert mail["To"] == TO
    assert mail["Subject"] == "Beans"
    assert mail["Message-ID"] == "<01J8Z@talk.example>"
    assert mail["In-Reply-To"] == "<B@talk.example>"
    assert mail["References"] == "<A@talk.example> <B@talk.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Sat, 28 Nov 2026 12:00:00 +0000"
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_a_mail_that_is_sent_again_is_the_same_mail() -> None:
    first, again = (parsed(outgoing(TO, attempt_id=one)) for one in ("a-1", "a-2"))
    assert first["Message-ID"] == again["Message-ID"]


@pytest.mark.parametrize(
    "address", ['"a b"@mail.example', '"a\\\\\\"b"@mail.example', "a.b+c@mail.example"]
)
def test_an_address_stands_there_as_it_is_written(address: str) -> None:
    raw = mail_of(outgoing(address), host="talk.example", now_ms=0)
    assert f"To: {address}\r\n".encode() in raw


@pytest.mark.parametrize("field", ["sender_name", "subject"])
def test_no_header_is_broken_out_of(field: str) -> None:
    mail = parsed(outgoing(TO, **{field: "x\r\nBcc: mallory@evil.example\r\n\r\nbody\x00\u202e"}))
    assert mail["Bcc"] is None
    assert mail.get_content().split() == ["Hello"]


ENCODED = [
    "=?utf-8?q?a=0aBcc=3A_x=40y.example?=",
    "=?utf-8?b?YQ0KWDpiDQoNCmJvZHk=?=",
    "=?=?x?q?=0a?=",
]


@pytest.mark.parametrize("words", ENCODED)
@pytest.mark.parametrize("field", ["sender_name", "subject", "address"])
def test_nor_by_what_looks_like_an_encoded_word(field: str, words: str) -> None:
    told = {"address": TO} | {field: f"{words}@mail.example" if field == "address" else words}
    mail = parsed(outgoing(**told))
    usual = parsed(outgoing(TO, sender_name="n", subject="s"))
    assert mail.keys() == usual.keys()
    assert mail.get_content().split() == ["Hello"]
    assert [one.addr_spec for one in mail["To"].addresses] == [TO] * (field != "address")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address": "anna"}, "address"),
        ({"address": "a@b.example\r\nRCPT TO:<x@y.example>"}, "address"),
        ({"reply_address": ""}, "reply_address"),
        ({"text": " \n"}, "text"),
    ],
)
def test_what_is_no_mail_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        mail_of(outgoing(**({"address": TO} | changes)), host="talk.example", now_ms=0)
    assert raised.value.field == field


@given(st.text(max_size=200), st.text(max_size=300), st.text(max_size=300))
def test_any_words_make_one_mail_with_one_text(text: str, subject: str, name: str) -> None:
    if not text.strip():
        return
    mail = parsed(outgoing(TO, text=text, subject=subject, sender_name=name))
    assert len(mail.get_all("From") or []) == 1
    assert mail["To"] == TO
    assert mail.get_content_type() == "text/plain"


def known(server: object, session: object, envelope: object, mechanism: str, data: Any) -> Any:
    """Whom a relay lets in."""
    return AuthResult(success=(data.login, data.password) == (b"unit", b"beans"), handled=False)


@pytest.mark.parametrize(
    ("password", "outcome", "words"),
    [
        ("beans", SendOutcome.HANDED_OVER, "250"),
        ("peas", SendOutcome.NOT_NOW, "refuses our credentials: 535"),
    ],
)
async def test_credentials_go_over_tls_and_a_relay_that_refuses_them_is_asked_again(
    tmp_path: Path, password: str, outcome: SendOutcome, words: str
) -> None:
    authority = Authority.new()
    certificate, key = authority.issue(addresses=["127.0.0.1"])
    secret = password.encode()
    for name, content in (
        ("cert.pem", certificate), ("key.pem", key), ("ca.pem", authority.certificate),
        ("password", secret),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(
            Sink(), hostname="relay.example", tls_context=tls, auth_required=True,
            authenticator=known, loop=loop, enable_SMTPUTF8=True,
        ),
        "127.0.0.1", 0,
    )  # fmt: skip
    relay = MailRelay(
        host="127.0.0.1", port=server.sockets[0].getsockname()[1], verified_tls=True,
        ca=tmp_path / "ca.pem", user="unit", password=tmp_path / "password",
    )  # fmt: skip
    channel = MailOut(relay, host="talk.example", wall_ms=lambda: NOW_MS)
    try:
        result = await channel.send(outgoing(TO), within_s=20)
    finally:
        server.close()
    assert result.outcome is outcome, result
    assert words in result.words
    assert password not in repr(relay)


def test_credentials_without_verified_tls_are_a_mistake() -> None:
    with pytest.raises(InvalidInput, match="verified TLS"):
        MailRelay(host="localhost", port=25, user="unit")
