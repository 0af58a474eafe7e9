"""Addressing: as which of its identifiers an account writes a message, and at which of theirs its
members are written to. It stands in the content, and travels with it.

An account writes as what it has proved alone, looked at in the transaction that keeps the message.
At which identifiers others are written to is told to each of them of itself, for who knows one of
somebody's identifiers may not show it to others. Functions of a connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from control_plane.errors import InvalidInput
from control_plane.identifiers.identifier import Flaw
from control_plane.identifiers.uris import read_uri
from control_plane.identity.names import check_client_id
from control_plane.printable import quoted
from deployment_units.services.conversations import kept
from deployment_units.services.conversations.members import MAX_URI_BYTES, is_uri
from deployment_units.services.conversations.message import (
    MAX_MEMBERS,
    UNADDRESSED,
    Addressing,
    NewMessage,
)
from deployment_units.services.identities import kept as identities
from homeport.api.communication.v1 import conversation_pb2 as pb


def read_identifier(text: str, field: str) -> str:
    """A handle with its '@', or a URI, in normal form. Raises InvalidInput naming `field`."""
    found = read_uri(text)
    if isinstance(found, Flaw):
        raise InvalidInput(field, f"{field}: {found}")
    if len(found.uri.encode()) > MAX_URI_BYTES:
        raise InvalidInput(
            field, f"{field} is longer than {MAX_URI_BYTES} bytes in its normal form"
        )
    return found.uri


def addressing_of(contactor: str, contactees: Mapping[str, str]) -> Addressing:
    """As a request says. Raises InvalidInput."""
    if not (contactor or contactees):
        return UNADDRESSED
    if len(contactees) > MAX_MEMBERS:
        raise InvalidInput(
            "to_identifiers", f"to_identifiers names {len(contactees)}; at most {MAX_MEMBERS}"
        )
    found = {}
    for member, text in sorted(contactees.items()):
        field = f"to_identifiers[{quoted(member)}]"
        identifier = _identifier_of(text, field)
        if is_uri(member) and identifier != member:
            raise InvalidInput(field, f"{field}: who has no account is written to at itself")
        if identifier != member:
            found[member] = identifier
    return Addressing(
        contactor=read_identifier(contactor, "from_identifier") if contactor else "",
        contactees=tuple(found.items()),
    )


def received_addressing(content: pb.Content, account: str) -> Addressing:
    """Of a message that another unit brings to the account: of its members, the account's own
    alone. Raises InvalidInput."""
    mine = content.to_identifiers.get(account, "")
    return addressing_of(content.from_identifier, {account: mine} if mine else {})


def judged(
    db: sqlite3.Connection,
    owner: int,
    message: NewMessage,
    members: Sequence[str],
    *,
    known: bool,
) -> NewMessage:
    """The message as it may be sent: a revision that says nothing is addressed as what it replaces
    was. members: of its conversation; known: it was sent before, and may be as it was then. Raises
    NotYourIdentifier, InvalidInput."""
    if message.replaces and not message.addressing:
        replaced = kept.find(db, owner, message.replaces, bringer=message.sender)
        if replaced is None:
            return message
        return addressed(message, addressing_in(replaced.content))
    if not message.addressing:
        return message
    for member, _ in message.addressing.contactees:
        if member not in members:
            raise InvalidInput(
                "to_identifiers", f"to_identifiers names {quoted(member)}, who is no member"
            )
    contactor = message.addressing.contactor
    if contactor and not known:
        identities.check_own(db, owner, contactor)
    return message


def addressed(message: NewMessage, addressing: Addressing) -> NewMessage:
    """The message, so addressed."""
    if addressing == message.addressing:
        return message
    content = pb.Content.FromString(message.content)
    write_addressing(content, addressing)
    encoded = content.SerializeToString(deterministic=True)
    return replace(message, content=encoded, addressing=addressing)


def for_member(message: NewMessage, member: str) -> NewMessage:
    """The message as one member's copy has it."""
    return addressed(message, message.addressing.of(member))


def content_for(content: bytes, member: str) -> pb.Content:
    """What a message says to one member. content: the sender's, encoded."""
    found = pb.Content.FromString(content)
    if found.to_identifiers:
        write_addressing(found, _addressing(found).of(member))
    return found


def addressing_in(content: bytes) -> Addressing:
    """content: as it is kept."""
    return _addressing(pb.Content.FromString(content))


def write_addressing(content: pb.Content, addressing: Addressing) -> None:
    """Writes it into the content, in place of what stands there."""
    content.from_identifier = addressing.contactor
    content.ClearField("to_identifiers")
    content.to_identifiers.update(addressing.contactees)


def note_sent(
    db: sqlite3.Connection, owner: int, message: NewMessage, members: Sequence[str], now_ms: int
) -> None:
    """A new message of the account's went to these members."""
    contactor, contactees = message.addressing
    if contactor and not message.replaces:
        at = dict(contactees)
        contacts = [(one, at.get(one, one)) for one in members]
        identities.note_use(db, owner, message.conversation, contactor, contacts, now_ms=now_ms)


def note_received(
    db: sqlite3.Connection, owner: int, account: str, message: NewMessage, now_ms: int
) -> None:
    """A new message came to the account. What it is said to be addressed to counts where it is the
    account's."""
    own = dict(message.addressing.contactees).get(account, "")
    if own and not message.replaces and identities.is_own(db, owner, own):
        contact = (message.sender, message.addressing.contactor or message.sender)
        identities.note_use(db, owner, message.conversation, own, [contact], now_ms=now_ms)


def _identifier_of(text: str, field: str) -> str:
    """An identifier, or the id of an account."""
    if text.startswith("@") or ":" in text:
        return read_identifier(text, field)
    return check_client_id(text, field)


def _addressing(content: pb.Content) -> Addressing:
    return Addressing(
        contactor=content.from_identifier,
        contactees=tuple(sorted(content.to_identifiers.items())),
    )
