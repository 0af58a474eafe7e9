"""Calls to InviteService of the unit where a client is at home, with its ticket for there."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from console.cli.calls.accounts import AccountCalls
from homeport.api.communication.v1 import invite_pb2 as pb
from homeport.api.communication.v1 import invite_pb2_grpc

DONE_S = 20.0  # the unit asks the directory within the call


class InviteCalls(AccountCalls):
    """The invitations of one account."""

    def send(
        self, organisation: str, group: str, name: str, request_id: bytes, lasts_s: float
    ) -> pb.Invite:
        request = pb.CreateInviteRequest(
            request_id=request_id,
            organisation=organisation,
            group=group,
            identifier=name,
            ttl=Duration(seconds=int(lasts_s)),
        )
        made: pb.Invite = self._invite("CreateInvite", request)
        return made

    def accept(self, invitation: str, name: str) -> pb.Invite:
        """name: the address that it went to; empty: it was brought to the account."""
        request = pb.AcceptInviteRequest(invitation=invitation, identifier=name)
        found: pb.Invite = self._invite("AcceptInvite", request)
        return found

    def decline(self, invitation: str, name: str) -> pb.Invite:
        request = pb.DeclineInviteRequest(invitation=invitation, identifier=name)
        found: pb.Invite = self._invite("DeclineInvite", request)
        return found

    def withdraw(self, invitation: str) -> pb.Invite:
        request = pb.WithdrawInviteRequest(invitation=invitation)
        found: pb.Invite = self._invite("WithdrawInvite", request)
        return found

    def all(self) -> list[pb.Invite]:
        """The newest first, page after page."""
        found: list[pb.Invite] = []
        token = ""
        while True:
            page = self._invite("ListInvites", pb.ListInvitesRequest(page_token=token))
            found += page.invites
            token = page.next_page_token
            if not token:
                return found

    def conversation(self, organisation: str, group: str) -> pb.GetGroupConversationResponse:
        request = pb.GetGroupConversationRequest(organisation=organisation, group=group)
        found: pb.GetGroupConversationResponse = self._invite("GetGroupConversation", request)
        return found

    def _invite(self, method: str, request: Message) -> Any:
        return self._call(invite_pb2_grpc.InviteServiceStub, method, request, DONE_S)
