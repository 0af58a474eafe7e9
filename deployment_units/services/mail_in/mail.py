"""A mail as this room reads it: its header fields, its text, its HTML, and what else is in it.

Parsed by Python's `email` within the bounds of `mime_bounds`, under the policy that leaves
headers as they are (the newer one reads addresses at once, and in more than linear time).
What is no text is named and not opened; `winmail.dat`, in which Outlook wraps what it sends to
itself, is told apart, since people ask for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser

from control_plane.errors import InvalidInput
from deployment_units.services.mail_in.charsets import text_of
from deployment_units.services.mail_in.flowed import unflowed
from deployment_units.services.mail_in.mime_bounds import (
    check_bounds,
    check_header_lines,
    with_line_feeds,
)

MOST_TEXT_BYTES = 512 << 10  # of one text part; what is beyond is left out
MOST_FIELD_CHARACTERS = 8 << 10  # of a header field that is read
MOST_NAME = 120  # characters of an attachment's name
TNEF = "winmail.dat"
_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_PARSER = BytesParser(policy=policy.compat32)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMail:
    """text: of its parts of plain text, with soft line breaks undone; html: likewise. Both are
    empty where there is none. attachments: their names; a mail within it is "message/rfc822".
    lost: "winmail.dat" where there is one, "length" where a text was cut."""

    text: str
    html: str
    attachments: tuple[str, ...]
    lost: tuple[str, ...]
    message: Message
    by_name: Mapping[str, Sequence[str]]  # header fields as they are, by names in small letters

    def fields(self, name: str) -> list[str]:
        """The values of a header field, unfolded and otherwise as they are written."""
        return [
            _SPACE.sub(" ", str(value)[:MOST_FIELD_CHARACTERS]).strip()
            for value in self.by_name.get(name.lower(), ())
        ]

    def words(self, name: str) -> str:
        """A header field for people: its encoded words decoded (RFC 2047). Empty: it has none."""
        return decoded_words(next(iter(self.fields(name)), ""))


@dataclass(slots=True)
class _Bodies:
    texts: list[str] = field(default_factory=list)
    htmls: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)


def read_mail(raw: bytes) -> ReceivedMail:
    """Raises InvalidInput where it is beyond a bound, its header is read in two ways, or it is no
    mail at all: without a header."""
    lines = with_line_feeds(raw)
    check_header_lines(raw)
    check_bounds(lines)
    message = _PARSER.parsebytes(lines)
    if not message.keys():
        raise InvalidInput("mail", "the mail has no header; give it as it came, with From and all")
    bodies = _Bodies()
    _collect(message, bodies)
    by_name = defaultdict[str, list[str]](list)
    for name, value in message.items():
        by_name[name.lower()].append(value)
    return ReceivedMail(
        text="\n".join(bodies.texts),
        html="\n".join(bodies.htmls),
        attachments=tuple(bodies.attachments),
        lost=tuple(sorted(bodies.lost)),
        message=message,
        by_name=by_name,
    )


def decoded_words(value: str) -> str:
    """A header's text with its encoded words decoded; as it is written where they are faulty."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except (HeaderParseError, ValueError, LookupError):
        return value
    return "".join(
        text_of(one, charset) if isinstance(one, bytes) else one for one, charset in pieces
    )


def _collect(part: Message, bodies: _Bodies) -> None:
    """Texts in their order; of alternatives one of each kind. Depth is bounded by the parser's."""
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        inner = [one for one in part.get_payload() if isinstance(one, Message)]
        if part.get_content_subtype() == "alternative":
            _collect_alternatives(inner, bodies)
            return
        if part.get_content_subtype() == "related":
            inner = inner[:1]  # the others are pictures of the first
        for one in inner:
            _collect(one, bodies)
        return
    kind = part.get_content_type()
    if kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment":
        text = _text(part, bodies)
        (bodies.texts if kind == "text/plain" else bodies.htmls).append(text)
    elif kind in _TNEF_TYPES:
        bodies.lost.add(TNEF)
        bodies.attachments.append(TNEF)
    elif part.get_content_maintype() == "message":
        bodies.attachments.append(kind)
    else:
        bodies.attachments.append(_name(part))


def _collect_alternatives(inner: list[Message], bodies: _Bodies) -> None:
    plain, rich = _Bodies(), _Bodies()
    for one in inner:
        tried = _Bodies()
        _collect(one, tried)
        plain.texts = plain.texts or tried.texts
        rich.htmls = rich.htmls or tried.htmls
        bodies.attachments += tried.attachments
        bodies.lost |= tried.lost
    bodies.texts += plain.texts
    bodies.htmls += rich.htmls


def _text(part: Message, bodies: _Bodies) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    if len(content) > MOST_TEXT_BYTES:
        content = content[:MOST_TEXT_BYTES]
        bodies.lost.add("length")
    text = text_of(content, _parameter(part, "charset")).replace("\r\n", "\n")
    text = text.replace("\r", "\n").replace("\x00", "")
    if (_parameter(part, "format") or "").lower() == "flowed":
        text = unflowed(text, delsp=(_parameter(part, "delsp") or "").lower() == "yes")
    return text


def _parameter(part: Message, name: str) -> str | None:
    """Of Content-Type. RFC 2231's triples are read as their text."""
    found = part.get_param(name)
    if isinstance(found, tuple):
        found = found[2]
    return found if isinstance(found, str) else None


def _name(part: Message) -> str:
    try:
        name = part.get_filename() or part.get_content_type()
    except (ValueError, LookupError):
        name = part.get_content_type()
    return decoded_words(name)[:MOST_NAME]
