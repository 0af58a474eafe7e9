"""Calls for the conversations of one account, at the unit where it is at home."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import grpc

from console.cli.calls.accounts import AccountCalls
from console.cli.calls.responses import responses
from console.cli.failure import CommandFailed, ExitCode
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc
from homeport.errors import HomeportError, NotFound, error_of
from homeport.status_details import failure_of

MOST_INT64 = 2**63 - 1
ACCOUNT = "account:"  # what follows is an id as it stands, and nobody is looked up


class FoundName(NamedTuple):
    """member: as conversations have it; shown: the name in normal form, for people; called: what it
    calls itself, empty where that is not known; unreached: nothing is sent there."""

    member: str
    shown: str
    called: str = ""
    unreached: bool = False

    @property
    def way(self) -> str:
        """How messages go to somebody without an account; empty: it is an account."""
        scheme = self.member.partition(":")[0]
        return {"mailto": "mail", "tel": "text"}.get(scheme, "")


def others_of(account: str, found: Sequence[FoundName]) -> list[FoundName]:
    """Whom an account writes to: those that were found without itself. Raises CommandFailed where
    it alone was."""
    others = [one for one in found if one.member != account]
    if found and not others:
        raise CommandFailed(
            f"{account} does not write to itself; name somebody else", ExitCode.USAGE
        )
    return others


class ConversationCalls(AccountCalls):
    """See the module."""

    def found(self, names: Sequence[str], known: Collection[str] = ()) -> list[FoundName]:
        """Whom the account finds by each name, in order. known: members that need not be looked
        up, as they are. Raises CommandFailed where nobody is found."""
        return [self._found(name, known) for name in names]

    def _found(self, name: str, known: Collection[str]) -> FoundName:
        if name in known or name.startswith(ACCOUNT):
            return FoundName(name.removeprefix(ACCOUNT), name.removeprefix(ACCOUNT))
        try:
            answer = self._talk("FindMember", pb.FindMemberRequest(name=name))
        except NotFound as error:
            raise CommandFailed(
                f"nobody is found as {name}; look at how it is written, or write to an @handle, an "
                "e-mail address or a number with its +",
                ExitCode.NOT_FOUND,
            ) from error
        return FoundName(answer.member, answer.shown, answer.name, answer.unreached)

    def called(self, member: str) -> str:
        """What an account calls itself, as this one sees it; empty: it does not say, or nobody can
        be asked now."""
        try:
            answer = self._talk("FindMember", pb.FindMemberRequest(name=member))
        except HomeportError:
            return ""
        return str(answer.name) if answer.member == member else ""

    def send(
        self, conversation: bytes, message: bytes, members: Sequence[str], text: str
    ) -> pb.SendMessageResponse:
        request = pb.SendMessageRequest(
            conversation=conversation, id=message, members=members, content=pb.Content(text=text)
        )
        sent: pb.SendMessageResponse = self._talk("SendMessage", request)
        return sent

    def conversations(self) -> list[pb.Conversation]:
        """All, those first that had a message last."""
        found: list[pb.Conversation] = []
        while True:
            before = found[-1].last if found else 0
            request = pb.ListConversationsRequest(page_size=1_000, before=before)
            page: pb.ListConversationsResponse = self._talk("ListConversations", request)
            found += page.conversations
            if not page.more:
                return found

    def messages(self, conversation: bytes, after: int = 0) -> Iterator[pb.Message]:
        """Those of one conversation behind a position, in order."""
        while True:
            request = pb.ListMessagesRequest(conversation=conversation, page_size=100, after=after)
            page: pb.ListMessagesResponse = self._talk("ListMessages", request)
            yield from page.messages
            if not page.more:
                return
            after = page.messages[-1].position

    def newest(self, conversation: bytes, after: int, most: int) -> Iterator[pb.Message]:
        """Those of one conversation behind a position, from the newest back, so many at most a
        page."""
        before = MOST_INT64
        while True:
            request = pb.ListMessagesRequest(
                conversation=conversation, page_size=most, after=after, before=before
            )
            page: pb.ListMessagesResponse = self._talk("ListMessages", request)
            yield from reversed(page.messages)
            if not page.more:
                return
            before = page.messages[0].position

    def message(self, message: bytes) -> pb.Message:
        """What is shown of it now."""
        answer: pb.GetMessageResponse = self._talk("GetMessage", pb.GetMessageRequest(id=message))
        return answer.message

    def follow(self, after: int) -> Iterator[pb.Message]:
        """Messages behind a position, and then each as it comes, until the unit ends it."""
        stub = conversation_pb2_grpc.ConversationServiceStub(self._channel)
        request = pb.SubscribeRequest(after=after)
        try:
            for response in responses(lambda: stub.Subscribe(request, metadata=self._metadata)):
                yield response.message
        except grpc.RpcError as error:
            raise error_of(failure_of(error), servers=self._servers, attempts=1) from error

    def click(self, request: pb.ClickRequest) -> pb.ClickResponse:
        """Presses a button of a card."""
        clicked: pb.ClickResponse = self._talk("Click", request)
        return clicked

    def remove(self, conversation: bytes) -> None:
        """All of it."""
        request = pb.RemoveConversationRequest(conversation=conversation)
        while self._talk("RemoveConversation", request).more:
            pass

    def _talk(self, method: str, request: Any) -> Any:
        return self._call(conversation_pb2_grpc.ConversationServiceStub, method, request)
