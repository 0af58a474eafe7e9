"""Whether a program wrote a mail, and whether it goes in circles: so that no answer of ours begins
or feeds a loop. Pure.

What is automatic is delivered, and never answered automatically (RFC 3834); what has passed too
many servers, or this mailbox before, is refused; likewise what an account of our domain has passed
on by mail and comes back, by somebody's forwarding or because a member is an address for answers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from deployment_units.services.mail_in.mail import ReceivedMail

MOST_HOPS = 50  # Received fields; RFC 5321, 6.3 lets a server give up from 100 on at the latest
ANSWER_EVERY_MS = 24 * 3_600_000  # an automatic answer to the same pair
_BULK = frozenset({"bulk", "junk", "list", "auto_reply", "auto-reply"})
_LIST_FIELDS = ("List-Id", "List-Post", "List-Unsubscribe", "List-Help", "Mailing-List")
_PROGRAM_FIELDS = ("X-Autoreply", "X-Autorespond", "X-Autorespond-For", "X-Auto-Response-From")
_PROGRAM_LOCALS = frozenset({"mailer-daemon", "postmaster", "no-reply", "noreply", "bounce"})


class MailOrigin(StrEnum):
    PERSON = "person"
    AUTOMATIC = "automatic"  # delivered; no automatic answer
    LIST = "list"  # likewise
    LOOP = "loop"  # refused


class OriginFinding(NamedTuple):
    """why: the header field, or "envelope", and what it says."""

    origin: MailOrigin
    why: str


def origin_of(mail: ReceivedMail, *, envelope_from: str, recipient: str) -> OriginFinding:
    """envelope_from: of MAIL FROM, empty for `<>`; recipient: of RCPT TO."""
    hops = len(mail.message.get_all("Received") or [])
    if hops > MOST_HOPS:
        return OriginFinding(MailOrigin.LOOP, f"Received: {hops} servers; at most {MOST_HOPS}")
    for one in mail.fields("Delivered-To") + mail.fields("X-Loop"):
        if one.strip("<> ").casefold() == recipient.strip("<> ").casefold():
            return OriginFinding(MailOrigin.LOOP, "Delivered-To: it was delivered here before")
    ours = recipient.strip("<> ").rpartition("@")[2].casefold()
    if ours in (one.strip("<> ").casefold() for one in mail.fields("X-Loop")):
        return OriginFinding(MailOrigin.LOOP, "X-Loop: it was passed on from here before")
    submitted = _first_word(mail, "Auto-Submitted")
    if submitted and submitted != "no":
        return OriginFinding(MailOrigin.AUTOMATIC, f"Auto-Submitted: {submitted}")
    if not envelope_from.strip("<> "):
        return OriginFinding(MailOrigin.AUTOMATIC, "envelope: the null sender")
    for name in _LIST_FIELDS:
        if mail.fields(name):
            return OriginFinding(MailOrigin.LIST, name)
    precedence = _first_word(mail, "Precedence")
    if precedence in _BULK:
        kind = MailOrigin.LIST if precedence == "list" else MailOrigin.AUTOMATIC
        return OriginFinding(kind, f"Precedence: {precedence}")
    for name in _PROGRAM_FIELDS:
        if mail.fields(name):
            return OriginFinding(MailOrigin.AUTOMATIC, name)
    if mail.message.get_content_type() == "multipart/report":
        return OriginFinding(MailOrigin.AUTOMATIC, "Content-Type: multipart/report")
    local = envelope_from.strip("<> ").rpartition("@")[0].casefold()
    if local in _PROGRAM_LOCALS:
        return OriginFinding(MailOrigin.AUTOMATIC, f"envelope: {local}")
    return OriginFinding(MailOrigin.PERSON, "")


def may_answer(origin: MailOrigin, last_ms: int | None, now_ms: int) -> bool:
    """Whether an automatic answer may go to somebody who had one at `last_ms`: one a day."""
    if origin is not MailOrigin.PERSON:
        return False
    return last_ms is None or now_ms - last_ms >= ANSWER_EVERY_MS


def _first_word(mail: ReceivedMail, name: str) -> str:
    """Of a field whose parameters and comments do not matter."""
    value = next(iter(mail.fields(name)), "")
    return value.partition(";")[0].partition("(")[0].strip().casefold()
