"""`homeport invites`: what is asked of the client's unit, with its ticket, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from homeport.api.communication.v1 import invite_pb2, invite_pb2_grpc
from homeport.api.directory.v1 import invitation_pb2, invitation_pb2_grpc
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

ID = "0123456789abcdef" * 2
GROUP = ("--organisation", "contoso", "--group", "launch")


class FakeUnit(invite_pb2_grpc.InviteServiceServicer):
    """Alice's. asked: requests, in their order; tickets: that came with them."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.tickets: set[str] = set()
        self.address = ""

    def _heard(self, request, context, **more):
        self.asked.append(request)
        self.tickets.add(dict(context.invocation_metadata())["authorization"])
        return invite_pb2.Invite(
            invitation=ID, state=invite_pb2.INVITE_STATE_OPEN, organisation="contoso",
            group="launch", identifier="mailto:ben@contoso.example", **more,
        )  # fmt: skip

    def CreateInvite(self, request, context):
        return self._heard(request, context, sent=True)

    def AcceptInvite(self, request, context):
        if request.invitation == "another-invitation":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "GUESTS_FORBIDDEN")
        return self._heard(request, context, account="anna")

    def DeclineInvite(self, request, context):
        return self._heard(request, context, account="anna")

    def WithdrawInvite(self, request, context):
        return self._heard(request, context, sent=True)

    def ListInvites(self, request, context):
        one = self._heard(request, context, sent=True)
        token = "" if request.page_token else "1"
        return invite_pb2.ListInvitesResponse(invites=[one], next_page_token=token)

    def GetGroupConversation(self, request, context):
        self._heard(request, context)
        return invite_pb2.GetGroupConversationResponse(conversation=bytes(16), members=["ben"])


class FakeRoutes(invitation_pb2_grpc.InvitationServiceServicer):
    def RouteInvitation(self, request, context):
        return invitation_pb2.Route(outcome=invitation_pb2.ROUTE_OUTCOME_REFUSED)


@pytest.fixture
def unit(cli: CommandLine, service: Served) -> Iterator[FakeUnit]:
    """Serves routes as well."""
    one, server = FakeUnit(), grpc.server(ThreadPoolExecutor(2))
    invite_pb2_grpc.add_InviteServiceServicer_to_server(one, server)
    invitation_pb2_grpc.add_InvitationServiceServicer_to_server(FakeRoutes(), server)
    one.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    assert service.provisioning is not None
    service.provisioning.unit_endpoint = one.address
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    try:
        yield one
    finally:
        server.stop(None).wait(10)


def test_invitations_are_sent_answered_and_taken_back_by_the_client(
    cli: CommandLine, unit: FakeUnit
) -> None:
    sent = cli("invites", "send", "alice", "ben@contoso.example", *GROUP, "--for", "2d",
               "--id", ID, "-o", "json")  # fmt: skip
    assert sent.code == 0
    assert json.loads(sent.out)["state"] == "open"
    asked = unit.asked[-1]
    assert isinstance(asked, invite_pb2.CreateInviteRequest)
    assert (asked.request_id.hex(), asked.ttl.seconds) == (ID, 2 * 86_400)
    for command, request in (
        ("accept", invite_pb2.AcceptInviteRequest),
        ("decline", invite_pb2.DeclineInviteRequest),
    ):
        assert cli("invites", command, "alice", ID, "--name", "ben@contoso.example").code == 0
        assert unit.asked[-1] == request(invitation=ID, identifier="ben@contoso.example")
    assert cli("invites", "withdraw", "alice", ID).code == 0
    listed = cli("invites", "list", "alice", "-o", "json")
    assert [one["invitation"] for one in json.loads(listed.out)["invites"]] == [ID, ID]
    assert "launch of contoso" in cli("invites", "list", "alice").out
    group = cli("invites", "conversation", "alice", *GROUP, "-o", "json")
    assert json.loads(group.out) == {"conversation": "00" * 16, "members": ["ben"]}
    assert len(unit.tickets) == 1


def test_what_is_refused_exits_as_refusals_do(cli: CommandLine, unit: FakeUnit) -> None:
    refused = cli("invites", "accept", "alice", "another-invitation")
    assert (refused.code, "GUESTS_FORBIDDEN" in refused.err) == (4, True)
    wrong = cli("invites", "send", "alice", "ben@contoso.example", *GROUP, "--for", "soon")
    assert (wrong.code, "no duration" in wrong.err) == (2, True)
    nowhere = cli("invites", "route", "@nobody", *GROUP, "--server", unit.address, "-o", "json")
    assert (nowhere.code, json.loads(nowhere.out)["outcome"]) == (4, "refused")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["contoso"], 4),
        (["--organisation", "contoso"], 4),
        (["contoso", "--organisation", "contoso"], 4),
        (["contoso", "--organisation", "fabrikam"], 2),
        ([], 2),
    ],
    ids=["as an argument", "as an option", "twice the same", "two", "none"],
)
def test_an_organisation_is_named_as_elsewhere_or_as_it_was(
    cli: CommandLine, unit: FakeUnit, words: list[str], code: int
) -> None:
    asked = ("--group", "launch", "--server", unit.address)
    assert cli("invites", "route", "@nobody", *words, *asked).code == code
