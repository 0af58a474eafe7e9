"""Calls for composing a message as one account: what is suggested, and what is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from console.cli.calls.conversations import ConversationCalls, FoundName
from homeport.api.communication.v1 import conversation_pb2, identity_pb2_grpc, profile_pb2
from homeport.api.communication.v1 import identity_pb2 as pb


class IdentityCalls(ConversationCalls):
    """See the module."""

    def suggest(self, request: pb.SuggestRequest) -> pb.SuggestResponse:
        found: pb.SuggestResponse = self._choose("Suggest", request)
        return found

    def plan_reply(self, request: pb.PlanReplyRequest) -> pb.PlanReplyResponse:
        found: pb.PlanReplyResponse = self._choose("PlanReply", request)
        return found

    def send_as(
        self, from_: str, to: Mapping[str, str], request: conversation_pb2.SendMessageRequest
    ) -> conversation_pb2.SendMessageResponse:
        """Sends the message from an own identifier, and to these identifiers of members."""
        request.from_identifier = from_
        request.to_identifiers.update({who: at for who, at in to.items() if at and at != who})
        sent: conversation_pb2.SendMessageResponse = self._talk("SendMessage", request)
        return sent

    def _choose(self, method: str, request: Any) -> Any:
        return self._call(identity_pb2_grpc.IdentityServiceStub, method, request)


def planned_by(found: pb.SuggestResponse, planned: pb.PlanReplyResponse) -> None:
    """Of a reply the plan says why, and what was chosen; what is asked about it afterwards says all
    of it was."""
    found.contactor.chosen = planned.contactor.chosen
    _because(found.contactor, planned.contactor.why)
    for one in found.contactees:
        one.choice.chosen = False
        _because(one.choice, planned.why)


def _because(choice: pb.IdentityChoice, why: Iterable[profile_pb2.Reason]) -> None:
    del choice.why[:]
    choice.why.extend(why)


def identifier_of(found: FoundName) -> str:
    """The identifier by which somebody was found; empty: the id of an account."""
    shown = found.shown
    if shown.startswith("@") or found.way:
        return shown if shown.startswith("@") else found.member
    if "@" in shown:
        return f"mailto:{shown}"
    return f"tel:{shown}" if shown.startswith("+") else ""


def contactees_of(found: Sequence[FoundName]) -> list[pb.Contactee]:
    """Each member once, with the identifiers by which it was found."""
    by_member: dict[str, list[str]] = {}
    for one in found:
        identifiers = by_member.setdefault(one.member, [])
        if (uri := identifier_of(one)) and uri not in identifiers:
            identifiers.append(uri)
    return [
        pb.Contactee(member=member, identifiers=identifiers)
        for member, identifiers in by_member.items()
    ]
