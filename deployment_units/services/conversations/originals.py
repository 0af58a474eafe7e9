"""Originals: a message of an account as whoever writes upon it needs it: from whom it was, at which
identifiers it came to whom. Functions of a connection.
"""

from __future__ import annotations

import sqlite3

from control_plane.errors import NotFound
from deployment_units.services.conversations import kept
from deployment_units.services.identities.identity import Mailbox, Original
from deployment_units.services.identities.service import OriginalMessage
from homeport.api.communication.v1 import conversation_pb2 as pb


def find_original(
    db: sqlite3.Connection, owner: int, account: str, message: bytes
) -> OriginalMessage:
    """An OriginalFinder. Everybody in a conversation has what is written there, but who was sent a
    blind copy of a mail; at which identifier others had it, the account knows of its own messages
    alone. Raises NotFound."""
    found = kept.shown(db, owner, message)
    if found is None:
        raise NotFound("the account has no such message")
    content = pb.Content.FromString(found.content)
    members = kept.members_of(db, owner, found.conversation) or ()
    at = {one: content.to_identifiers.get(one, one) for one in members}
    sender = content.from_identifier or found.sender
    if found.sender != account:
        at[found.sender] = sender
    mine = content.to_identifiers.get(account, "")
    others = tuple(Mailbox(uri=at[one]) for one in members if one != found.sender)
    # What a mail names besides are no members, and who had it blindly is seen by none of them.
    named = [f"mailto:{one}" for one in content.by_mail.addressees]
    others += tuple(Mailbox(uri=one) for one in named if one not in at.values())
    return OriginalMessage(
        conversation=found.conversation,
        original=Original(
            sender=Mailbox(uri=sender),
            to=((Mailbox(uri=mine),) if mine else ()) + others,
            sent=found.sender == account,
            open=not content.by_mail.blind_copy,
        ),
        members=members,
        member_of={uri: member for member, uri in at.items()},
    )
