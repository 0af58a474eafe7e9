"""Replies: what an outcome of an application becomes in the conversations it is part of.

An output that says `homeport.communicant.reply/1` is read whole or refused whole: a reply of
which a part is wrong sends nothing, and says what is wrong and where. Ids of messages come from
the instruction, so that an outcome that is read twice makes the same messages. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import jsonschema_rs

from control_plane.printable import quoted
from deployment_units.services.cards.card import MAX_DEPTH, MAX_FLAWS, Card, Flaw, FlawReason
from deployment_units.services.cards.card_text import read_value
from deployment_units.services.cards.pointers import below
from deployment_units.services.cards.profile import check

SCHEMA = "homeport.communicant.reply/1"
_PURPOSE = b"homeport reply message v1"
_CARD_DEPTH = 3  # of a card within a reply
_TIME_BYTES, _CHANCE_BYTES = 6, 10  # of a ULID


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an instruction to an application came to."""

    tenant: str
    application: str
    instruction: str  # its id
    time_ms: int  # Unix time, as the outcome says it: the same whenever it is read
    output: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConversation:
    """A conversation that the application is part of, as far as a reply names it."""

    messages: frozenset[str] = frozenset()  # ids of messages in it
    own: frozenset[str] = frozenset()  # those that the application sent and may replace


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to send."""

    id: bytes  # 16: a ULID of the outcome's time
    conversation: str
    text: str
    card: Card | None = None
    in_reply_to: str = ""  # empty: to none


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """A new revision of a message that was sent before."""

    id: bytes  # of the revision; 16, as above
    message: str  # which is replaced
    conversation: str
    text: str
    card: Card | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyNames:
    """What a reply speaks of, for whoever reads that from a store, all at one revision."""

    conversations: frozenset[str]
    messages: frozenset[str]


def is_reply(output: Any) -> bool:
    """Whether an output means to be a reply; any other is none of ours."""
    return isinstance(output, Mapping) and output.get("schema") == SCHEMA


def reply_flaws(output: Any) -> list[Flaw]:
    """What is wrong with a reply in itself; empty: nothing."""
    value = (
        read_value(output, most_depth=MAX_DEPTH + _CARD_DEPTH)
        if isinstance(output, Mapping)
        else output
    )
    if isinstance(value, Flaw):
        return [value]
    found = [
        Flaw(
            pointer=below("", *error.instance_path),
            reason=FlawReason.FORM,
            message=f"{error.message[:240]} ({SCHEMA})",
        )
        for error in _form().iter_errors(value)
    ]
    return found[:MAX_FLAWS]


def reply_names(output: Mapping[str, Any]) -> ReplyNames:
    """Of a reply that has no flaws in itself."""
    messages = output["messages"]
    return ReplyNames(
        conversations=frozenset(one["conversation"] for one in messages),
        messages=frozenset(
            one[name] for one in messages for name in ("in_reply_to", "replaces") if name in one
        ),
    )


def reply(
    outcome: Outcome, conversations: Mapping[str, OpenConversation]
) -> list[NewMessage | Replace] | list[Flaw]:
    """The messages of a reply, in its order, or every flaw that it has. conversations: by id,
    those of `reply_names` that the application is part of; one that is missing is refused."""
    if flaws := reply_flaws(outcome.output):
        return flaws
    found: list[NewMessage | Replace] = []
    replaced: set[str] = set()
    for number, one in enumerate(outcome.output["messages"]):
        where = below("/messages", number)
        flaws += _name_flaws(where, one, conversations.get(one["conversation"]), replaced)
        card = check(one["card"]) if "card" in one else None
        if isinstance(card, list):
            flaws += [
                Flaw(
                    pointer=f"{where}/card{each.pointer}",
                    reason=each.reason,
                    message=each.message,
                )
                for each in card
            ]
        elif not flaws:
            found.append(_message(outcome, number, one, card))
    return flaws[:MAX_FLAWS] or found


def _name_flaws(
    where: str, one: Mapping[str, Any], talk: OpenConversation | None, replaced: set[str]
) -> Iterator[Flaw]:
    if talk is None:
        name = quoted(one["conversation"])
        yield Flaw(
            pointer=below(where, "conversation"),
            reason=FlawReason.CONVERSATION,
            message=f"the application is in no conversation {name}; answer in the one that the "
            "message or the press came from",
        )
        return
    answered = one.get("in_reply_to")
    if answered is not None and answered not in talk.messages | talk.own:
        yield Flaw(
            pointer=below(where, "in_reply_to"),
            reason=FlawReason.CONVERSATION,
            message=f"there is no message {quoted(answered)} in that conversation",
        )
    old = one.get("replaces")
    if old is None:
        return
    why = "" if old in talk.own else "is no message of this application in that conversation"
    if old in replaced:
        why = "is replaced by this reply already; send one revision at a time"
    if why:
        yield Flaw(
            pointer=below(where, "replaces"),
            reason=FlawReason.REPLACES,
            message=f"{quoted(old)} {why}",
        )
    replaced.add(old)


def _message(
    outcome: Outcome, number: int, one: Mapping[str, Any], card: Card | None
) -> NewMessage | Replace:
    id_ = message_id(outcome, number)
    conversation, text = one["conversation"], one["text"]
    if "replaces" in one:
        return Replace(
            id=id_, message=one["replaces"], conversation=conversation, text=text, card=card
        )
    return NewMessage(
        id=id_,
        conversation=conversation,
        text=text,
        card=card,
        in_reply_to=one.get("in_reply_to", ""),
    )


def message_id(outcome: Outcome, number: int) -> bytes:
    """Of one message of a reply: the outcome's time, and 80 bits of SHA-256 over tenant,
    application, instruction and place."""
    names = (outcome.tenant, outcome.application, outcome.instruction, str(number))
    hashed = sha256(b"\0".join([_PURPOSE, *(one.encode() for one in names)])).digest()
    return outcome.time_ms.to_bytes(_TIME_BYTES, "big") + hashed[:_CHANCE_BYTES]


@cache
def _form() -> jsonschema_rs.Draft202012Validator:
    text = files("deployment_units.services.cards").joinpath("reply.schema.json").read_bytes()
    return jsonschema_rs.Draft202012Validator(json.loads(text), offline=True)
