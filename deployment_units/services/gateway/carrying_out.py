"""CarryingOut: the steps of a route, one after the other, over the channels of this unit.

In the client a message is as soon as it is kept: that step waits for a receipt, and nothing further
is done where a client has it, or a channel has said that it was delivered.

An attempt is on disk before it is made, and what the other side said after it. Where the unit ended
in between, nobody knows what became of it: over a channel that knows duplicates it is made again,
under the same id; over others it is not, and shown as unknown.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgspec

from control_plane import faultpoints
from control_plane.errors import InvalidInput, Unavailable
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import resident_of
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import (
    OutgoingChannel,
    SendOutcome,
    SendResult,
)
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import progress
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.gateway import account_rules, kept
from deployment_units.services.gateway.attempts import evidence_of_sending, next_attempt_ms
from deployment_units.services.gateway.composing import Composed, Composer
from deployment_units.services.gateway.health import ChannelHealth
from deployment_units.services.gateway.kept import ITSELF, DeliveryRow
from deployment_units.services.gateway.measures import OutboxMeasures
from deployment_units.services.gateway.outcomes import note_outcome
from deployment_units.services.gateway.plans import (
    CarriedPlan,
    begun,
    decoded_plan,
    encoded_plan,
)
from deployment_units.services.gateway.recipients import Recipients
from deployment_units.services.gateway.records import decoded_record, encoded_record
from deployment_units.services.gateway.route import NoRoute, RouteStep
from deployment_units.services.gateway.states import (
    AttemptEvidence,
    AttemptState,
    DeliveryEnd,
    DeliveryRecord,
    DeliveryState,
    EndEvidence,
    RoutedEvidence,
    advance,
)
from deployment_units.services.state.owners import Owner

SEND_S = 20.0
LEASE_MS = 60_000  # after so long an attempt of which nothing was noted is looked at again
_ENDS = {
    NoRoute.WITHHELD: DeliveryEnd.WITHHELD,
    NoRoute.UNREACHABLE: DeliveryEnd.UNDELIVERABLE,
    NoRoute.EXPIRED: DeliveryEnd.EXPIRED,
}
_ARRIVED = frozenset({DeliveryState.DELIVERED, DeliveryState.SEEN})


class _Attempt(NamedTuple):
    """One that is on disk, and is to be made now."""

    number: int
    step: RouteStep
    channel: OutgoingChannel
    composed: Composed


class CarryingOut:
    """A Carrier of deliveries to people without an account, and of what came to an account itself.
    wall_ms: Unix ms; jitter: 0 to 1, new at each call; measures: what is told of it."""

    def __init__(
        self,
        accounts: Accounts,
        channels: Mapping[Channel, OutgoingChannel],
        composer: Composer,
        recipients: Recipients,
        health: ChannelHealth,
        *,
        wall_ms: Callable[[], int],
        jitter: Callable[[], float],
        send_s: float = SEND_S,
        measures: OutboxMeasures | None = None,
    ) -> None:
        self._measures = measures or OutboxMeasures()
        self._accounts = accounts
        self._channels = channels
        self._composer = composer
        self._recipients = recipients
        self._health = health
        self._wall_ms = wall_ms
        self._jitter = jitter
        self._send_s = send_s

    async def carry_out(self, owner: Owner, recipient: str, rows: list[DeliveryRow]) -> None:
        """See Carrier."""
        if recipient == ITSELF:
            rules = self._accounts.read(resident_of(owner), account_rules.find)
            with suppress(InvalidInput):  # of another version: the built-in rules decide
                await self._recipients.prepare(rules.document)
        for row in rows:
            await self._prepare(owner, row.position)
            attempt = await self._accounts.settle(
                owner, partial(self._next, owner=owner, position=row.position, recipient=recipient)
            )
            if attempt is None:
                continue
            faultpoints.passing("outbox.sent.before")
            result, lost = await self._send(attempt)
            self._health.note(attempt.step.channel, result.channel_up, self._wall_ms())
            self._measures.attempted(attempt.step.channel.value, result.outcome)
            faultpoints.passing("outbox.sent.after")
            await self._accounts.settle(
                owner,
                partial(
                    self._sent, owner=owner, position=row.position, recipient=recipient,
                    attempt=attempt, result=result, lost=lost,
                ),
            )  # fmt: skip

    async def _prepare(self, owner: Owner, position: int) -> None:
        """Raises StaleEpoch, Unavailable."""
        message = self._accounts.read(
            resident_of(owner), partial(conversations.at, position=position)
        )
        if message is None:
            return
        try:
            async with asyncio.timeout(self._send_s):
                await self._composer.prepare(owner, message)
        except TimeoutError as error:
            raise Unavailable("a message was not read in time; it is tried again") from error

    async def _send(self, attempt: _Attempt) -> tuple[SendResult, tuple[str, ...]]:
        """With what of the message was lost."""
        try:
            async with asyncio.timeout(self._send_s):
                composed = await self._composer.finish(attempt.composed)
        except TimeoutError:
            return SendResult(SendOutcome.NOT_NOW, "its card was not written in time", None), ()
        try:
            async with asyncio.timeout(self._send_s + 5.0):
                result = await attempt.channel.send(composed.message, within_s=self._send_s)
        except InvalidInput as error:
            result = SendResult(SendOutcome.REFUSED, error.message, None)
        except TimeoutError:
            words = "the channel did not answer in time"
            result = SendResult(SendOutcome.UNKNOWN, words, channel_up=False)
        return result, composed.lost

    def _next(
        self, db: sqlite3.Connection, *, owner: Owner, position: int, recipient: str
    ) -> _Attempt | None:
        """What is due of a delivery; an attempt that is to be made now, noted as begun."""
        row = kept.find(db, owner.number, position, recipient)
        now_ms = self._wall_ms()
        if row is None or row.due_ms is None or row.due_ms > now_ms:
            return None
        message = conversations.at(db, owner.number, position)
        if message is None:  # its account removed it
            kept.remove(db, owner.number, position)
            return None
        record = _interrupted(decoded_record(row.record), now_ms)
        plan = decoded_plan(row.plan)
        if plan is None:
            plan = begun(self._recipients.plan(db, owner, message, recipient, now_ms))
            record = advance(record, RoutedEvidence(at_ms=now_ms))
        if record.state in _ARRIVED or (recipient == ITSELF and _has_it(db, owner.number, message)):
            self._put(db, owner, row, plan, record, None)
            return None
        attempt = None
        while attempt is None and (step := plan.current) is not None:
            channel = self._channels.get(step.channel)
            number = record.next_number
            if now_ms >= step.deadline_ms or not record.may_try:
                plan = plan.after_step()
            elif step.channel is Channel.IN_APP and step.at_ms <= now_ms:
                if not plan.begun:
                    record = advance(record, _in_app(number, now_ms))
                    plan = msgspec.structs.replace(plan, begun=1)
                self._put(db, owner, row, plan, record, self._until(plan))
                return None
            elif channel is None and step.channel is not Channel.IN_APP:
                plan = plan.after_step()
                row = msgspec.structs.replace(row, words=f"this unit sends no {step.channel}")
            elif step.at_ms > now_ms:
                self._put(db, owner, row, plan, record, step.at_ms)
                return None
            elif channel is None:
                plan = plan.after_step()
            elif plan.begun and not _again(record, channel):
                self._put(db, owner, row, plan, record, self._until(plan))
                return None
            else:
                try:
                    outgoing = self._composer.compose(db, owner, message, recipient, step, number)
                except InvalidInput as error:
                    plan = plan.after_step()
                    row = msgspec.structs.replace(row, words=error.message)
                    continue
                attempt = _Attempt(number, step, channel, outgoing)
        if attempt is None:
            self._end(db, owner, row, plan, record)
            return None
        plan = msgspec.structs.replace(plan, begun=plan.begun + 1)
        record = advance(
            record,
            AttemptEvidence(
                number=attempt.number, channel=attempt.step.channel, state=AttemptState.BEGUN,
                at_ms=now_ms, lost=attempt.composed.lost,
            ),
        )  # fmt: skip
        self._put(db, owner, row, plan, record, now_ms + LEASE_MS)
        return attempt

    def _sent(
        self,
        db: sqlite3.Connection,
        *,
        owner: Owner,
        position: int,
        recipient: str,
        attempt: _Attempt,
        result: SendResult,
        lost: tuple[str, ...],
    ) -> None:
        """Notes what the other side said, and when it goes on."""
        row = kept.find(db, owner.number, position, recipient)
        if row is None:
            return
        now_ms = self._wall_ms()
        number, step = attempt.number, attempt.step
        record = advance(
            decoded_record(row.record),
            evidence_of_sending(number, step.channel, result, now_ms, lost),
        )
        plan = decoded_plan(row.plan)
        if plan is None or plan.current != step:
            changed = msgspec.structs.replace(row, record=encoded_record(record))
            self._keep(db, owner, row, changed)
            return
        words = ""
        if result.outcome is SendOutcome.DELIVERED:
            due_ms = None  # the step after it is not taken
        elif result.outcome is SendOutcome.HANDED_OVER:
            due_ms = self._until(plan)
        elif result.outcome is SendOutcome.REFUSED:
            plan, due_ms, words = plan.after_step(), now_ms, result.words
        else:
            again_ms = next_attempt_ms(
                record.count_to(number), result,
                knows_duplicates=attempt.channel.knows_duplicates, now_ms=now_ms,
                deadline_ms=step.deadline_ms, spread=self._jitter(),
            )  # fmt: skip
            due_ms, words = again_ms or step.deadline_ms, result.words
            if again_ms is not None:
                plan = msgspec.structs.replace(plan, begun=0)
        row = msgspec.structs.replace(row, words=words)
        self._put(db, owner, row, plan, record, due_ms)

    @staticmethod
    def _until(plan: CarriedPlan) -> int | None:
        """When the step after this one is due; None: there is none, and what is heard comes by
        itself."""
        step = plan.current
        more = plan.step + 1 < len(plan.steps)
        return step.deadline_ms if step is not None and more else None

    def _end(
        self,
        db: sqlite3.Connection,
        owner: Owner,
        row: DeliveryRow,
        plan: CarriedPlan,
        record: DeliveryRecord,
    ) -> None:
        end = _ENDS[plan.no_route] if plan.no_route else DeliveryEnd.UNDELIVERABLE
        ended = EndEvidence(end=end, at_ms=self._wall_ms(), words=row.words)
        self._put(db, owner, row, plan, advance(record, ended), None)

    def _put(
        self,
        db: sqlite3.Connection,
        owner: Owner,
        row: DeliveryRow,
        plan: CarriedPlan,
        record: DeliveryRecord,
        due_ms: int | None,
    ) -> None:
        changed = msgspec.structs.replace(
            row, plan=encoded_plan(plan), record=encoded_record(record), due_ms=due_ms
        )
        self._keep(db, owner, row, changed)

    def _keep(
        self, db: sqlite3.Connection, owner: Owner, before: DeliveryRow, row: DeliveryRow
    ) -> None:
        kept.put(db, owner.number, row)
        if before.due_ms is not None and row.due_ms is None:
            self._measures.over(decoded_record(row.record))
        if row.recipient == ITSELF:
            note_outcome(db, owner.number, row.position, before.record, row.record, self._wall_ms())


def _interrupted(record: DeliveryRecord, now_ms: int) -> DeliveryRecord:
    """Attempts of which nothing was noted: nobody knows what became of them."""
    for one in record.attempts:
        if one.state is AttemptState.BEGUN:
            ended = AttemptEvidence(
                number=one.number, channel=one.channel, state=AttemptState.UNKNOWN, at_ms=now_ms,
                words="the unit ended while it was being made",
            )  # fmt: skip
            record = advance(record, ended)
    return record


def _in_app(number: int, now_ms: int) -> AttemptEvidence:
    return AttemptEvidence(
        number=number, channel=Channel.IN_APP, state=AttemptState.HANDED_OVER, at_ms=now_ms,
        words="kept for its clients",
    )  # fmt: skip


def _has_it(db: sqlite3.Connection, owner: int, message: KeptMessage) -> bool:
    """Whether a client of the account has the message."""
    return message.position <= max(
        progress.acknowledged(db, owner),
        progress.seen_up_to(db, owner, message.conversation),
    )


def _again(record: DeliveryRecord, channel: OutgoingChannel) -> bool:
    """Whether the last attempt of a step was interrupted, and may be repeated."""
    last = record.attempts[-1] if record.attempts else None
    return last is not None and last.state is AttemptState.UNKNOWN and channel.knows_duplicates
