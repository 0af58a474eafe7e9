"""What stands above a mail: who it is from, what it is about and what it follows, as its reader may
know it.

The subject is that of the conversation, the same in all its mails, so that mailboxes show them as
one: of the mail with which it began, or the first line of its first message. Of a message that was
bound to one channel, or is a code or a secret, nothing is said in others. Functions of a
connection, inside the transaction that notes the attempt.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from hashlib import sha256

from deployment_units.services.conversations.handling import NEVER_ELSEWHERE, decoded
from deployment_units.services.conversations.members import is_uri
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.conversations.thread import Earlier, beginning, newest_before
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles import kept_names
from deployment_units.services.profiles.names import PROVED
from deployment_units.services.state import owners
from deployment_units.services.state.owners import Owner
from homeport.api.communication.v1 import conversation_pb2 as pb

MOST_SUBJECT = 78  # characters
MOST_FOLLOWED = 8  # messages that a mail says it follows, besides the first
_ANSWER = re.compile(r"\A(?:(?:re|aw|antw|sv|fwd?|wg)\s*(?:\[\d+\]\s*)?:\s*)+", re.IGNORECASE)


def message_id_of(message: bytes, bringer: str, recipient: str) -> str:
    """Of a message for a recipient, the same at every attempt: [a-z0-9-]. message: its id; bringer:
    whose it is, as two accounts may give their messages the same."""
    whose = sha256(f"{bringer}\0{recipient}".encode()).hexdigest()
    return f"{message.hex()}-{whose[:16]}"


def name_of_sender(db: sqlite3.Connection, owner: Owner, message: KeptMessage) -> str:
    """What its sender is called: the identifier as which it was written, and then nothing else of
    theirs; else the name of its profile, which everybody sees, or its handle; of somebody without
    an account, the address. Of an account that lives elsewhere its id is known here, as it is to
    all members."""
    if is_uri(message.sender):
        address = message.sender.partition(":")[2]
        content = pb.Content.FromString(message.content)
        unverified = content.HasField("by_mail") and not content.by_mail.verified
        return f"{address} (unverified)" if unverified else address
    if identifier := pb.Content.FromString(message.content).from_identifier:
        return identifier if identifier.startswith("@") else identifier.partition(":")[2]
    found = owners.find(db, owner.tenant, message.sender)
    return message.sender if found is None else name_of_account(db, found)


def name_of_account(db: sqlite3.Connection, owner: Owner) -> str:
    """What an account that lives here is called: by its name, else its handle, else its id."""
    if name := profiles.name_of(db, owner.number):
        return name
    for handle, known in kept_names.handles(db, owner.number).items():
        if known.state in PROVED:
            return f"@{handle}"
    return owner.account


def subject_of(db: sqlite3.Connection, owner: Owner, message: KeptMessage, sender: str) -> str:
    """sender: what the one of this message is called."""
    if _is_bound(message.handling):
        return _first_line(pb.Content.FromString(message.content).text) or f"From {sender}"
    for one in beginning(db, owner.number, message):
        if _is_bound(one.handling):
            continue
        content = pb.Content.FromString(one.content)
        about = _ANSWER.sub("", content.by_mail.subject.strip()).strip()
        about = _first_line(about or content.text)
        if not about:
            continue
        return about if one.id == message.id else f"Re: {about}"
    return f"From {sender}"


def followed(
    db: sqlite3.Connection, owner: Owner, message: KeptMessage, reader: str
) -> tuple[str, ...]:
    """Mails that the reader has, or wrote, of the conversation: as OutgoingMessage.answers_to. The
    one that is answered comes last. reader: the account or the URI whose mail it is."""
    content = pb.Content.FromString(message.content)
    newest = newest_before(db, owner.number, message, MOST_FOLLOWED)
    first = beginning(db, owner.number, message)[:1]
    named = [one for one in first if one.id not in (message.id, *(each.id for each in newest))]
    found = dict(_known([*named, *newest], reader))
    if answered := found.pop(content.in_reply_to, ""):
        return (*found.values(), answered)
    return tuple(found.values())


def _known(messages: Iterable[Earlier], reader: str) -> Iterable[tuple[bytes, str]]:
    for one in messages:
        if one.sender != reader:
            yield one.id, message_id_of(one.id, one.via or one.sender, reader)
        elif "@" in (id_ := pb.Content.FromString(one.content).by_mail.message_id):
            yield one.id, id_


def _is_bound(handling: str) -> bool:
    known = decoded(handling)
    return bool(known.channel) or known.message_class in NEVER_ELSEWHERE


def _first_line(text: str) -> str:
    """Cut behind a word where it is too long."""
    line = next((" ".join(one.split()) for one in text.splitlines() if one.strip()), "")
    if len(line) <= MOST_SUBJECT:
        return line
    words = line[:MOST_SUBJECT].rpartition(" ")[0]
    return f"{words if len(words) > MOST_SUBJECT // 2 else line[: MOST_SUBJECT - 1]}…"
