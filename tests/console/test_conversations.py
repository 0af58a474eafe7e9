"""`homeport conversations`: what is asked of the unit, and what is shown of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import grpc
import pytest

from console.cli.chat.lines import message_lines
from console.cli.views.conversations import mail_document, mail_notes
from deployment_units.services.cards.card_text import card_text
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc
from tests.support.cards import coffee_card
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

TALK = bytes(range(16))
TEXT = "hello [bold] \u202eben"


def message(position: int) -> pb.Message:
    made = pb.Message(
        id=position.to_bytes(16, "big"), conversation=TALK, position=position, sender="ben",
        content=pb.Content(text=TEXT),
    )  # fmt: skip
    made.keep_time.FromSeconds(1_800_000_000)
    return made


class FakeConversations(conversation_pb2_grpc.ConversationServiceServicer):
    """A unit whose account has three messages in one conversation, in pages of two."""

    def __init__(self) -> None:
        self.sent: list[pb.SendMessageRequest] = []
        self.removals = 0
        self.found: list[tuple[str, str]] = []
        self.clicks: list[pb.ClickRequest] = []
        self.first = message(1)
        self.offer = message(5)
        self.offer.revision = 2
        self.offer.content.card = card_text(coffee_card())

    def SendMessage(self, request, context):
        self.sent.append(request)
        kept = pb.Message(
            id=request.id, conversation=request.conversation, position=4, sender="alice",
            content=request.content,
        )  # fmt: skip
        return pb.SendMessageResponse(message=kept, kept_for=["ben"], elsewhere=["carla"])

    def ListConversations(self, request, context):
        seen = [pb.Seen(device="phone", position=2)]
        one = pb.Conversation(
            id=TALK, members=["ben", "carla"], last=9 if not request.before else 3, seen=seen
        )
        return pb.ListConversationsResponse(conversations=[one], more=not request.before)

    def FindMember(self, request, context):
        """@anna is anna-1's, and ben is there; an address and a number are of people without an
        account."""
        shown = dict(context.invocation_metadata())["authorization"]
        self.found.append((request.name, str(shown)))
        member = {
            "@anna": "anna-1", "ben": "ben", "carla": "carla",
            "+442079460301": "tel:+442079460301",
            "carla@mail.example": "mailto:carla@mail.example",
        }.get(request.name.lower())  # fmt: skip
        if member is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "nobody is found")
        return pb.FindMemberResponse(member=member, shown=request.name.lower())

    def ListMessages(self, request, context):
        if request.conversation != TALK:
            return pb.ListMessagesResponse()
        if request.after:
            return pb.ListMessagesResponse(messages=[message(3)])
        return pb.ListMessagesResponse(messages=[self.first, message(2)], more=True)

    def Subscribe(self, request, context):
        for position in range(request.after + 1, 4):
            yield pb.SubscribeResponse(message=message(position))
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "the ticket has expired")

    def GetMessage(self, request, context):
        return pb.GetMessageResponse(message=self.offer)

    def Click(self, request, context):
        self.clicks.append(request)
        return pb.ClickResponse(
            state=pb.PRESS_STATE_WAITING, press=request.press, current=self.offer
        )

    def RemoveConversation(self, request, context):
        self.removals += 1
        return pb.RemoveConversationResponse(more=self.removals < 3)


@pytest.fixture
def alice(cli: CommandLine, service: Served) -> Iterator[FakeConversations]:
    """The unit where alice is at home."""
    unit = FakeConversations()
    server = grpc.server(ThreadPoolExecutor(4))
    conversation_pb2_grpc.add_ConversationServiceServicer_to_server(unit, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert service.provisioning is not None
    service.provisioning.unit_endpoint = f"127.0.0.1:{port}"
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    try:
        yield unit
    finally:
        server.stop(None).wait(10)


def test_a_message_begins_a_conversation(cli: CommandLine, alice: FakeConversations) -> None:
    words = ("conversations", "send", "alice", TEXT, "--to", "ben", "--to", "carla", "-o", "json")
    ran = cli(*words)
    assert (ran.code, ran.err) == (0, "")
    (sent,) = alice.sent
    assert (list(sent.members), sent.content.text) == (["ben", "carla"], TEXT)
    assert len(sent.id) == len(sent.conversation) == 16
    assert sent.id != sent.conversation
    document = ran.document
    assert document["conversation"] == sent.conversation.hex()
    assert (document["kept_for"], document["elsewhere"]) == (["ben"], ["carla"])
    assert document["text"] == TEXT


def test_one_that_begins_a_conversation_may_be_repeated(
    cli: CommandLine, alice: FakeConversations
) -> None:
    words = ("conversations", "send", "alice", "hi", "--to", "ben", "--id", TALK.hex())
    for _ in range(2):
        assert cli(*words).code == 0
    assert alice.sent[0] == alice.sent[1]


def test_or_goes_on_in_one_and_may_be_repeated(cli: CommandLine, alice: FakeConversations) -> None:
    words = ("conversations", "send", "alice", "hi", "--in", TALK.hex(), "--id", TALK.hex())
    for _ in range(2):
        assert cli(*words).code == 0
    assert alice.sent[0] == alice.sent[1]
    assert (alice.sent[0].conversation, alice.sent[0].id) == (TALK, TALK)
    assert not alice.sent[0].members


def test_all_pages_are_read(cli: CommandLine, alice: FakeConversations) -> None:
    read = cli("conversations", "read", "alice", TALK.hex(), "-o", "json").document
    assert [one["position"] for one in read["messages"]] == [1, 2, 3]
    assert {one["kept"] for one in read["messages"]} == {"2027-01-15T08:00:00Z"}
    listed = cli("conversations", "list", "alice", "-o", "json").document
    assert [one["last"] for one in listed["conversations"]] == [9, 3]
    assert listed["conversations"][0]["seen"] == {"phone": 2}


def test_people_see_texts_as_they_are_and_nothing_turned_around(
    cli: CommandLine, alice: FakeConversations
) -> None:
    said = cli("conversations", "read", "alice", TALK.hex()).out
    assert "hello [bold]" in said
    assert "\u202e" not in said


CARLA = "mailto:carla%25x@mail.example"


@pytest.mark.parametrize(
    ("sender", "mail", "notes"),
    [
        pytest.param(CARLA, None, [], id="no mail"),
        pytest.param(CARLA, pb.ByMail(address="carla%x@mail.example", verified=True), [],
                     id="her own, vouched for"),
        pytest.param("anna", pb.ByMail(address="anna@x.example", verified=True), ["by mail"],
                     id="an account's, vouched for"),
        pytest.param(CARLA, pb.ByMail(address="carla%x@mail.example"), ["by mail, unverified"],
                     id="her address, not vouched for"),
        pytest.param(CARLA, pb.ByMail(), ["by mail, unverified"], id="of nobody's address"),
        pytest.param(CARLA, pb.ByMail(address="mallory@mail.example", verified=False),
                     ["by mail from mallory@mail.example, unverified"], id="of another's address"),
        pytest.param(CARLA, pb.ByMail(address="carla%x@mail.example", verified=True,
                                      attachments=["winmail.dat", "a.pdf"]),
                     ["attached and not opened: winmail.dat, a.pdf"], id="with more than its text"),
    ],
)  # fmt: skip
def test_a_reader_hears_who_may_have_written_a_mail(
    cli: CommandLine, alice: FakeConversations, sender: str, mail: pb.ByMail | None,
    notes: list[str],
) -> None:  # fmt: skip
    one = message(1)
    one.sender = sender
    if mail is not None:
        one.content.by_mail.CopyFrom(mail)
    assert mail_notes(sender, mail_document(one)) == notes
    lines = message_lines(one, None, me="alice", zone=UTC)
    noted = f" ({'; '.join(notes)})" if notes else ""
    assert lines.startswith(f"08:00 {sender}{noted}: hello")
    alice.first = one
    ran = cli("conversations", "read", "alice", TALK.hex())
    for note in notes:
        assert note in " ".join(ran.out.split())


def test_following_prints_a_line_each_and_ends_when_told(
    cli: CommandLine, alice: FakeConversations
) -> None:
    ran = cli("conversations", "follow", "alice", "--after", "1", "--count", "2")
    assert ran.code == 0
    assert [json.loads(line)["position"] for line in ran.out.splitlines()] == [2, 3]
    ended = cli("conversations", "follow", "alice")
    assert ended.code == 1
    assert "expired" in ended.err


def test_a_conversation_is_removed_to_its_end(cli: CommandLine, alice: FakeConversations) -> None:
    assert cli("conversations", "remove", "alice", TALK.hex()).code == 0
    assert alice.removals == 3


@pytest.mark.parametrize(
    "words",
    [
        ["send", "alice", "hi"],
        ["send", "alice", "hi", "--to", "ben", "--in", "00" * 16],
        ["send", "alice", "hi", "--in", "00"],
        ["send", "alice", "hi", "--to", "ben", "--id", "zz" * 16],
        ["read", "alice", "nonsense"],
        ["remove", "alice", "00" * 17],
    ],
    ids=" ".join,
)
def test_what_means_nothing_is_a_usage_error(
    cli: CommandLine, alice: FakeConversations, words: list[str]
) -> None:
    ran = cli("conversations", *words)
    assert (ran.code, ran.out) == (2, "")
    assert alice.sent == []


@pytest.mark.parametrize(
    ("answer", "inputs"),
    [
        pytest.param("1", {}, id="by-number"),
        pytest.param("order", {}, id="by-id"),
        pytest.param("1 3", {"amount": "3"}, id="with-what-it-asks-for"),
    ],
)
def test_a_card_is_pressed_as_it_was_seen(
    cli: CommandLine, alice: FakeConversations, answer: str, inputs: dict[str, str]
) -> None:
    words = ("conversations", "click", "alice", alice.offer.id.hex(), answer, "-o", "json")
    ran = cli(*words)
    assert (ran.code, ran.err) == (0, "")
    (asked,) = alice.clicks
    assert (asked.message, asked.revision, asked.action) == (alice.offer.id, 2, "order")
    assert dict(asked.inputs) == inputs
    assert (ran.document["state"], ran.document["press"]) == ("waiting", asked.press.hex())


def test_what_presses_nothing_is_said_without_a_call(
    cli: CommandLine, alice: FakeConversations
) -> None:
    words = ("conversations", "click", "alice", alice.offer.id.hex())
    assert cli(*words, "dance").code == 2
    assert cli(*words, "99").code == 2
    assert cli("conversations", "click", "alice", "12", "1").code == 2
    alice.offer.content.card = ""
    assert cli(*words, "1").code == 4
    assert alice.clicks == []


WRITTEN = [
    pytest.param(["--to", "@anna", "--to", "ben"], ["anna-1", "ben"], id="one by one"),
    pytest.param(["--to", "@anna, ben,"], ["anna-1", "ben"], id="with commas"),
    pytest.param(["--to", "ben,ben", "--to", "ben"], ["ben"], id="each once"),
    pytest.param(["--to", "account:a, b"], ["a, b"], id="an id as it stands"),
    pytest.param(["--to", "+44 (20) 7946-0301"], ["tel:+442079460301"], id="a number"),
]


@pytest.mark.parametrize(("words", "members"), WRITTEN)
def test_members_are_named_as_people_do(
    cli: CommandLine, alice: FakeConversations, words: list[str], members: list[str]
) -> None:
    ran = cli("conversations", "send", "alice", "hi", *words)
    assert ran.code == 0
    assert list(alice.sent[0].members) == members


def test_members_are_found_by_the_account_itself_with_its_own_ticket(
    cli: CommandLine, alice: FakeConversations
) -> None:
    assert cli("conversations", "send", "alice", "hi", "--to", "@anna").code == 0
    assert alice.found == [("@anna", "Bearer ticket:default:alice:unit-0:1")]


def test_who_has_no_account_is_said_before_anything_is_sent(
    cli: CommandLine, alice: FakeConversations
) -> None:
    ran = cli("conversations", "send", "alice", "hi", "--to", "carla@mail.example", "-o", "json")
    assert (ran.code, list(alice.sent[0].members)) == (0, ["mailto:carla@mail.example"])
    assert "alice finds no account as carla@mail.example: messages go there by mail" in ran.err


SENDS = [("conversations", "send", "alice", "hi", "--to"), ("chat", "--as", "alice", "--send=x")]


@pytest.mark.parametrize("words", SENDS, ids=lambda words: words[0])
@pytest.mark.parametrize("name", ["@anan", "nobody"])
def test_whom_nobody_finds_is_named_and_nothing_is_sent(
    cli: CommandLine, alice: FakeConversations, words: tuple[str, ...], name: str
) -> None:
    ran = cli(*words, name)
    assert (ran.code, alice.sent) == (3, [])
    assert f"nobody is found as {name}; look at how it is written" in ran.err


@pytest.mark.parametrize("words", SENDS, ids=lambda words: words[0])
@pytest.mark.parametrize("name", ["anna ben", "", ",", "account:"])
def test_a_name_that_means_nothing_is_a_usage_error(
    cli: CommandLine, alice: FakeConversations, words: tuple[str, ...], name: str
) -> None:
    ran = cli(*words, name)
    assert (ran.code, alice.found, alice.sent) == (2, [], [])


def test_a_space_between_names_is_answered_with_what_would_do(
    cli: CommandLine, alice: FakeConversations
) -> None:
    assert "anna,ben" in cli("conversations", "send", "alice", "hi", "--to", "anna ben").err


def test_a_conversation_that_is_not_there_is_not_found(
    cli: CommandLine, alice: FakeConversations
) -> None:
    ran = cli("conversations", "read", "alice", "ff" * 16, "-o", "json")
    assert (ran.code, ran.out) == (3, "")
    assert "homeport conversations list alice" in ran.err


def test_a_client_resolves_names_with_its_own_ticket(
    cli: CommandLine, alice: FakeConversations
) -> None:
    ran = cli("resolve", "@Anna", "--client", "alice", "-o", "json")
    assert (ran.code, ran.document) == (0, {"account": "anna-1", "shown": "@anna"})
    assert "anna-1" in cli("resolve", "@Anna", "--client", "alice").out
    assert cli("resolve", "nobody", "--client", "alice").code == 3
    away = cli("resolve", "carla@mail.example", "--client", "alice")
    assert away.code == 3
    assert "goes by mail" in away.err
    for more in (["--as", "ben"], ["--fresh"]):
        assert cli("resolve", "@anna", "--client", "alice", *more).code == 2
