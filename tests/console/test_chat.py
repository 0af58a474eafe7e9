"""`homeport chat`: with whom, what words mean, cards that are answered by number, and a terminal
that shows what comes and is left in order."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

TALK, OTHER = bytes(range(16)), bytes(range(16, 32))
WAIT_S = 60.0
CARD = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [
        {"type": "TextBlock", "text": "New harvest"},
        {"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9},
    ],
    "actions": [
        {"type": "Action.Submit", "id": "order", "title": "Order"},
        {"type": "Action.Submit", "id": "later", "title": "Not now", "associatedInputs": "none"},
    ],
}


def message(position: int, text: str, card: object = None, sender: str = "ben") -> pb.Message:
    content = pb.Content(text=text, card=json.dumps(card) if card else "")
    made = pb.Message(
        id=position.to_bytes(16, "big"), conversation=TALK, position=position, sender=sender,
        content=content, revision=1,
    )  # fmt: skip
    made.keep_time.FromSeconds(1_800_000_000)
    return made


class FakeUnit(conversation_pb2_grpc.ConversationServiceServicer):
    """A unit where alice has a conversation with ben, and one with ben and carla. over: so many
    messages find a ticket that has expired."""

    def __init__(self) -> None:
        self.sent: list[pb.SendMessageRequest] = []
        self.clicks: list[pb.ClickRequest] = []
        self.messages = [message(1, "hello \u202eben")]
        self.coming: list[pb.Message] = []
        self.came = threading.Condition()
        self.over = 0
        self.called = {"alice": "Alice", "carla": "Carla"}

    def tell(self, one: pb.Message) -> None:
        with self.came:
            self.coming.append(one)
            self.came.notify_all()

    def ListConversations(self, request, context):
        both = pb.Conversation(id=OTHER, members=["ben", "carla"], last=9)
        one = pb.Conversation(id=TALK, members=["ben"], last=len(self.messages))
        return pb.ListConversationsResponse(conversations=[both, one])

    def FindMember(self, request, context):
        if request.name not in self.called:
            context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
        return pb.FindMemberResponse(
            member=request.name, shown=request.name, name=self.called[request.name]
        )

    def ListMessages(self, request, context):
        found = [one for one in self.messages if one.position > request.after]
        return pb.ListMessagesResponse(messages=found if request.conversation == TALK else [])

    def SendMessage(self, request, context):
        self.sent.append(request)
        if self.over:
            self.over -= 1
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the ticket has expired")
        kept = message(50, request.content.text, sender="alice")
        return pb.SendMessageResponse(message=kept, kept_for=["ben"])

    def Click(self, request, context):
        self.clicks.append(request)
        return pb.ClickResponse(state=pb.PRESS_STATE_WAITING, press=request.press)

    def Subscribe(self, request, context):
        given = 0
        while context.is_active():
            with self.came:
                self.came.wait_for(lambda seen=given: len(self.coming) > seen, timeout=0.1)
                new, given = self.coming[given:], len(self.coming)
            for one in new:
                if one.position > request.after:
                    yield pb.SubscribeResponse(message=one)


@pytest.fixture
def unit(cli: CommandLine, service: Served) -> Iterator[FakeUnit]:
    one = FakeUnit()
    server = grpc.server(ThreadPoolExecutor(8))
    conversation_pb2_grpc.add_ConversationServiceServicer_to_server(one, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert service.provisioning is not None
    service.provisioning.unit_endpoint = f"127.0.0.1:{port}"
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    try:
        yield one
    finally:
        server.stop(None).wait(10)


def test_what_is_sent_goes_on_where_these_two_were(cli: CommandLine, unit: FakeUnit) -> None:
    ran = cli("chat", "ben", "--as", "alice", "--send", "hi", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    assert (ran.document["did"], ran.document["kept_for"]) == ("sent", ["ben"])
    assert (unit.sent[0].conversation, list(unit.sent[0].members)) == (TALK, [])
    assert cli("chat", "carla", "ben", "--as", "alice", "--send", "hi").code == 0
    assert unit.sent[1].conversation == OTHER


@pytest.mark.parametrize("words", [["chat", "--send=x"], ["compose", "x"], ["conversations"]])
def test_nobody_writes_to_themselves(cli: CommandLine, unit: FakeUnit, words: list[str]) -> None:
    whom = {
        "chat": ["alice", "--as", "alice"],
        "compose": ["--to", "alice", "--as", "alice", "--dry-run"],
        "conversations": ["send", "alice", "hi", "--to", "alice"],
    }[words[0]]
    ran = cli(words[0], *whom, *words[1:])
    assert (ran.code, unit.sent) == (2, [])
    assert "alice does not write to itself; name somebody else" in ran.err


def test_or_begins_one(cli: CommandLine, unit: FakeUnit) -> None:
    assert cli("chat", "carla", "--as", "alice", stdin=b"one\n\ntwo\n").code == 0
    first, second = unit.sent
    assert first.conversation == second.conversation not in (TALK, OTHER)
    assert (list(first.members), list(second.members)) == (["carla"], [])
    assert [one.content.text for one in unit.sent] == ["one", "two"]


@pytest.mark.parametrize(
    ("words", "action", "inputs"),
    [
        ("1 3", "order", {"amount": "3"}),
        ("[2]", "later", {}),
        ("not NOW", "later", {}),
    ],
)
def test_a_number_or_a_title_presses_the_card_that_was_shown_last(
    cli: CommandLine, unit: FakeUnit, words: str, action: str, inputs: dict[str, str]
) -> None:
    unit.messages += [message(2, "a card", CARD), message(3, "1", sender="alice")]
    ran = cli("chat", "ben", "--as", "alice", "--send", words, "-o", "json")
    assert (ran.document["did"], ran.document["state"]) == ("pressed", "waiting")
    (click,) = unit.clicks
    assert (click.message, click.action, click.revision) == (unit.messages[1].id, action, 1)
    assert dict(click.inputs) == inputs
    assert len(click.press) == 16
    assert not unit.sent


def test_other_words_are_words_and_what_is_unclear_does_nothing(
    cli: CommandLine, unit: FakeUnit
) -> None:
    unit.messages.append(message(2, "a card", CARD))
    ran = cli("chat", "ben", "--as", "alice", "-o", "json", stdin=b"which of them?\n9\n2\n")
    assert [one["did"] for one in ran.lines] == ["sent", "nothing", "pressed"]
    assert len(unit.sent) == len(unit.clicks) == 1


def test_a_ticket_that_is_over_is_renewed_and_the_message_is_the_same(
    cli: CommandLine, unit: FakeUnit
) -> None:
    unit.over = 1
    assert cli("chat", "ben", "--as", "alice", "--send", "hi").code == 0
    first, second = unit.sent
    assert first == second
    unit.over = 2
    assert cli("chat", "ben", "--as", "alice", "--send", "hi").code == 1


def until(terminal: int, wanted: bytes) -> bytes:
    """What the terminal shows, to where this pattern is found."""
    shown = b""
    while not re.search(wanted, shown, re.DOTALL):
        assert select.select([terminal], [], [], WAIT_S)[0], shown
        shown += os.read(terminal, 65_536)
    return shown


@pytest.mark.parametrize("end", [b"\x04", b"\x03"], ids=["ctrl-d", "ctrl-c"])
def test_at_a_terminal(unit: FakeUnit, service: Served, tmp_path: Path, end: bytes) -> None:
    unit.messages.append(message(2, "a card", CARD))
    unit.called["ben"] = "Ben"
    ours, theirs = pty.openpty()
    environ = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "xterm", "PYTHONUTF8": "1",
        "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"], "HOMEPORT_SERVER": service.address,
    }  # fmt: skip
    # As its controlling terminal: so Ctrl-C is a signal, which what runs tests may have ignored.
    command = [
        "env",
        "--default-signal=INT",
        "setsid",
        "--ctty",
        sys.executable,
        "-m",
        "console.cli.main",
    ]
    command += ["chat", "ben", "--as", "alice"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    ) as running:
        os.close(theirs)
        try:
            shown = until(ours, b"> ").decode()
            assert "Ben: hello" in shown
            assert "\u202e" not in shown
            assert re.search(r"\[1\] Order", shown)
            os.write(ours, b"half")
            until(ours, b"half")
            unit.tell(message(60, "and more\x1b[2J"))
            shown = until(ours, b"> half").decode()  # what was typed stands again, below
            assert "and more" in shown
            assert "\x1b[2J" not in shown
            os.write(ours, b" said\n")
            os.write(ours, b"2\n")
            until(ours, b"no answer yet.*> ")
            for _ in range(10):  # one between the prompt and the wait for keys is not noticed
                os.write(ours, end)
                with suppress(subprocess.TimeoutExpired):
                    running.wait(WAIT_S / 10)
                    break
            assert running.wait(WAIT_S) == 0
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGKILL)
            os.close(ours)
    assert [one.content.text for one in unit.sent] == ["half said"]
    assert [one.action for one in unit.clicks] == ["later"]
