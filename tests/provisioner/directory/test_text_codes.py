"""Codes by text: what the telephones' answers come to."""

from __future__ import annotations

import pytest

from control_plane.errors import Unavailable
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.directory.mail_codes import MailCodes
from provisioner.directory.text_codes import CodeSenders, TextCodes, code_text
from tests.support.fakes.telephones import Telephones

SERVICE, ANNA = "+442079460000", "+442079460301"


def named(text: str) -> Identifier:
    found = read_any(text)
    assert isinstance(found, Identifier), found
    return found


async def send(telephones: Telephones, to: str = ANNA) -> None:
    codes = TextCodes(("127.0.0.1", telephones.port), SERVICE)
    await codes.send(named(f"tel:{to}"), "12345678", lasts_s=900)


async def test_a_code_is_one_text_and_sent_once_the_telephone_has_it() -> None:
    async with Telephones() as telephones:
        await send(telephones)
        assert telephones.texts == {ANNA: [(SERVICE, code_text("12345678", 900))]}
    assert "1234 5678" in code_text("12345678", 900)
    assert len(code_text("12345678", 900)) <= 160


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        pytest.param(404, ClaimNotAllowed, id="nobody has the number"),
        pytest.param(480, Unavailable, id="the telephone is off"),
    ],
)
async def test_what_was_not_taken_was_not_sent(code: int, raised: type[Exception]) -> None:
    async with Telephones(answers={ANNA: code}) as telephones:
        with pytest.raises(raised):
            await send(telephones)


async def test_a_line_that_hangs_up_or_is_not_there_can_be_tried_again() -> None:
    async with Telephones(answers={ANNA: None}, hangs_up=True) as telephones:
        with pytest.raises(Unavailable):
            await send(telephones)
    with pytest.raises(Unavailable):
        await send(telephones)


async def test_each_identifier_has_the_sender_that_has_a_channel_for_it() -> None:
    mail = MailCodes(("127.0.0.1", 1), "codes@talk.example", wall=lambda: 0.0)
    both = CodeSenders([mail, TextCodes(("127.0.0.1", 1), SERVICE)])
    assert both.channel(named("mailto:anna@mail.example")) == "mail"
    assert both.channel(named(f"tel:{ANNA}")) == "text"
    assert both.channel(named("sip:anna@talk.example")) == ""
    with pytest.raises(ClaimNotAllowed, match="sends no codes"):
        await both.send(named("sip:anna@talk.example"), "12345678", lasts_s=900)
