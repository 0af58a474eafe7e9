"""MailReports: what servers say became of mails that this account sent, as evidence of deliveries.

A report names the attempt by the id under which it was sent, or the mail by its Message-ID; it
counts for the delivery to the participant whose reply address it came to, and for nothing else.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable

import msgspec

from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.mail_message import message_id_of as mail_id_of
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.members import is_uri
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.mail_headers import message_id_of
from deployment_units.services.gateway.outcomes import note_outcome
from deployment_units.services.gateway.plans import decoded_plan, encoded_plan
from deployment_units.services.gateway.records import decoded_record, encoded_record
from deployment_units.services.gateway.states import AttemptState, advance
from deployment_units.services.mail_in.delivery_reports import (
    ReportedOutcome,
    SentMail,
    evidence_of,
)

_ATTEMPT = re.compile(r"([0-9a-f]{32})-[0-9a-f]{16}-([1-9][0-9]{0,5})\Z")
_MAIL = re.compile(r"<([0-9a-f]{32})-[0-9a-f]{16}@")


class MailReports:
    """A Reports. host: the domain of our mail; due: (owner, Unix ms), told inside a transaction
    where a delivery goes on. wall_ms: Unix ms."""

    def __init__(
        self, *, host: str, due: Callable[[int, int], None], wall_ms: Callable[[], int]
    ) -> None:
        self._host = host
        self._due = due
        self._wall_ms = wall_ms

    def note(
        self, db: sqlite3.Connection, owner: int, whose: ReplyOwner, outcome: ReportedOutcome
    ) -> bool:
        """See Reports."""
        attempt = _ATTEMPT.match(outcome.envelope_id)
        mail = _MAIL.match(outcome.message_id)
        named = attempt or mail
        found = conversations.of_id(db, owner, bytes.fromhex(named[1])) if named else []
        return any(
            self._note(db, owner, whose, outcome, one)
            for one in found
            if one.conversation == whose.conversation
        )

    def _note(
        self,
        db: sqlite3.Connection,
        owner: int,
        whose: ReplyOwner,
        outcome: ReportedOutcome,
        message: KeptMessage,
    ) -> bool:
        """Whether it is about this message."""
        attempt = _ATTEMPT.match(outcome.envelope_id)
        recipient = whose.participant if is_uri(whose.participant) else kept.ITSELF
        row = kept.find(db, owner, message.position, recipient)
        if row is None:
            return False
        record = decoded_record(row.record)
        mails = [one.number for one in record.attempts if one.channel is Channel.MAIL]
        number = int(attempt[2]) if attempt else max(mails, default=0)
        if number not in mails:
            return False
        one = message_id_of(message.id, message.bringer, whose.participant)
        sent = SentMail(
            number=number,
            recipient=whose.address,
            envelope_id=f"{one}-{number}",
            message_id=mail_id_of(one, self._host),
        )
        now_ms = self._wall_ms()
        evidence = evidence_of(outcome, sent, now_ms)
        if evidence is None:
            return False
        changed = msgspec.structs.replace(row, record=encoded_record(advance(record, evidence)))
        plan = decoded_plan(row.plan)
        step = plan.current if plan is not None else None
        at_mail = step is not None and (step.channel, step.address) == (
            Channel.MAIL,
            whose.address,
        )
        if evidence.state is AttemptState.FAILED and plan is not None and at_mail:
            changed = msgspec.structs.replace(
                changed, plan=encoded_plan(plan.after_step()), words=evidence.words, due_ms=now_ms
            )
            self._due(owner, now_ms)
        kept.put(db, owner, changed)
        if recipient == kept.ITSELF and note_outcome(
            db, owner, row.position, row.record, changed.record, now_ms
        ):
            self._due(owner, now_ms)
        return True
