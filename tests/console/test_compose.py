"""`homeport compose`: what is suggested and why, what was chosen stays, what is sent, and a
terminal that asks step by step."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from deployment_units.services.identities.choosing import suggest
from deployment_units.services.identities.identity import (
    Chosen,
    Contactee,
    ContacteeIdentifier,
    History,
    OwnIdentity,
    PairUse,
)
from deployment_units.services.identities.messages import suggestion_to_proto
from homeport.api.communication.v1 import (
    conversation_pb2,
    conversation_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    profile_pb2,
)
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

WORK, PRIVATE = "mailto:anna@northwind.example", "mailto:anna@mail.example"
BEN_WORK, BEN_HOME = "mailto:ben@contoso.example", "mailto:ben@mail.example"
USE = PairUse(rank_ms=1, last_ms=1)
HISTORY = History(pairs={BEN_WORK: {WORK: USE}, BEN_HOME: {PRIVATE: USE}})
NAMES = {
    "@ben": ("ben", "@ben"),
    "ben@contoso.example": ("ben", "ben@contoso.example"),
    "ben@mail.example": ("ben", "ben@mail.example"),
    "carla@mail.example": ("mailto:carla@mail.example", "carla@mail.example"),
}
WAIT_S = 60.0


class FakeUnit(
    conversation_pb2_grpc.ConversationServiceServicer, identity_pb2_grpc.IdentityServiceServicer
):
    """Alice's, who has two addresses."""

    def __init__(self) -> None:
        self.sent: list[conversation_pb2.SendMessageRequest] = []

    def FindMember(self, request, context):
        if request.name not in NAMES:
            context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
        member, shown = NAMES[request.name]
        return conversation_pb2.FindMemberResponse(
            member=member, shown=shown, unreached=member.startswith("mailto:")
        )

    def Suggest(self, request, context):
        if request.chosen_from not in ("", WORK, PRIVATE):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not yours")
        to = [
            Contactee(
                member=one.member,
                identifiers=tuple(
                    ContacteeIdentifier(uri=uri, organisation=uri.partition("@")[2])
                    for uri in one.identifiers or [one.member]
                ),
            )
            for one in request.contactees
        ]
        chosen = Chosen(contactor=request.chosen_from, contactees=dict(request.chosen_to))
        own = [OwnIdentity(uri=WORK), OwnIdentity(uri=PRIVATE)]
        return suggestion_to_proto(suggest(own, to, HISTORY, chosen=chosen, now_ms=1))

    def PlanReply(self, request, context):
        return identity_pb2.PlanReplyResponse(
            contactor=identity_pb2.IdentityChoice(
                identifier=request.chosen_from or PRIVATE,
                chosen=bool(request.chosen_from),
                why=[profile_pb2.Reason(rule="received at", clause="to this one")],
            ),
            why=[profile_pb2.Reason(rule="reply", clause="to who wrote it")],
            to=[identity_pb2.ReplyRecipient(member="ben", identifier=BEN_HOME)],
            conversation=bytes(16) if request.mode == identity_pb2.REPLY_MODE_REPLY else b"",
            warnings=[identity_pb2.IdentityWarning(rule="blind copy", about="x", text="it shows")],
        )

    def SendMessage(self, request, context):
        self.sent.append(request)
        kept = conversation_pb2.Message(
            id=request.id, conversation=request.conversation, sender="alice",
            content=conversation_pb2.Content(
                text=request.content.text, from_identifier=request.from_identifier,
                to_identifiers=request.to_identifiers,
            ),
        )  # fmt: skip
        return conversation_pb2.SendMessageResponse(message=kept, kept_for=["ben"])


