"""A message as a mail (RFC 5322). Pure: the time is an argument.

From and Return-Path are the reply address, so that answers and reports find their way; the name
beside it is the sender's. Message-ID is made of the message's id, so that a mail that is sent again
is the same mail. A program's says so (RFC 3834), and no program has to answer it. What was passed
on says through whom, so that it is not passed on again where it comes back.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from control_plane.errors import InvalidInput
from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw, Identifier
from control_plane.printable import printable
from deployment_units.services.channels.port import OutgoingMessage

MOST_SUBJECT = 200  # characters
MOST_NAME = 80
MOST_FOLLOWED = 20  # ids in References
_ID = re.compile(r"<[!-;=?-~]{1,300}>\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def mail_address(text: str, field: str) -> str:
    """As SMTP takes it: the local part as it is written, the domain in A-labels. Raises
    InvalidInput naming `field`."""
    read = read_email(text)
    if isinstance(read, Flaw):
        raise InvalidInput(field, f"{field}: {read}")
    return _wire(read)


def message_id_of(message_id: str, host: str) -> str:
    """The Message-ID under which a message of ours is known.

    >>> message_id_of("01J8", "talk.example")
    '<01J8@talk.example>'
    """
    return f"<{message_id}@{host}>"


def mail_of(message: OutgoingMessage, *, host: str, now_ms: int) -> bytes:
    """host: the domain that our mail is sent from. Raises InvalidInput for an address that is
    none, or without a text."""
    to = mail_address(message.address, "address")
    sender = mail_address(message.reply_address, "reply_address")
    if not message.text.strip():
        raise InvalidInput("text", "text: there is nothing in it to be sent")
    mail = EmailMessage(policy=SMTP.clone(utf8=not (to + sender).isascii(), max_line_length=78))
    mail["From"] = _named(_line(message.sender_name, MOST_NAME), sender)
    # An address has no encoded words (RFC 2047, section 5); the envelope says who gets it.
    mail["To"] = "undisclosed-recipients:;" if "=?" in to else _named("", to)
    mail["Subject"] = _line(message.subject, MOST_SUBJECT) or "(no subject)"
    mail["Date"] = format_datetime(_EPOCH + timedelta(seconds=now_ms // 1_000))
    mail["Message-ID"] = message_id_of(message.message_id, host)
    if message.automatic:
        mail["Auto-Submitted"] = "auto-generated"
    if message.passed_on:
        mail["X-Loop"] = host
    mail.set_content(_whole(message.text))
    if message.html:
        mail.add_alternative(_whole(message.html), subtype="html")
    return _following(message.answers_to[-MOST_FOLLOWED:], host) + mail.as_bytes()


def _following(answers_to: tuple[str, ...], host: str) -> bytes:
    """Its header fields, an id on a line. EmailMessage would make encoded words (RFC 2047) of ids
    that are longer than a line, which no mailbox reads there."""
    ids = [f"<{one}>" if "@" in one else message_id_of(one, host) for one in answers_to]
    ids = [one for one in ids if _ID.match(one)]
    if not ids:
        return b""
    references = "\r\n ".join(ids)
    return f"In-Reply-To: {ids[-1]}\r\nReferences: {references}\r\n".encode("ascii")


def _named(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    if local.startswith('"'):  # what it says; quotes are put around it again
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return Address(name, username=local, domain=domain)


def _line(text: str, most: int) -> str:
    """One line without anything that controls: a header cannot be broken out of. EmailMessage
    would decode encoded words (RFC 2047) that somebody wrote, with line breaks in them."""
    return printable(" ".join(text[: 4 * most].split())).replace("=?", "= ?")[:most]


def _whole(text: str) -> str:
    """Without halves of characters, which no charset has."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _wire(address: Identifier) -> str:
    local = address.shown.rpartition("@")[0]
    return f"{local}@{address.normal.rpartition('@')[2]}"
