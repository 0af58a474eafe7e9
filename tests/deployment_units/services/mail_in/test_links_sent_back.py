"""Who answers a mail with buttons, all of it below, gives nobody else the links to press them."""

from __future__ import annotations

from pathlib import Path

from deployment_units.services.cards.action_tokens import (
    LINK_LEFT_OUT,
    ActionGrant,
    ActionTokens,
    TokenKey,
    without_links,
)
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.conversations import kept as conversations
from tests.deployment_units.services.mail_in.test_mail_into_conversations import (
    ANNA,
    CONVERSATION,
    content,
    mail_unit,
)

GRANT = ActionGrant(
    tenant="t", account="a", message=b"m" * 16, revision=1, action="b", expires_ms=1
)
TOKEN = ActionTokens(TokenKey(number=1, secret=bytes(32))).token(GRANT)
LINK = f"https://london.talk.example/a/{TOKEN}"


async def test_an_account_that_sends_on_what_it_was_sent_keeps_its_links(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.begin()
        whose = ReplyOwner(
            conversation=CONVERSATION, participant="anna", address="anna@mail.example"
        )
        to = await unit.unit.accounts.change(
            ANNA,
            lambda db, owner: mail_kept.address_for_replies(
                db, owner, whose, account="anna", host="talk.example", new_key=lambda: bytes(32)
            ),
        )
        header = "From: anna@mail.example\nSubject: Fwd: An offer\nMessage-ID: <f@mail.example>"
        body = f"\nLook:\n\nBegin forwarded message:\n\nOrder: {LINK}\nMore: <{LINK}>\n"
        assert await unit.mail(to, body, sender="anna@mail.example", header=header) == "2.0.0 kept"
        found, _ = unit.unit.accounts.read(
            ANNA, lambda db, owner: conversations.messages(db, owner, after=1, most=9)
        )
        (message,) = found
        assert message.sender == "anna"
        text = content(message).text
        assert text.count(LINK_LEFT_OUT) == 2
        assert TOKEN not in text


def test_the_shortest_token_is_left_out_and_other_addresses_stay() -> None:
    assert without_links(f"({LINK})") == f"({LINK_LEFT_OUT})"
    for other in ("https://talk.example/a/b", "https://talk.example/about", "see /a/ and b"):
        assert without_links(other) == other
