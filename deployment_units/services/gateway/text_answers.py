"""TextAnswers: texts that come in, as presses of the card that they answer, or as messages of the
conversation.

Each is one transaction, and the same text again changes nothing. Who texts too much is told to come
again: it fills nobody's account, and keeps no others from theirs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from hashlib import sha256

from control_plane.errors import Exhausted, NotFound, PermissionDenied
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.channels import text_kept
from deployment_units.services.channels.text_kept import TextPlace
from deployment_units.services.channels.text_link import TextOnLine
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.answering import AnswerInWords, AnswerPresses
from deployment_units.services.conversations.message import MAX_TEXT_BYTES, NewMessage
from deployment_units.services.conversations.sending import MessageDoors
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import conversation_pb2 as pb

TEXTS = Rate(per_s=0.5, burst=60.0)  # of one number to one of ours
MOST_NUMBERS = 50_000  # that are remembered
_ID_BYTES = 16


class TextAnswers:
    """Of one unit. doors: the way in of messages; presses: what presses a button. clock: monotonic
    seconds; rate: see TEXTS."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        doors: MessageDoors,
        presses: AnswerPresses,
        *,
        clock: Callable[[], float] = time.monotonic,
        rate: Rate = TEXTS,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._doors = doors
        self._presses = presses
        self._clock = clock
        self._texts = TokenBuckets(rate, most_keys=MOST_NUMBERS)

    async def take(self, text: TextOnLine) -> int:
        """What the line is told: 200 it is kept; 404 it answers nothing. Raises ServiceError where
        it cannot be kept now."""
        place = self._database.read(
            lambda db: text_kept.text_place(db, ours=text.to, theirs=text.sender)
        )
        said = "".join(text.texts).encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
        said = "".join(one for one in said if one in "\n\t" or one.isprintable())
        if place is None or not said.strip():
            return 404
        if wait_s := self._texts.take((text.sender, text.to), self._clock()):
            raise Exhausted("this number has texted too much; wait", retry_after_s=wait_s)

        answer = AnswerInWords(
            id=_id(text, place.conversation),
            conversation=place.conversation,
            participant=place.participant,
            text=said,
            sent_ms=place.sent_ms,
        )

        def keep(db: sqlite3.Connection, owner: int) -> None:
            self._keep(db, owner, place, text, said)

        try:
            if await self._presses.press(place.resident, answer):
                return 200
            await self._accounts.change(place.resident, keep)
        except (NotFound, PermissionDenied):
            return 404
        return 200

    def _keep(
        self, db: sqlite3.Connection, owner: int, place: TextPlace, text: TextOnLine, said: str
    ) -> None:
        account = place.resident.account
        members = conversations.members_of(db, owner, place.conversation)
        if members is None or place.participant not in (account, *members):
            raise NotFound("the conversation is over")
        message = NewMessage(
            id=_id(text, place.conversation),
            conversation=place.conversation,
            sender=place.participant,
            content=pb.Content(text=said).SerializeToString(deterministic=True),
            via="" if place.participant == account else account,
        )
        self._doors.send(db, owner, place.resident, message, members)


def _id(text: TextOnLine, conversation: bytes) -> bytes:
    digest = sha256(b"homeport text")
    for part in (text.id.encode(), text.sender.encode(), text.to.encode(), conversation):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()[:_ID_BYTES]
