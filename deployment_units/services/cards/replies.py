"""Replies: what an outcome of an application becomes in the conversations it is part of.

An output that says `homeport.communicant.reply/1` is read whole or refused whole: a reply of
which a part is wrong sends nothing, and says what is wrong and where. Ids of messages come from
the instruction, so that an outcome that is read twice makes the same messages. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import islice
from typing import Any

import jsonschema_rs

from control_plane.printable import quoted
from deployment_units.services.cards.card import (
    MAX_DEPTH,
    MAX_FLAWS,
    Card,
    CardFlaw,
    CardFlawReason,
)
from deployment_units.services.cards.card_text import read_value
from deployment_units.services.cards.part_forms import sentence
from deployment_units.services.cards.pointers import below
from deployment_units.services.cards.profile import check

SCHEMA = "homeport.communicant.reply/1"
_PURPOSE = b"homeport reply message v1"
_CARD_DEPTH = 3  # of a card within a reply
_TIME_BYTES, _CHANCE_BYTES = 6, 10  # of a ULID


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationOutcome:
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
class ReplyPart:
    """One message of a reply, as its application said it. Empty: it did not say."""

    conversation: str
    text: str
    card: Card | None = None
    in_reply_to: str = ""
    replaces: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply that is right in itself."""

    parts: tuple[ReplyPart, ...]

    @property
    def conversations(self) -> frozenset[str]:
        """The ids of those it names, for whoever reads them from a store, at one revision."""
        return frozenset(one.conversation for one in self.parts)

    @property
    def messages(self) -> frozenset[str]:
        """The ids of the messages that it names, likewise."""
        return frozenset(
            name for one in self.parts for name in (one.in_reply_to, one.replaces) if name
        )


def is_reply(output: Any) -> bool:
    """Whether an output means to be a reply; any other is none of ours."""
    return isinstance(output, Mapping) and output.get("schema") == SCHEMA


def read_reply(output: Any) -> Reply | list[CardFlaw]:
    """A reply from an output, or from its JSON text; or everything that is wrong with it in
    itself, its cards included."""
    value = output
    if isinstance(output, Mapping | str | bytes):
        value = read_value(output, most_depth=MAX_DEPTH + _CARD_DEPTH)
    if isinstance(value, CardFlaw):
        return [value]
    flaws = [
        CardFlaw(
            pointer=below("", *error.instance_path),
            reason=CardFlawReason.FORM,
            message=f"{sentence(error.message)} ({SCHEMA})",
        )
        for error in islice(_form().iter_errors(value), MAX_FLAWS)
    ]
    if flaws:
        return flaws
    parts = []
    for number, one in enumerate(value["messages"]):
        card = check(one["card"]) if "card" in one else None
        if isinstance(card, list):
            flaws += [
                replace(each, pointer=f"/messages/{number}/card{each.pointer}") for each in card
            ]
            continue
        parts.append(
            ReplyPart(
                conversation=one["conversation"],
                text=one["text"],
                card=card,
                in_reply_to=one.get("in_reply_to", ""),
                replaces=one.get("replaces", ""),
            )
        )
    return flaws[:MAX_FLAWS] or Reply(parts=tuple(parts))


def reply(
    outcome: ApplicationOutcome, conversations: Mapping[str, OpenConversation]
) -> list[NewMessage | Replace] | list[CardFlaw]:
    """The messages of a reply, in its order, or every flaw that it has. conversations: by id,
    those that the reply names and the application is part of; one that is missing is refused."""
    read = read_reply(outcome.output)
    return read if isinstance(read, list) else named(outcome, read, conversations)


def named(
    outcome: ApplicationOutcome, read: Reply, conversations: Mapping[str, OpenConversation]
) -> list[NewMessage | Replace] | list[CardFlaw]:
    """The second half of `reply`, which needs the conversations: for whoever reads the first one
    elsewhere."""
    flaws: list[CardFlaw] = []
    replaced: set[str] = set()
    for number, one in enumerate(read.parts):
        where = f"/messages/{number}"
        flaws += _name_flaws(where, one, conversations.get(one.conversation), replaced)
    return flaws or [_message(outcome, number, one) for number, one in enumerate(read.parts)]


def _name_flaws(
    where: str, one: ReplyPart, talk: OpenConversation | None, replaced: set[str]
) -> Iterator[CardFlaw]:
    if talk is None:
        yield CardFlaw(
            pointer=f"{where}/conversation",
            reason=CardFlawReason.CONVERSATION,
            message=f"the application is in no conversation {quoted(one.conversation)}; answer in "
            "the one that the message or the press came from",
        )
        return
    if one.in_reply_to and one.in_reply_to not in talk.messages | talk.own:
        yield CardFlaw(
            pointer=f"{where}/in_reply_to",
            reason=CardFlawReason.CONVERSATION,
            message=f"there is no message {quoted(one.in_reply_to)} in that conversation",
        )
    if not one.replaces:
        return
    why = ""
    if one.replaces not in talk.own:
        why = "is no message of this application in that conversation"
    elif one.replaces in replaced:
        why = "is replaced by this reply already; send one revision at a time"
    if why:
        yield CardFlaw(
            pointer=f"{where}/replaces",
            reason=CardFlawReason.REPLACES,
            message=f"{quoted(one.replaces)} {why}",
        )
    replaced.add(one.replaces)


def _message(outcome: ApplicationOutcome, number: int, one: ReplyPart) -> NewMessage | Replace:
    id_ = message_id(outcome, number)
    if one.replaces:
        return Replace(
            id=id_,
            message=one.replaces,
            conversation=one.conversation,
            text=one.text,
            card=one.card,
        )
    return NewMessage(
        id=id_,
        conversation=one.conversation,
        text=one.text,
        card=one.card,
        in_reply_to=one.in_reply_to,
    )


def message_id(outcome: ApplicationOutcome, number: int) -> bytes:
    """Of one message of a reply: the outcome's time, and 80 bits of SHA-256 over tenant,
    application, instruction and place."""
    names = (outcome.tenant, outcome.application, outcome.instruction, str(number))
    hashed = sha256(b"\0".join([_PURPOSE, *(one.encode() for one in names)])).digest()
    return outcome.time_ms.to_bytes(_TIME_BYTES, "big") + hashed[:_CHANCE_BYTES]


@cache
def _form() -> jsonschema_rs.Draft202012Validator:
    text = files("deployment_units.services.cards").joinpath("reply.schema.json").read_bytes()
    return jsonschema_rs.Draft202012Validator(json.loads(text), offline=True)
