"""InviteMessages: the message in which an invitation is brought to an account, and its revisions.

Its unit writes it, in the name of who invites, into the account's own copy: the inviter's has none,
and so cannot tell whom it reached. Its card is pressed in that unit as well. Where the account is
not reached by the inviter in-app, there is no message.
"""

from __future__ import annotations

import sqlite3

import msgspec

from control_plane.errors import InvalidInput, PermissionDenied
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.conversations.handling import Handling, MessageClass, encoded
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.conversations.sending import MessageDoors
from deployment_units.services.invites.invite import InviteRow, message_of, talk_of
from deployment_units.services.invites.wording import invitation_card, invitation_text, whys_in
from homeport.api.communication.v1 import conversation_pb2 as pb


class InviteMessages:
    """Of one unit. doors: where messages go in; checks: reads cards."""

    def __init__(self, doors: MessageDoors, checks: CardChecks) -> None:
        self._doors = doors
        self._checks = checks

    async def content(self, resident: Resident, row: InviteRow) -> bytes:
        """What is said of it as it is; beforehand, for cards are checked apart. An inviter that has
        no account brings none."""
        why = whys_in(row.why)
        text, card = invitation_text(row, why), invitation_card(row, why)
        try:
            whose = Bringer(resident.tenant, resident.account)
            card = await self._checks.checked(whose, card, "card")
        except InvalidInput:  # names that no card shows: the text says it all
            card = ""
        answers = row.press if row.message else b""
        made: bytes = pb.Content(text=text, card=card, answers=answers).SerializeToString(
            deterministic=True
        )
        return made

    def say(
        self, db: sqlite3.Connection, owner: int, resident: Resident, row: InviteRow, content: bytes
    ) -> InviteRow:
        """Keeps the message, or its next revision; the row as it is then. Raises PermissionDenied
        where the first one is not let in."""
        first = not row.message
        if first and not row.other:
            return row
        said = row.said if first else row.said + 1
        handling = Handling(message_class=MessageClass.NOTICE, expires_ms=row.expires_ms)
        message = NewMessage(
            id=message_of(row.id, said),
            conversation=talk_of(row.id),
            sender=row.other,
            content=content,
            replaces=b"" if first else row.message,
            answers=row.press if not first else b"",
            handling=encoded(handling),
        )
        try:
            self._doors.receive(db, owner, resident, message, (resident.account, row.other))
        except PermissionDenied:
            if first:
                raise
            return row  # it is not open to them any more
        return msgspec.structs.replace(row, message=row.message or message.id, said=said, press=b"")
