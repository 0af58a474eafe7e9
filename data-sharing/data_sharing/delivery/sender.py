"""Sender: hands an instruction to a platform's session, signed for that platform alone.

What may not be performed twice is claimed on disk for the platform before it is sent, because
nobody but that platform's journal knows afterwards whether it ran. Of the rest it is noted, without
waiting for the disk, who has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from control_plane import faultpoints
from control_plane.tracing.tracer import SpanKind, Tracer
from data_sharing.database import Database
from data_sharing.decisions import outbox
from data_sharing.delivery.holders import Holders
from data_sharing.delivery.in_flight_queue import InFlight
from data_sharing.delivery.platform_sessions import PlatformSession
from data_sharing.signing import Delivery, SigningKey, sign
from data_sharing.spans import begin_span, trace_within

log = logging.getLogger(__name__)


class Sender:
    """partition, fence: of the worker that decided; not_claimed: hears of an instruction that
    could not be claimed and was not sent; wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        key: SigningKey,
        *,
        partition: str,
        fence: int,
        holders: Holders,
        not_claimed: Callable[[InFlight], None],
        wall_ms: Callable[[], int],
    ) -> None:
        self.tracer: Tracer | None = None
        self._database = database
        self._key = key
        self._partition = partition
        self._fence = fence
        self._holders = holders
        self._not_claimed = not_claimed
        self._wall_ms = wall_ms

    def send(self, item: InFlight, session: PlatformSession) -> None:
        """At once, or once it is claimed on disk."""
        instruction, name = item.instruction, session.facts.name
        item.session = session
        session.in_flight.add(instruction.id)
        if instruction.idempotent or item.held_by == name:
            if item.held_by != name:
                noted = self._database.submit(
                    lambda db: outbox.note_sent(db, instruction.id, name), of=instruction.tenant
                )
                noted.add_done_callback(partial(_log_failure, instruction.id))
            self._sign_and_send(item, session)
            return
        item.held_by = name
        claimed = self._database.submit(
            lambda db: outbox.claim(db, instruction.id, name), of=instruction.tenant
        )
        claimed.add_done_callback(partial(self._claimed, item, session))

    def _claimed(
        self, item: InFlight, session: PlatformSession, done: asyncio.Future[None]
    ) -> None:
        if done.cancelled() or item.session is not session:
            return
        if (failure := done.exception()) is not None:
            log.error("%s is not sent: %s", item.instruction.id, failure)
            self._not_claimed(item)
            return
        faultpoints.passing("dispatch.claim.after")
        self._sign_and_send(item, session)

    def _sign_and_send(self, item: InFlight, session: PlatformSession) -> None:
        self._holders.give(item.instruction.id, session.facts.name, item.attempt)
        trace = item.instruction.trace
        span = begin_span(
            self.tracer,
            "send instruction",
            trace,
            kind=SpanKind.PRODUCER,
            instruction=item.instruction.id,
            platform=session.facts.name,
            attempt=item.attempt,
        )
        delivery = Delivery(
            instruction=item.instruction,
            platform=session.facts.name,
            partition=self._partition,
            fence=self._fence,
            attempt=item.attempt,
            trace=trace_within(span, trace),
        )
        session.send(sign(delivery, self._key, self._wall_ms()))
        if span is not None:
            span.end()


def _log_failure(instruction_id: str, done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (failure := done.exception()) is not None:
        log.error("who has %s is not noted: %s", instruction_id, failure)
