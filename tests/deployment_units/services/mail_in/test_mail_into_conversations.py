"""Mail over real SMTP into conversations: answers, strangers, the same mail twice, refusals."""

from __future__ import annotations

import json
import quopri
import sqlite3
from pathlib import Path

import pytest

from control_plane.errors import Unavailable
from deployment_units.services.cards.action_tokens import (
    LINK_LEFT_OUT,
    ActionGrant,
    ActionTokens,
    TokenKey,
)
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import presses
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.conversations.press import KeptPress, PressState
from deployment_units.services.gateway import kept as gateway
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import identity_pb2
from tests.deployment_units.services.mail_in.reply_rows import MAILS, TEXTS
from tests.support.cards import document_of, submit
from tests.support.fakes.mail_peers import MailPeersFake
from tests.support.mail_units import ANNA, CARLA, CONVERSATION, SPF, VOUCHED, mail_unit


def content(message: KeptMessage) -> pb.Content:
    return pb.Content.FromString(message.content)


async def test_an_answer_is_a_message_of_the_participant_without_what_it_quotes(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        body = (
            "In-Reply-To: <"
            + (b"1" * 16).hex()
            + "@talk.example>\n\nYes.\n\nOn Mon, Anna wrote:\n> Coming?\n"
        )
        assert await unit.mail(to, body) == "2.0.0 kept"
        (message,) = unit.messages()
        whole = unit.unit.accounts.read(
            ANNA, lambda db, owner: mail_kept.received(db, owner, message.id)
        )
    assert (message.sender, message.via, message.conversation) == (CARLA, "anna", CONVERSATION)
    found = content(message)
    assert (found.text, found.in_reply_to) == ("Yes.", b"1" * 16)
    assert found.by_mail.verified
    assert (found.by_mail.address, found.by_mail.subject) == ("carla@mail.example", "Re: Beans")
    assert whole is not None
    assert b"> Coming?" in whole


@pytest.mark.parametrize(
    ("records", "sender", "verified"),
    [
        pytest.param(VOUCHED, "carla@mail.example", True, id="hers, and vouched for"),
        pytest.param({}, "carla@mail.example", False, id="nobody vouches for it"),
        pytest.param({SPF: (b"v=spf1 -all",)}, "carla@mail.example", False, id="it is denied"),
        pytest.param(
            {("evil.example", "TXT"): (b"v=spf1 +all",)}, "eve@evil.example", False,
            id="somebody else's who has the token",
        ),
    ],
)  # fmt: skip
async def test_who_is_not_surely_the_participant_is_shown_as_unverified(
    tmp_path: Path, records: dict[tuple[str, str], tuple[bytes]], sender: str, verified: bool
) -> None:
    async with mail_unit(tmp_path) as unit:
        unit.names.records = dict(records)
        to = await unit.begin()
        assert await unit.mail(to, "\nYes.\n", sender=sender) == "2.0.0 kept"
        (message,) = unit.messages()
    assert message.sender == CARLA
    assert content(message).by_mail.verified is verified


async def test_the_number_of_a_button_presses_it_where_the_mail_is_surely_the_participants(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin(json.dumps(document_of(actions=[submit("Yes", id="yes")])))
        head = "From: {}\nMessage-ID: <{}@mail.example>\nIn-Reply-To: <" + (b"1" * 16).hex()
        head += "@talk.example>{}"
        body = "\n1\n\nOn Mon, Anna wrote:\n> Coming?\n"

        async def mail(sender: str, name: str, more: str = "") -> str:
            header = head.format(sender, name, more)
            return await unit.mail(to, body, sender=sender, header=header)

        def pressed() -> list[tuple[str, str]]:
            found = unit.unit.accounts.read(
                ANNA, lambda db, owner: presses.to_hand_on(db, owner, most=10)
            )
            return [(one.viewer, one.action) for one in found]

        unit.names.silent = {"mail.example"}
        await mail("carla@mail.example", "unverified")
        unit.names.silent = set()
        await mail("carla@mail.example", "unverified")  # it is a message already
        await mail("eve@evil.example", "another")
        await mail("carla@mail.example", "robot", "\nAuto-Submitted: auto-replied")
        assert pressed() == []
        words = len(unit.messages())
        for _ in range(2):
            assert await mail("carla@mail.example", "hers") == "2.0.0 kept"
        assert pressed() == [(CARLA, "yes")]
        assert len(unit.messages()) == words


async def test_the_same_mail_twice_is_kept_once_whoever_vouches_then(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        unit.names.silent = {"mail.example"}
        said = [await unit.mail(to, "\nYes.\n")]
        unit.names.silent = set()
        said.append(await unit.mail(to, "\nYes.\n"))
        said.append(await unit.mail(to, "\nYes!\n"))
        assert said == ["2.0.0 kept"] * 3
        assert [content(one).text for one in unit.messages()] == ["Yes.", "Yes!"]


async def test_a_reply_address_that_is_none_or_over_is_refused_before_the_mail(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        forged = to.replace("1-", "1-0", 1)[: len(to)]
        assert await unit.mail(forged, "\nx\n") == "RCPT 550"
        assert await unit.mail(to.replace("talk.example", "other.example"), "\nx\n") == "RCPT 550"
        assert await unit.mail("carla@mail.example", "\nx\n") == "RCPT 550"  # no relay
        await unit.unit.accounts.change(
            ANNA, lambda db, owner: conversations.remove_some(db, owner, CONVERSATION)
        )
        assert await unit.mail(to, "\nx\n") == "RCPT 550"
        assert unit.messages() == []


async def test_of_a_conversation_that_is_removed_nothing_stays(tmp_path: Path) -> None:
    tables = (
        "conversations", "messages", "seen", "received_mails", "reply_addresses", "deliveries",
        "receipts", "outcomes", "presses", "message_links", "used",
    )  # fmt: skip
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        assert await unit.mail(to, "\nYes.\n") == "2.0.0 kept"
        (answer,) = unit.messages()

        def more(db: sqlite3.Connection, owner: int) -> None:
            press = KeptPress(
                message=b"1" * 16, author="anna", action="yes", viewer=CARLA, number=1,
                id=b"p" * 16, revision=1, inputs="{}", state=PressState.WAITING, pressed_ms=1,
            )  # fmt: skip
            presses.add(db, owner, press)
            gateway.tell(db, owner, [(CONVERSATION, CARLA)], 1)
            for table, values in (
                ("outcomes", (CONVERSATION, CARLA, answer.position, "seen", 1)),
                ("message_links", (1, CARLA, b"t" * 16, 1)),
                ("used", (CONVERSATION, "@anna", 1)),
                ("seen", (CONVERSATION, "web", 1)),
            ):
                marks = ", ".join("?" * (len(values) + 1))
                db.execute(f"INSERT INTO {table} VALUES ({marks})", (owner, *values))

        def left(db: sqlite3.Connection) -> dict[str, int]:
            return {one: db.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in tables}

        await unit.unit.accounts.change(ANNA, more)
        assert all(unit.unit.database.read(left).values())
        await unit.unit.conversations.RemoveConversation(
            pb.RemoveConversationRequest(conversation=CONVERSATION), unit.unit.by_ticket("anna")
        )
        assert unit.unit.database.read(left) == dict.fromkeys(tables, 0)


async def test_a_strangers_mail_to_a_handle_begins_a_conversation_and_goes_on_in_it(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        head = "From: carla@mail.example\nSubject: Beans\nMessage-ID: <{}@mail.example>\n"
        assert await unit.mail("anna@talk.example", "\nHi.\n", header=head.format("a"))
        follow = head.format("b") + "References: <a@mail.example>\n"
        assert await unit.mail("Anna+x@TALK.example", "\nStill?\n", header=follow)
        first, second = unit.messages()
        members = unit.unit.accounts.read(
            ANNA, lambda db, owner: conversations.members_of(db, owner, first.conversation)
        )
    assert (first.sender, first.via, members) == (CARLA, "anna", (CARLA,))
    assert first.conversation == second.conversation
    assert content(second).by_mail.verified


async def test_nobody_goes_on_with_a_conversation_of_somebody_who_does_not_vouch(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        head = "From: carla@mail.example\nMessage-ID: <a@mail.example>\n"
        await unit.mail("anna@talk.example", "\nHi.\n", header=head)
        unit.names.records = {}
        forged = "From: carla@mail.example\nReferences: <a@mail.example>\n"
        await unit.mail("anna@talk.example", "\nSend money.\n", header=forged)
        first, second = unit.messages()
    assert first.conversation != second.conversation
    assert not content(second).by_mail.verified


async def test_who_is_not_reached_by_strangers_is_told_from_nobody_by_nothing(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle(open_to_all=False)
        closed = await unit.mail("anna@talk.example", "\nHi.\n")
        nobody = await unit.mail("nobody@talk.example", "\nHi.\n")
        assert closed == nobody == "RCPT 550"


async def test_an_account_elsewhere_or_not_to_be_found_now_is_for_later(tmp_path: Path) -> None:
    peers = MailPeersFake()
    async with mail_unit(tmp_path, peers=peers) as unit:
        await unit.has_handle()
        unit.directory.homes["ben"] = ("other", 1)
        peers.errors = [Unavailable("its unit is away")]
        assert await unit.mail("ben@talk.example", "\nHi.\n") == "RCPT 451"
        unit.directory.away = Unavailable("the directory is away")
        assert await unit.mail("dev@talk.example", "\nHi.\n") == "RCPT 451"
        # who lives here is found without the directory
        assert await unit.mail("anna@talk.example", "\nHi.\n") == "2.0.0 kept"


async def test_loops_servers_words_and_reports_of_others_are_refused(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        loop = f"From: carla@mail.example\nDelivered-To: {to}\n"
        assert (await unit.mail(to, "\nx\n", header=loop)).startswith("550 5.4.6")
        bounce = "From: MAILER-DAEMON@mail.example\nSubject: Undelivered\n"
        assert (await unit.mail(to, "\nx\n", header=bounce, sender="")).startswith("550 5.6.0")
        absent = "From: carla@mail.example\nAuto-Submitted: auto-replied\n"
        assert await unit.mail(to, "\nI am away.\n", header=absent) == "2.0.0 kept"
        assert [content(one).text for one in unit.messages()] == ["I am away."]


def _encoded(text: str) -> str:
    """As programs send lines that are longer than SMTP takes."""
    kept = quopri.encodestring(text.replace("\r\n", "\n").encode()).decode()
    head = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n"
    return f"{head}\n{kept}"


@pytest.mark.parametrize("name", [row.name for row in TEXTS] + list(MAILS))
async def test_the_corpora_arrive_without_what_they_quote(tmp_path: Path, name: str) -> None:
    visible = {row.name: row.visible for row in TEXTS} | dict.fromkeys(MAILS, "Hello")
    bodies = {row.name: _encoded(row.text) for row in TEXTS} | MAILS
    async with mail_unit(tmp_path) as unit:
        to = await unit.begin()
        assert await unit.mail(to, bodies[name]) == "2.0.0 kept"
        (message,) = unit.messages()
    assert content(message).text == (visible[name] or "(no text)")


async def test_an_account_that_sends_on_what_it_was_sent_keeps_its_links(tmp_path: Path) -> None:
    grant = ActionGrant(
        tenant="t", account="a", message=b"m" * 16, revision=1, action="b", expires_ms=1
    )
    token = ActionTokens(TokenKey(number=1, secret=bytes(32))).token(grant)
    link = f"https://london.talk.example/a/{token}"
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
        body = f"\nLook:\n\nBegin forwarded message:\n\nOrder: {link}\nMore: <{link}>\n"
        assert await unit.mail(to, body, sender="anna@mail.example", header=header) == "2.0.0 kept"
        found, _ = unit.unit.accounts.read(
            ANNA, lambda db, owner: conversations.messages(db, owner, after=1, most=9)
        )
        (message,) = found
        assert message.sender == "anna"
        text = content(message).text
        assert text.count(LINK_LEFT_OUT) == 2
        assert token not in text


@pytest.mark.parametrize(
    ("fields", "addressees", "warned"),
    [
        pytest.param("To: ben@contoso.example", ["ben@contoso.example"], True, id="Bcc"),
        pytest.param("To: Anna <anna+x@talk.example>\nCc: ben@contoso.example",
                     ["ben@contoso.example"], False, id="named"),
        pytest.param("To: anna@northwind.example, ben@contoso.example",
                     ["ben@contoso.example"], False, id="another address of hers"),
        pytest.param("To: undisclosed-recipients:;", [], False, id="nobody would be shown"),
        pytest.param("To: all@list.example\nList-Id: <all.list.example>", [], False, id="a list"),
    ],
)  # fmt: skip
async def test_a_reply_to_all_of_a_blind_copy_warns(
    tmp_path: Path, fields: str, addressees: list[str], warned: bool
) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        await unit.unit.accounts.change(
            ANNA,
            lambda db, owner: db.execute(
                "INSERT INTO identifiers (owner, uri, kind, shown, label, state) VALUES"
                " (?, 'mailto:anna@northwind.example', 'mailto', '', '', 'held')",
                (owner,),
            ),
        )
        head = f"From: carla@mail.example\nSubject: Beans\nMessage-ID: <m@mail.example>\n{fields}"
        assert await unit.mail("anna@talk.example", "\nHi.\n", header=head) == "2.0.0 kept"
        (message,) = unit.messages()
        assert list(content(message).by_mail.addressees) == addressees
        plan = identity_pb2.PlanReplyRequest(
            message=message.id, mode=identity_pb2.REPLY_MODE_REPLY_ALL
        )
        planned = await unit.unit.identities.PlanReply(plan, unit.unit.by_ticket("anna"))
        simple = identity_pb2.PlanReplyRequest(message=message.id)
        replied = await unit.unit.identities.PlanReply(simple, unit.unit.by_ticket("anna"))
    assert [one.member for one in planned.to] == [CARLA, *(f"mailto:{one}" for one in addressees)]
    assert [one.rule for one in planned.warnings if one.rule == "blind copy"] == [
        "blind copy"
    ] * warned
    assert [one.member for one in replied.to] == [CARLA]
    assert "blind copy" not in [one.rule for one in replied.warnings]
    assert replied.conversation == message.conversation
