"""What a mail that came in says, in one value of plain data. Pure.

Made where the cost of reading hurts nobody (see reading_tasks), so it has all that anybody asks of
a mail afterwards: who wrote it, what anew, whom it answers, what it reports, who vouches for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw
from deployment_units.services.mail_in.addressees import addressees_of
from deployment_units.services.mail_in.authentication_results import MethodResult, read_results
from deployment_units.services.mail_in.delivery_reports import ReportedOutcome, reported
from deployment_units.services.mail_in.loops import MailOrigin, origin_of
from deployment_units.services.mail_in.mail import ReceivedMail, read_mail
from deployment_units.services.mail_in.sender import sender_of
from deployment_units.services.mail_in.visible_reply import visible_reply

MOST_TEXT_BYTES = 60 << 10  # of UTF-8: a message has 64 KiB, and something may be said below it
MOST_SUBJECT = 200  # characters
MOST_ANSWERED = 30  # ids of messages
MOST_OUTCOMES = 20
_ID = re.compile(r"<([^<>\s]{1,250})>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class MailToRead(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it came. envelope_from: of MAIL FROM; recipient: of RCPT TO; authserv_id: whose
    Authentication-Results are believed, empty: nobody's; keys: DKIM keys, as DNS has them, by
    name."""

    content: bytes
    envelope_from: str
    recipient: str
    authserv_id: str = ""
    keys: Mapping[str, bytes] = {}


class MailReading(msgspec.Struct, frozen=True, kw_only=True):
    """identity: the same for a mail that comes again; message_id: without brackets, empty where it
    has none; sender: the address of From, as it is
    written, empty where it has none or several, which `sender_flaw` says. text: what was written
    anew, or all of it where it was passed on. answers_to: ids of messages, of In-Reply-To and
    References. lost: words of what was left out, as deliveries say them. attachments: names.
    recipient: of RCPT TO; addressees: of To and Cc; addresses in normal form."""

    identity: bytes
    message_id: str
    sender: str
    sender_flaw: str
    subject: str
    text: str
    forwarded: bool
    origin: MailOrigin
    origin_why: str
    answers_to: tuple[str, ...]
    attachments: tuple[str, ...]
    lost: tuple[str, ...]
    results: tuple[MethodResult, ...]
    outcomes: tuple[ReportedOutcome, ...]
    recipient: str = ""
    addressees: tuple[str, ...] = ()


def read_incoming(mail: MailToRead, results: tuple[MethodResult, ...] = ()) -> MailReading:
    """results: of who looked itself, besides those that the mail has of `authserv_id`. Raises
    InvalidInput as `read_mail` does."""
    received = read_mail(mail.content)
    if mail.authserv_id:
        fields = received.fields("Authentication-Results")
        results += tuple(read_results(fields, mail.authserv_id))
    sender = sender_of(received)
    origin = origin_of(received, envelope_from=mail.envelope_from, recipient=mail.recipient)
    reply = visible_reply(received)
    text, cut = _bounded(reply.text)
    subject = " ".join(_plain(received.words("Subject")).split())[:MOST_SUBJECT]
    shown = "" if isinstance(sender, Flaw) else sender.shown
    return MailReading(
        identity=_identity(received, shown, subject, text),
        message_id=next(iter(_ID.findall(next(iter(received.fields("Message-ID")), ""))), ""),
        sender=shown,
        sender_flaw=str(sender) if isinstance(sender, Flaw) else "",
        subject=subject,
        text=text,
        forwarded=reply.forwarded,
        origin=origin.origin,
        origin_why=origin.why,
        answers_to=_answered(received),
        attachments=tuple(_plain(one) for one in received.attachments),
        lost=tuple(sorted({*received.lost, *(["length"] if cut else [])})),
        results=results,
        outcomes=reported(received, null_sender=not mail.envelope_from.strip("<> "))[
            :MOST_OUTCOMES
        ],
        recipient=_normal(mail.recipient),
        addressees=addressees_of(received),
    )


def _normal(address: str) -> str:
    """Empty where it is none."""
    read = read_email(address)
    return "" if isinstance(read, Flaw) else read.normal


def _bounded(text: str) -> tuple[str, bool]:
    """Without what controls, and no longer than a message; whether something was cut."""
    plain = _plain(text)
    encoded = plain.encode("utf-8", "replace")
    if len(encoded) <= MOST_TEXT_BYTES:
        return encoded.decode(), False
    return encoded[:MOST_TEXT_BYTES].decode("utf-8", "ignore"), True


def _plain(text: str) -> str:
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode()


def _answered(received: ReceivedMail) -> tuple[str, ...]:
    """Each once, the one that is answered last."""
    text = " ".join(received.fields("References")[:1] + received.fields("In-Reply-To")[:1])
    found = dict.fromkeys(one for one in reversed(_ID.findall(text)))
    return tuple(reversed(list(found)[:MOST_ANSWERED]))


def _identity(received: ReceivedMail, sender: str, subject: str, text: str) -> bytes:
    """Of what relays leave as it is: fields that they add, and how a body is encoded, are not in
    it."""
    digest = sha256()
    said = (*(next(iter(received.fields(one)), "") for one in ("Message-ID", "Date")),
            sender, subject, text, *received.attachments)  # fmt: skip
    for one in said:
        encoded = one.encode("utf-8", "replace")
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.digest()[:16]
