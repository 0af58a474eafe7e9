"""Codes by mail: handed to a relay, and what the relay's answers come to."""

import email
import email.policy

import pytest

from control_plane.errors import Unavailable
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.directory.mail_codes import MailCodes, code_message
from provisioner.directory.text_codes import CodeSenders
from tests.support.fakes.smtp_relay import SmtpRelay

FROM = "codes@talk.example"


def named(text: str) -> Identifier:
    found = read_any(text)
    assert isinstance(found, Identifier), found
    return found


def mailer(relay: SmtpRelay) -> MailCodes:
    return MailCodes(relay.address, FROM, wall=lambda: 1_800_000_000.0)


async def send(relay: SmtpRelay, to: str) -> None:
    await mailer(relay).send(named(to), "12345678", lasts_s=900)


async def test_a_code_is_handed_over_as_a_mail():
    async with SmtpRelay() as relay:
        await send(relay, "Anna@mail.example")
    ((to, content),) = relay.messages
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert to == "Anna@mail.example"  # as it was written
    assert message["To"] == "Anna@mail.example"
    assert message["From"] == FROM
    assert message["Auto-Submitted"] == "auto-generated"
    assert "1234 5678" in message["Subject"]
    assert "1234 5678" in message.get_content()
    assert "15 minutes" in message.get_content()


@pytest.mark.parametrize(
    "local", ["=?utf-8?q?a=0aX=3Ab?=", "=?utf-8?q?a=2Cb=40other.example?=", "a=?utf-8?b?YQ==?="]
)
async def test_what_looks_like_an_encoded_word_is_sent_as_it_is_and_names_nobody_else(local):
    async with SmtpRelay() as relay:
        await send(relay, f"{local}@mail.example")
    ((to, content),) = relay.messages
    assert to == f"{local}@mail.example"
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["To"].addresses == ()


async def test_a_domain_outside_ascii_is_written_in_a_labels():
    async with SmtpRelay() as relay:
        await send(relay, "anna@straße.example")
    assert relay.messages[0][0] == "anna@xn--strae-oqa.example"


async def test_a_local_part_outside_ascii_needs_a_relay_that_can():
    async with SmtpRelay() as relay:
        await send(relay, "änna@mail.example")
    assert relay.messages[0][0] == "änna@mail.example"
    async with SmtpRelay(utf8=False) as relay:
        with pytest.raises(ClaimNotAllowed) as refused:
            await send(relay, "änna@mail.example")
    assert refused.value.reason == "REFUSED"


@pytest.mark.parametrize(
    ("said", "error"), [("550 no such user", ClaimNotAllowed), ("451 later", Unavailable)]
)
async def test_what_the_relay_refuses(said, error):
    async with SmtpRelay(refuses=said) as relay:
        with pytest.raises(error):
            await send(relay, "anna@mail.example")
    assert relay.messages == []


async def test_a_relay_that_is_not_there_is_away():
    async with SmtpRelay() as relay:
        pass
    with pytest.raises(Unavailable):
        await send(relay, "anna@mail.example")


async def test_mail_leads_to_addresses_alone():
    async with SmtpRelay() as relay:
        one = mailer(relay)
    assert one.channel(named("anna@mail.example")) == "mail"
    assert one.channel(named("+442079460018")) == ""
    assert CodeSenders([]).channel(named("anna@mail.example")) == ""


@pytest.mark.parametrize("to", ['"a b"@mail.example', "a+b@mail.example", "o'neil@mail.example"])
def test_no_address_adds_a_line(to):
    content = code_message(FROM, to, "12345678", 900, 1_800_000_000.0)
    head = content.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")]
    assert len(names) == len(set(names))
    assert b"Bcc" not in names
