"""Receipts: what an account's clients had and showed of its messages, told to those who sent them.

A client that subscribes from a position has what is before it: that is delivered. What it marks as
seen is seen. What became of a message beyond its clients is told as well (see outcomes). Neither of
the first two is written beside each message: for each conversation and writer there is how
far they were told, and when more is due; so marking ten thousand messages costs what one does. They
are told by the message, a hundred at a time, and again where nobody knows whether that was heard.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from control_plane import faultpoints
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import resident_of
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import progress
from deployment_units.services.conversations.members import is_uri
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.handing_over import PAUSE
from deployment_units.services.gateway.kept import OutcomeRow, ReceiptRow
from deployment_units.services.gateway.outcomes import forget_outcome, told_of, waiting_outcomes
from deployment_units.services.gateway.peers import PeerOutcome, PeerResult, Peers
from deployment_units.services.gateway.states import DeliveryState
from deployment_units.services.gateway.told import MessageTold, ToldState, stronger
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner

AT_ONCE = 100  # messages in one call
ACKNOWLEDGED_AT_ONCE = 500  # messages that one subscription acknowledges; the next one goes on


class _Page(NamedTuple):
    """What is told at once, and how far it has come then; outcomes: those among it."""

    told: list[MessageTold]
    row: ReceiptRow
    outcomes: list[OutcomeRow]


def note_seen(
    db: sqlite3.Connection, owner: int, account: str, conversation: bytes, now_ms: int
) -> bool:
    """Somebody has shown the conversation further than before: its writers are to be told; whether
    there are any."""
    members = conversations.members_of(db, owner, conversation) or ()
    writers = [one for one in members if not is_uri(one) and one != account]
    kept.tell(db, owner, [(conversation, one) for one in writers], now_ms)
    return bool(writers)


def note_acknowledged(
    db: sqlite3.Connection, owner: int, account: str, position: int, now_ms: int
) -> bool:
    """A client has all up to this position; whether somebody is to be told."""
    before = progress.acknowledged(db, owner)
    up_to = min(position, progress.last_position(db, owner), before + ACKNOWLEDGED_AT_ONCE)
    if up_to <= before:
        return False
    progress.acknowledge(db, owner, up_to)
    found = progress.writers_between(db, owner, before, up_to)
    told = [(talk, one) for talk, one in found if not is_uri(one) and one != account]
    kept.tell(db, owner, told, now_ms)
    return bool(told)


def take_receipts(
    db: sqlite3.Connection, owner: int, account: str, viewer: str, receipts: Iterable[MessageTold]
) -> None:
    """What the viewer's unit says of messages of the account."""
    for one in receipts:
        message = conversations.find(db, owner, one.message, bringer=account)
        if message is None:
            continue
        if viewer not in (conversations.members_of(db, owner, message.conversation) or ()):
            continue
        row = kept.find(db, owner, message.position, viewer)
        if row is None:  # it was kept for the viewer at once
            kept.add(db, owner, message.position, viewer, None)
        told = stronger("" if row is None else row.told, one.told)
        kept.heard(db, owner, message.position, viewer, told)


class Telling:
    """Tells what is due. wall_ms: Unix ms; jitter: 0 to 1, new at each call."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        peers: Peers,
        *,
        wall_ms: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._peers = peers
        self._wall_ms = wall_ms
        self._jitter = jitter

    async def tell(self, owner: Owner, row: ReceiptRow) -> None:
        """Some of what a writer is to be told. Raises ServiceError where it could not be noted."""
        now_ms = self._wall_ms()
        page = self._database.read(partial(_page, owner=owner.number, row=row, now_ms=now_ms))
        result = PeerResult(PeerOutcome.TAKEN, "")
        if page.told:
            result = await self._peers.tell(resident_of(owner), row.writer, page.told)
            faultpoints.passing("receipt.kept.before")
        if result.outcome is PeerOutcome.NOT_NOW:
            pause_s = max(PAUSE.pause_s(row.tries, self._jitter()), result.retry_after_s)
            due_ms = self._wall_ms() + round(min(pause_s, PAUSE.most_s) * 1_000)
            await self._accounts.settle(
                owner, lambda db: kept.tell_later(db, owner.number, row, due_ms)
            )
            return
        await self._accounts.settle(
            owner, lambda db: _was_told(db, owner.number, page, self._wall_ms())
        )


def _was_told(db: sqlite3.Connection, owner: int, page: _Page, now_ms: int) -> None:
    """It was; what became known meanwhile, or did not fit, is due at once."""
    for one in page.outcomes:
        forget_outcome(db, owner, one)
    left = _page(db, owner=owner, row=page.row, now_ms=now_ms)
    more = left.told or left.outcomes
    kept.was_told(db, owner, page.row, now_ms if more else None)


def _page(db: sqlite3.Connection, *, owner: int, row: ReceiptRow, now_ms: int) -> _Page:
    """What the writer was not told yet: what was seen, and what was delivered alone."""
    outcomes = waiting_outcomes(db, owner, row.conversation, row.writer, most=AT_ONCE)
    if outcomes:  # by themselves: a unit of an older version refuses them
        found_outcomes = [told_of(db, owner, one) for one in outcomes]
        return _Page([one for one in found_outcomes if one is not None], row, outcomes)
    seen = progress.seen_up_to(db, owner, row.conversation)
    had = max(seen, progress.acknowledged(db, owner))
    told: list[MessageTold] = []
    row_seen, row_delivered, more = row.seen, row.delivered, False
    for state, after, up_to in (
        (DeliveryState.SEEN, row.seen, seen),
        (DeliveryState.DELIVERED, max(row.delivered, seen), had),
    ):
        left = AT_ONCE - len(told)
        if up_to <= after or more:
            continue
        found = progress.written(
            db, owner, row.conversation, row.writer, after=after, up_to=up_to, most=left + 1
        )
        more = len(found) > left
        told += [MessageTold(one.id, ToldState(state, now_ms)) for one in found[:left]]
        reached = found[left - 1].position if more and left else after if more else up_to
        if state is DeliveryState.SEEN:
            row_seen = reached
        else:
            row_delivered = reached
    reached_row = ReceiptRow(
        conversation=row.conversation, writer=row.writer, delivered=row_delivered,
        seen=row_seen, due_ms=row.due_ms, tries=0,
    )  # fmt: skip
    return _Page(told, reached_row, [])