@pytest.fixture
def unit(cli: CommandLine, service: Served) -> Iterator[FakeUnit]:
    one = FakeUnit()
    server = grpc.server(ThreadPoolExecutor(4))
    conversation_pb2_grpc.add_ConversationServiceServicer_to_server(one, server)
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(one, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert service.provisioning is not None
    service.provisioning.unit_endpoint = f"127.0.0.1:{port}"
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    try:
        yield one
    finally:
        server.stop(None).wait(10)


BOTH = ("--to", "ben@contoso.example", "--to", "ben@mail.example")


def test_what_is_suggested_is_sent(cli: CommandLine, unit: FakeUnit) -> None:
    ran = cli("compose", "hi", "--as", "alice", *BOTH, "-o", "json")
    assert ran.code == 0
    assert ran.document["from"]["identifier"] == WORK
    assert [one["identifier"] for one in ran.document["to"]] == [BEN_WORK]
    assert (ran.document["sent"]["from"], ran.document["sent"]["to"]) == (WORK, {"ben": BEN_WORK})
    (sent,) = unit.sent
    assert (sent.from_identifier, dict(sent.to_identifiers)) == (WORK, {"ben": BEN_WORK})
    assert (list(sent.members), sent.content.text) == (["ben"], "hi")


def test_what_is_chosen_stays_and_ranks_the_other_side(cli: CommandLine, unit: FakeUnit) -> None:
    ran = cli("compose", "hi", "--as", "alice", *BOTH, "--from", "anna@mail.example", "-o", "json")
    assert (ran.document["from"]["chosen"], unit.sent[0].from_identifier) == (True, PRIVATE)
    assert dict(unit.sent[0].to_identifiers) == {"ben": BEN_HOME}

    ran = cli("compose", "hi", "--as", "alice", "--at", "ben@mail.example", "-o", "json")
    assert ran.document["to"][0]["chosen"]
    assert unit.sent[1].from_identifier == PRIVATE

    cli(
        "compose", "hi", "--as", "alice", "--from", PRIVATE, "--at", "ben@contoso.example"
    )  # fmt: skip
    assert unit.sent[2].from_identifier == PRIVATE
    assert dict(unit.sent[2].to_identifiers) == {"ben": BEN_WORK}


def test_a_dry_run_shows_reasons_and_warnings_and_sends_nothing(
    cli: CommandLine, unit: FakeUnit
) -> None:
    ask = ("compose", "--as", "alice", "--from", PRIVATE, "--at", "ben@contoso.example")
    ran = cli(*ask, "--dry-run", "-o", "json")
    assert (ran.code, ran.document["sent"], unit.sent) == (0, None, [])
    assert [one["rule"] for one in ran.document["warnings"]] == ["unknown identity"]
    assert all(one["why"] for one in ran.document["from"]["ranked"])
    shown = cli(*ask, "--dry-run").out
    assert "has seen mailto:anna@mail.example" in " ".join(shown.split())


def test_a_reply_goes_where_it_is_planned_to(cli: CommandLine, unit: FakeUnit) -> None:
    ran = cli("compose", "hi", "--as", "alice", "--reply", "0" * 32, "-o", "json")
    assert ran.code == 0
    assert "it shows" in ran.err
    sent = unit.sent[0]
    assert (sent.from_identifier, dict(sent.to_identifiers)) == (PRIVATE, {"ben": BEN_HOME})
    assert (sent.conversation, list(sent.members)) == (bytes(16), [])
    assert sent.content.in_reply_to == bytes(16)
    assert cli("compose", "hi", "--as", "alice", "--reply", "0" * 32, "--all").code == 0
    assert list(unit.sent[1].members) == ["ben"]


def test_of_a_reply_the_plan_says_why_and_what_was_chosen(cli: CommandLine, unit: FakeUnit) -> None:
    ask = ("compose", "--as", "alice", "--reply", "0" * 32, "--dry-run")
    document = cli(*ask, "-o", "json").document
    sides = [document["from"], *document["to"]]
    assert [one["chosen"] for one in sides] == [False, False]
    assert [[why["rule"] for why in one["why"]] for one in sides] == [["received at"], ["reply"]]
    assert "chosen" not in cli(*ask).out
    chosen = cli(*ask, "--from", PRIVATE, "-o", "json").document
    assert [chosen["from"]["chosen"], chosen["to"][0]["chosen"]] == [True, False]


def test_what_cannot_be_sent_says_why(cli: CommandLine, unit: FakeUnit) -> None:
    assert cli("compose", "hi", "--as", "alice").code == 2
    assert cli("compose", "hi", "--as", "alice", "--to", "@ben", "--reply", "0" * 32).code == 2
    assert cli("compose", "hi", "--as", "alice", "--to", "@ben", "--all").code == 2
    assert cli("compose", "hi", "--as", "alice", "--to", "@zoe").code == 3
    assert cli("compose", "hi", "--as", "alice", "--to", "@ben", "--from", "@eve").code == 4
    assert cli("compose", "--as", "alice", "--to", "@ben", stdin=b" \n").code == 2
    assert unit.sent == []
    assert cli("compose", "--as", "alice", "--to", "@ben", stdin=b"one\ntwo\n").code == 0
    assert unit.sent[0].content.text == "one\ntwo"


def test_somebody_without_an_account_is_written_to_as_it_is(
    cli: CommandLine, unit: FakeUnit
) -> None:
    ran = cli("compose", "hi", "--as", "alice", "--to", "carla@mail.example")
    assert ran.code == 0
    assert "messages do not arrive, for its unit sends no mail" in ran.err
    sent = unit.sent[0]
    assert list(sent.members) == ["mailto:carla@mail.example"]
    assert dict(sent.to_identifiers) == {}


def test_at_a_terminal_it_asks_step_by_step(
    unit: FakeUnit, service: Served, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    environ = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb", "PYTHONUTF8": "1",
        "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"], "HOMEPORT_SERVER": service.address,
    }  # fmt: skip
    command = [sys.executable, "-m", "console.cli.main", "compose", "--as", "alice", *BOTH]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    ) as running:
        os.close(theirs)
        try:
            for prompt, answer in (("From", "2"), ("To ben", "1"), ("Message", "hello there")):
                _until(ours, f"{prompt}( \\[1\\])?: $")
                os.write(ours, f"{answer}\n".encode())
            with suppress(OSError):  # it has ended
                while select.select([ours], [], [], WAIT_S)[0] and os.read(ours, 65_536):
                    pass
            assert running.wait(WAIT_S) == 0
        finally:
            running.kill()
            os.close(ours)
    (sent,) = unit.sent
    assert (sent.from_identifier, sent.content.text) == (PRIVATE, "hello there")
    assert dict(sent.to_identifiers) == {"ben": BEN_HOME}


def _until(terminal: int, wanted: str) -> None:
    shown = ""
    while not re.search(wanted, shown):
        assert select.select([terminal], [], [], WAIT_S)[0], shown
        shown += os.read(terminal, 65_536).decode()
