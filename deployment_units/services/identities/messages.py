"""Suggestions and plans as messages of homeport.api.communication.v1."""

from __future__ import annotations

from collections.abc import Iterable

from deployment_units.services.identities.identity import (
    Addresses,
    Choice,
    IdentityReason,
    IdentityWarning,
    Suggestion,
)
from homeport.api.communication.v1 import identity_pb2 as pb
from homeport.api.communication.v1 import profile_pb2


def suggestion_to_proto(suggestion: Suggestion) -> pb.SuggestResponse:
    return pb.SuggestResponse(
        contactor=_choice(suggestion.contactor),
        contactees=[
            pb.ContacteeChoice(member=member, choice=_choice(choice))
            for member, choice in suggestion.contactees.items()
        ],
        warnings=warnings_to_proto(suggestion.warnings),
    )


def reply_to_proto(
    planned: Addresses, to: Iterable[tuple[str, str]], conversation: bytes
) -> pb.PlanReplyResponse:
    """to: members with their identifiers; conversation: empty: a new one."""
    return pb.PlanReplyResponse(
        contactor=_choice(planned.contactor),
        to=[pb.ReplyRecipient(member=member, identifier=at) for member, at in to],
        why=_reasons(planned.why),
        warnings=warnings_to_proto(planned.warnings),
        conversation=conversation,
    )


def _choice(choice: Choice) -> pb.IdentityChoice:
    return pb.IdentityChoice(
        identifier=choice.uri,
        ranked=[
            pb.RankedIdentifier(identifier=one.uri, why=_reasons(one.why)) for one in choice.ranked
        ],
        why=_reasons(choice.why),
        chosen=choice.chosen,
    )


def _reasons(why: Iterable[IdentityReason]) -> list[profile_pb2.Reason]:
    return [profile_pb2.Reason(rule=one.rule, clause=one.clause, value=one.value) for one in why]


def warnings_to_proto(several: Iterable[IdentityWarning]) -> list[pb.IdentityWarning]:
    return [pb.IdentityWarning(rule=one.rule, about=one.about, text=one.text) for one in several]
