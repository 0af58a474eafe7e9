"""HandingOver: brings what an account sent to the units of other accounts.

In the order of its messages, one at a time to each recipient. A unit that is away, or an account
that is moving, is asked again after pauses that double; what has a message already says so, and
thus nothing that may have arrived is lost or doubled by being sent again. The pauses end with the
message's time to live, of a week where it says none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

import msgspec

from control_plane import faultpoints
from control_plane.backoff import Backoff
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import resident_of
from deployment_units.services.channels.channel import Channel
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import places
from deployment_units.services.conversations.handling import decoded
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.kept import DeliveryRow
from deployment_units.services.gateway.measures import TO_UNIT, OutboxMeasures
from deployment_units.services.gateway.peers import PeerOutcome, PeerResult, Peers
from deployment_units.services.gateway.records import decoded_record, encoded_record
from deployment_units.services.gateway.states import (
    AttemptEvidence,
    AttemptState,
    DeliveryEnd,
    DeliveryRecord,
    EndEvidence,
    Evidence,
    advance,
)
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner

PAUSE = Backoff(first_s=1.0, most_s=300.0, jittered=0.5)
LIVES_MS = 7 * 86_400_000  # of a message that does not say
_FIRST = 1  # the one attempt: however often it is repeated, it arrives once


class HandingOver:
    """A Carrier. wall_ms: Unix ms; jitter: 0 to 1, new at each call; measures: what is told of
    it."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        peers: Peers,
        *,
        wall_ms: Callable[[], int],
        jitter: Callable[[], float],
        measures: OutboxMeasures | None = None,
    ) -> None:
        self._measures = measures or OutboxMeasures()
        self._database = database
        self._accounts = accounts
        self._peers = peers
        self._wall_ms = wall_ms
        self._jitter = jitter

    async def carry_out(self, owner: Owner, recipient: str, rows: list[DeliveryRow]) -> None:
        """See Carrier."""
        line = self._database.read(
            lambda db: kept.line(db, owner.number, recipient, most=len(rows))
        )
        for row in line:
            if row.due_ms is not None and row.due_ms > self._wall_ms():
                # Its turn is later; what was sent after it does not overtake it.
                held = partial(
                    kept.hold_line, owner=owner.number, recipient=recipient, until_ms=row.due_ms
                )
                await self._accounts.settle(owner, held)
                return
            if not await self._hand_over(owner, row):
                return

    async def _hand_over(self, owner: Owner, row: DeliveryRow) -> bool:
        """Whether it is over, one way or the other."""
        message, members = self._database.read(partial(_message, owner=owner.number, row=row))
        if message is None:  # its account removed it
            await self._accounts.settle(
                owner, lambda db: kept.remove(db, owner.number, row.position)
            )
            return True
        now_ms = self._wall_ms()
        lives_ms = decoded(message.handling).expires_ms or message.kept_ms + LIVES_MS
        if now_ms >= lives_ms:
            ended = EndEvidence(end=DeliveryEnd.EXPIRED, at_ms=now_ms, words=row.words)
            return await self._ended(owner, row, ended)
        faultpoints.passing("outbox.sent.before")
        result = await self._peers.deliver(resident_of(owner), row.recipient, message, members)
        faultpoints.passing("outbox.sent.after")
        self._measures.attempted(TO_UNIT, result.outcome)
        now_ms = self._wall_ms()
        if result.outcome is PeerOutcome.NOT_NOW:
            await self._again(
                owner, row, result, min(lives_ms, now_ms + self._pause_ms(row, result))
            )
            return False
        if result.outcome is PeerOutcome.TAKEN:
            taken = AttemptEvidence(
                number=_FIRST,
                channel=Channel.IN_APP,
                state=AttemptState.HANDED_OVER,
                at_ms=now_ms,
                words=result.words,
            )
            return await self._ended(owner, row, taken)
        refused = EndEvidence(end=DeliveryEnd.UNDELIVERABLE, at_ms=now_ms, words=result.words)
        return await self._ended(owner, row, refused)

    def _pause_ms(self, row: DeliveryRow, result: PeerResult) -> int:
        pause_s = max(PAUSE.pause_s(row.tries, self._jitter()), result.retry_after_s)
        return round(min(pause_s, PAUSE.most_s) * 1_000)

    async def _again(self, owner: Owner, row: DeliveryRow, result: PeerResult, due_ms: int) -> None:
        def note(db: sqlite3.Connection) -> None:
            found = kept.find(db, owner.number, row.position, row.recipient)
            if found is not None and found.due_ms is not None:
                changed = msgspec.structs.replace(
                    found, due_ms=due_ms, tries=found.tries + 1, words=result.words
                )
                kept.put(db, owner.number, changed)
                kept.hold_line(db, owner.number, row.recipient, due_ms)

        await self._accounts.settle(owner, note)

    async def _ended(self, owner: Owner, row: DeliveryRow, evidence: Evidence) -> bool:
        """Notes it: True, always."""

        def note(db: sqlite3.Connection) -> DeliveryRecord | None:
            found = kept.find(db, owner.number, row.position, row.recipient)
            if found is None:
                return None
            record = advance(decoded_record(found.record), evidence)
            changed = msgspec.structs.replace(
                found, due_ms=None, words="", record=encoded_record(record)
            )
            kept.put(db, owner.number, changed)
            return record

        record = await self._accounts.settle(owner, note)
        if record is not None:
            self._measures.over(record)
        return True


def _message(
    db: sqlite3.Connection, *, owner: int, row: DeliveryRow
) -> tuple[KeptMessage | None, tuple[str, ...]]:
    """The message, with the id that others know its conversation by, and the members of that but
    the account."""
    message = conversations.at(db, owner, row.position)
    if message is None:
        return None, ()
    members = conversations.members_of(db, owner, message.conversation) or ()
    known = places.known_as(db, owner, message.conversation)
    return message._replace(conversation=known), members
