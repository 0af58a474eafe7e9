"""Person: what somebody does at the unit where their account is at home, with their ticket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from console.cli.calls.conversations import ConversationCalls
from homeport.api.communication.v1 import conversation_pb2 as talk_pb
from homeport.api.communication.v1 import conversation_pb2_grpc, profile_pb2_grpc
from homeport.api.communication.v1 import profile_pb2 as profile_pb

CODE_S = 30.0  # a code is handed on within the call


class Person(ConversationCalls):
    """A context manager, like all calls. Raises what they raise, homeport.errors."""

    def claim(self, handle: str) -> str:
        """The handle in normal form."""
        request = profile_pb.ClaimHandleRequest(handle=handle)
        return str(self._profile("ClaimHandle", request).handle)

    def begin_proof(self, uri: str) -> str:
        """By which channel the code travels."""
        return str(self._profile("BeginProof", profile_pb.BeginProofRequest(uri=uri)).channel)

    def confirm(self, uri: str, code: str, *, findable: bool) -> None:
        """Proves it with the code."""
        request = profile_pb.ConfirmIdentifierRequest(uri=uri, code=code, findable=findable)
        self._profile("ConfirmIdentifier", request)

    def show_to(self, uri: str, audience: profile_pb.Audience) -> None:
        """Says who sees an identifier."""
        request = profile_pb.SetDisclosureRequest(uri=uri, audience=audience)
        self._profile("SetDisclosure", request)

    def send_to(
        self, members: list[str], text: str, *, conversation: bytes, message: bytes
    ) -> talk_pb.SendMessageResponse:
        """Says something; the same ids say it once."""
        request = talk_pb.SendMessageRequest(
            conversation=conversation,
            id=message,
            members=members,
            content=talk_pb.Content(text=text),
        )
        sent: talk_pb.SendMessageResponse = self._talk_to("SendMessage", request)
        return sent

    def press(
        self,
        message: bytes,
        action: str,
        *,
        press: bytes,
        revision: int = 0,
        inputs: Mapping[str, str] | None = None,
    ) -> talk_pb.ClickResponse:
        """Presses a button of a card; the same press is pressed once. revision: of the card that
        was seen; 0: the one that is shown now."""
        request = talk_pb.ClickRequest(
            message=message, action=action, revision=revision, press=press, inputs=inputs or {}
        )
        pressed: talk_pb.ClickResponse = self._talk_to("Click", request)
        return pressed

    def mark_seen(self, conversation: bytes, position: int) -> None:
        """Has shown all up to there."""
        request = talk_pb.MarkSeenRequest(
            conversation=conversation, device="demo", position=position
        )
        self._talk_to("MarkSeen", request)

    def _profile(self, method: str, request: Message) -> Any:
        deadline_s = CODE_S if method == "BeginProof" else None
        return self._call(profile_pb2_grpc.ProfileServiceStub, method, request, deadline_s)

    def _talk_to(self, method: str, request: Message) -> Any:
        return self._call(conversation_pb2_grpc.ConversationServiceStub, method, request)
