"""Reports of deliveries (RFC 3464) as evidence: what a server says became of a mail of ours. Pure.

A report is a mail that anybody can write. It says something of an attempt only where it names that
attempt's own envelope id, which nobody was told but the servers on the way, and its recipient; the
Message-ID does as well, for servers that keep no envelope ids.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message

from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.states import AttemptEvidence, AttemptState
from deployment_units.services.mail_in.mail import MOST_FIELD_CHARACTERS, ReceivedMail

MOST_RECIPIENTS = 100  # of one report
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
_ACTIONS = {
    "delivered": AttemptState.DELIVERED,
    "relayed": AttemptState.RELAYED,  # to a server that sends no reports
    "expanded": AttemptState.RELAYED,  # to the members of a list
    "delayed": AttemptState.DELAYED,  # it is tried again
    "failed": AttemptState.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOutcome:
    """What a report says of one recipient. recipients: the normal forms of its original and final
    address; status: of RFC 3463, "5.1.1", empty where there is none; envelope_id, message_id: of
    the mail that it is about, empty where it does not say."""

    recipients: frozenset[str]
    state: AttemptState
    status: str
    words: str
    envelope_id: str
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMail:
    """One attempt by mail, as it was sent. recipient: in normal form; message_id with its
    brackets."""

    number: int
    recipient: str
    envelope_id: str
    message_id: str


def reported(mail: ReceivedMail, *, null_sender: bool = False) -> tuple[ReportedOutcome, ...]:
    """Empty where it is no report. null_sender: of the envelope; then it may be what RFC 6522 does
    not let it be, but OpenSMTPD (6.8) writes; of people that is a mail with a report attached."""
    kind = mail.message.get_content_type()
    if kind != "multipart/report" and not (null_sender and kind == "multipart/mixed"):
        return ()
    status = _part(mail.message, {"message/delivery-status", "message/global-delivery-status"})
    if status is None:
        return ()
    blocks = [one for one in _payload(status) if one.keys()]
    if not blocks:
        return ()
    envelope_id = _field(blocks[0], "Original-Envelope-Id")
    message_id = _returned_id(mail.message)
    found = [_outcome(one, envelope_id, message_id) for one in blocks[1 : MOST_RECIPIENTS + 1]]
    return tuple(one for one in found if one is not None)


def evidence_of(
    outcome: ReportedOutcome, sent: SentMail, received_ms: int
) -> AttemptEvidence | None:
    """None where the report is not about this attempt."""
    if sent.recipient not in outcome.recipients:
        return None
    if outcome.envelope_id:
        about = outcome.envelope_id == sent.envelope_id
    else:
        about = bool(outcome.message_id) and outcome.message_id == sent.message_id
    if not about:
        return None
    return AttemptEvidence(
        number=sent.number,
        channel=Channel.MAIL,
        state=outcome.state,
        at_ms=received_ms,
        words=outcome.words,
    )


def _outcome(block: Message, envelope_id: str, message_id: str) -> ReportedOutcome | None:
    action = _field(block, "Action").partition("(")[0].strip().casefold()
    state = _ACTIONS.get(action)
    if state is None:
        return None
    code = _STATUS.search(_field(block, "Status"))
    status = code[0] if code is not None else ""
    if state is AttemptState.DELIVERED and not status.startswith("2."):
        # It says both: it is no proof that it arrived.
        state = AttemptState.FAILED if status.startswith("5.") else AttemptState.RELAYED
    recipients = {
        _address(_field(block, name)) for name in ("Original-Recipient", "Final-Recipient")
    }
    diagnostic = _field(block, "Diagnostic-Code").partition(";")[2].strip()
    return ReportedOutcome(
        recipients=frozenset(one for one in recipients if one),
        state=state,
        status=status,
        words=" ".join(one for one in (action, status, diagnostic) if one),
        envelope_id=envelope_id,
        message_id=message_id,
    )


def _returned_id(message: Message) -> str:
    """The Message-ID of the mail that comes back, whole or its header alone."""
    whole = _part(message, {"message/rfc822", "message/global"})
    if whole is not None:
        return _id_in(_field(next(iter(_payload(whole)), Message()), "Message-ID"))
    headers = _part(message, {"text/rfc822-headers", "message/global-headers"})
    if headers is None:
        return ""
    payload = headers.get_payload(decode=True)
    text = payload.decode("ascii", "replace") if isinstance(payload, bytes) else ""
    line = re.search(r"^message-id:((?:[^\n]*\n[ \t])?[^\n]*)", text, re.I | re.M)
    return _id_in(line[1]) if line else ""


def _id_in(value: str) -> str:
    found = _MESSAGE_ID.search(value)
    return found[0] if found else ""


def _part(message: Message, kinds: set[str]) -> Message | None:
    return next((one for one in _payload(message) if one.get_content_type() in kinds), None)


def _payload(message: Message) -> list[Message]:
    inner = message.get_payload()
    return [one for one in inner if isinstance(one, Message)] if isinstance(inner, list) else []


def _field(block: Message, name: str) -> str:
    return " ".join(str(block.get(name) or "")[:MOST_FIELD_CHARACTERS].split())


def _address(value: str) -> str:
    """Of `rfc822; anna@mail.example`, in normal form; empty where it is none. What SMTP encodes
    (xtext) is decoded there already (RFC 3464, 2.3.1)."""
    kind, _, address = value.partition(";")
    if kind.strip().casefold() not in ("rfc822", "utf-8"):
        return ""
    read = read_email(address.strip().strip("<>"))
    return "" if isinstance(read, Flaw) else read.normal
