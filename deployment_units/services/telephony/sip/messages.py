"""SIP messages as they come in: read, bounded and checked before an engine sees them. Pure.

A datagram becomes a request, a response, a fault that is answered, or nothing. Whatever reaches an
engine was written anew from what was read, in one plain form: so no engine meets a message that
this module does not understand. The tests hold it against the messages of RFC 4475.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from deployment_units.services.telephony.sip.fields import (
    TOKEN,
    NameAddr,
    Uri,
    Via,
    is_call_id,
    name_addr,
    split_outside_quotes,
    uri,
    via,
)

MOST_BYTES: Final = 64 << 10
MOST_FIELDS: Final = 256
MOST_FIELD_BYTES: Final = 8 << 10
MOST_VIAS: Final = 70
MOST_SEQUENCE: Final = 2**31 - 1
SCHEMES: Final = frozenset({"sip", "sips", "tel"})
_COMPACT: Final = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
    "c": "content-type", "e": "content-encoding", "k": "supported", "s": "subject",
}  # fmt: skip
_SINGLE: Final = ("from", "to", "call-id", "cseq", "max-forwards", "content-type", "content-length")
_LISTS: Final = frozenset({"via", "contact", "record-route", "route", "p-asserted-identity"})
_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{1,64}) (\S+) (\S+)\Z")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 (\d{3}) (.*)\Z")
_SEQUENCE: Final = re.compile(r"(\d{1,10})[ \t]+([A-Za-z0-9\-.!%*_+`'~]{1,64})\Z")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Fields = dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A request that is refused before anything acts on it. fields: what an answer repeats of it,
    by name: Via, From, To, Call-ID and CSeq as they stood; empty: there is nothing to answer to, or
    nobody who waits. supports: for 415 and 420, what the answer says besides."""

    code: int
    words: str
    fields: Fields = field(default_factory=dict)
    supports: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """asserted: who the trunk says calls. max_forwards: 70 where it says none. body: bytes as
    Latin-1, that is one character each."""

    method: str
    target: Uri
    vias: tuple[str, ...]
    top: Via
    sender: NameAddr
    to: NameAddr
    call_id: str
    sequence: int
    max_forwards: int
    contact: NameAddr | None
    record_routes: tuple[str, ...]
    asserted: NameAddr | None
    private: bool
    content_type: str
    fields: Fields
    body: str

    @property
    def in_dialog(self) -> bool:
        """It belongs to a call that there is."""
        return bool(self.to.tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The words behind its code are not read at all."""

    code: int
    via: str
    sender: NameAddr
    to: NameAddr
    call_id: str
    sequence: int
    method: str
    contact: NameAddr | None
    record_routes: tuple[str, ...]
    content_type: str
    body: str


Incoming = Request | Response | Fault | None
"""None: it is dropped, for example what keeps a way through a firewall open."""


def read_message(data: bytes) -> Incoming:
    """What a datagram is."""
    if len(data) > MOST_BYTES:
        return None
    text = data.decode("latin-1").lstrip("\r\n")
    head, found, body = text.partition("\r\n\r\n")
    if not found or not head:
        return None
    lines = _unfolded(head.split("\r\n"))
    if lines is None or len(lines) > MOST_FIELDS:
        return None
    start, *rest = lines
    fields = _fields(rest)
    if start.startswith("SIP/"):
        return None if fields is None else _response(start, fields, body)
    return _request(start, fields if fields is not None else {}, body, cut=fields is not None)


def _unfolded(lines: list[str]) -> list[str] | None:
    found: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and len(found) > 1:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
        if len(found[-1]) > MOST_FIELD_BYTES or _CONTROL.search(line):
            return None
    return found


def _fields(lines: list[str]) -> Fields | None:
    """By name in lower case and in full, each value of a list by itself; None: not readable."""
    found: Fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t").lower()
        if not colon or not TOKEN.match(name):
            return None
        name = _COMPACT.get(name, name)
        values = split_outside_quotes(value, ",") if name in _LISTS else [value]
        found.setdefault(name, []).extend(one.strip() for one in values)
    return found


class _FaultFoundError(Exception):
    def __init__(self, code: int, words: str, supports: str = "") -> None:
        self.code, self.words, self.supports = code, words, supports


def _request(start: str, fields: Fields, body: str, *, cut: bool) -> Incoming:
    if not cut or not all(fields.get(one) for one in ("via", "from", "call-id", "cseq", "to")):
        return None  # nothing that an answer could name
    answerable = {
        one: fields[one][:] if one == "via" else fields[one][:1]
        for one in ("via", "from", "to", "call-id", "cseq")
    }
    method = start.partition(" ")[0]
    tops = [via(one) for one in fields["via"][:MOST_VIAS]]
    if tops[0] is None or method == "ACK":
        answerable = {}
    try:
        return _checked(start, fields, body, tops)
    except _FaultFoundError as fault:
        return Fault(code=fault.code, words=fault.words, fields=answerable, supports=fault.supports)


def _checked(start: str, fields: Fields, body: str, tops: list[Via | None]) -> Request:
    line = _REQUEST_LINE.match(start)
    if line is None:
        raise _FaultFoundError(400, "the request line is not METHOD URI VERSION")
    method, target_text, version = line.groups()
    if version != "SIP/2.0":
        raise _FaultFoundError(505, "the version is not SIP/2.0")
    for name in _SINGLE:
        if len(fields.get(name, ())) > 1:
            raise _FaultFoundError(400, f"{name} is there more than once")
    if None in tops or len(fields["via"]) > MOST_VIAS:
        raise _FaultFoundError(400, "a Via is not readable")
    top = tops[0]
    assert top is not None
    if top.branch == "z9hG4bK":
        raise _FaultFoundError(400, "the branch of the Via names no transaction")
    sender, to = name_addr(fields["from"][0]), name_addr(fields["to"][0])
    if sender is None or to is None or not is_call_id(fields["call-id"][0]):
        raise _FaultFoundError(400, "From, To or Call-ID is not readable")
    sequence, named = _sequence(fields["cseq"][0])
    if named != method:
        raise _FaultFoundError(400, "CSeq names another method")
    target = _target(target_text)
    forwards = _forwards(fields)
    if forwards == 0 and method not in ("ACK", "CANCEL"):
        raise _FaultFoundError(483, "it went through too many servers")
    if fields.get("require") and method not in ("ACK", "CANCEL"):
        tags = ", ".join(fields["require"])
        tags = tags if re.fullmatch(r"[A-Za-z0-9\-.!%*_+`'~, ]{1,200}", tags) else ""
        raise _FaultFoundError(420, "it requires extensions", tags)
    contact = _contact(fields, needed=method == "INVITE")
    kind, body = _body(fields, body, method)
    return Request(
        method=method, target=target, vias=tuple(fields["via"]), top=top, sender=sender, to=to,
        call_id=fields["call-id"][0], sequence=sequence, max_forwards=forwards, contact=contact,
        record_routes=_routes(fields), asserted=_asserted(fields),
        private="id" in _words(fields.get("privacy", []), ";"),
        content_type=kind, fields=fields, body=body,
    )  # fmt: skip


def _response(start: str, fields: Fields, body: str) -> Response | None:
    line = _STATUS_LINE.match(start)
    if line is None or not 100 <= int(line[1]) <= 699:
        return None
    if any(len(fields.get(one, ())) != 1 for one in ("via", "from", "to", "call-id", "cseq")):
        return None
    if any(len(fields.get(one, ())) > 1 for one in _SINGLE):
        return None
    sender, to = name_addr(fields["from"][0]), name_addr(fields["to"][0])
    if sender is None or to is None or via(fields["via"][0]) is None:
        return None
    try:
        sequence, method = _sequence(fields["cseq"][0])
        contact = _contact(fields, needed=False)
        kind, body = _body(fields, body, "")
        routes = _routes(fields)
    except _FaultFoundError:
        return None
    return Response(
        code=int(line[1]), via=fields["via"][0], sender=sender, to=to,
        call_id=fields["call-id"][0], sequence=sequence, method=method, contact=contact,
        record_routes=routes, content_type=kind, body=body,
    )  # fmt: skip


def _sequence(text: str) -> tuple[int, str]:
    read = _SEQUENCE.match(text)
    if read is None or int(read[1]) > MOST_SEQUENCE:
        raise _FaultFoundError(400, "CSeq is not a number below 2^31 and a method")
    return int(read[1]), read[2]


def _target(text: str) -> Uri:
    if text.startswith("<") or not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        raise _FaultFoundError(400, "the request URI is none")
    emergency = text.lower().startswith("urn:service:sos")
    if text.partition(":")[0].lower() not in SCHEMES and not emergency:
        raise _FaultFoundError(416, "the scheme of the request URI is not sip or tel")
    read = uri(text)
    if read is None or read.headers:
        raise _FaultFoundError(400, "the request URI is none")
    return read


def _forwards(fields: Fields) -> int:
    text = fields.get("max-forwards", ["70"])[0]
    if not re.fullmatch(r"\d{1,9}", text) or int(text) > 255:
        raise _FaultFoundError(400, "Max-Forwards is not 0 to 255")
    return int(text)


def _contact(fields: Fields, *, needed: bool) -> NameAddr | None:
    values = fields.get("contact", [])
    if not values or values == ["*"]:
        if needed:
            raise _FaultFoundError(400, "Contact is missing")
        return None
    read = name_addr(values[0])
    if read is None or (needed and (len(values) > 1 or read.uri.scheme not in ("sip", "sips"))):
        raise _FaultFoundError(400, "Contact is not one SIP address")
    return read if read.uri.scheme in ("sip", "sips") and not read.uri.headers else None


def _routes(fields: Fields) -> tuple[str, ...]:
    found = []
    for one in fields.get("record-route", []):
        read = name_addr(one)
        if read is None or read.uri.scheme not in ("sip", "sips") or read.uri.headers:
            raise _FaultFoundError(400, "Record-Route is not readable")
        found.append(f"<{read.uri_text}>")
    return tuple(found)


def _asserted(fields: Fields) -> NameAddr | None:
    """RFC 3325, 9.1: one SIP address, one number, or one of each; the number is the one."""
    read = [name_addr(one) for one in fields.get("p-asserted-identity", [])[:2]]
    for one in read:
        if one is not None and one.uri.scheme == "tel":
            return one
    return read[0] if read else None


def _body(fields: Fields, body: str, method: str) -> tuple[str, str]:
    """Its type, in lower case and without parameters, and itself, cut to its length."""
    if any(one.strip().lower() != "identity" for one in fields.get("content-encoding", [])):
        raise _FaultFoundError(415, "the body is encoded", "Accept-Encoding: identity")
    said = fields.get("content-length")
    if said is not None:
        if not re.fullmatch(r"\d{1,9}", said[0]):
            raise _FaultFoundError(400, "Content-Length is no number")
        if int(said[0]) > len(body):
            raise _FaultFoundError(400, "the body is shorter than Content-Length")
        body = body[: int(said[0])]
    kind = fields.get("content-type", [""])[0].partition(";")[0].strip().lower()
    if body and not kind:
        raise _FaultFoundError(400, "the body has no Content-Type")
    wanted = {"INVITE": "application/sdp", "MESSAGE": "text/plain"}.get(method)
    if wanted and body and kind != wanted:
        raise _FaultFoundError(415, f"the body is not {wanted}", f"Accept: {wanted}")
    if method == "INVITE" and "accept" in fields:
        taken = _words(fields["accept"], ",")
        if not {"application/sdp", "application/*", "*/*"} & taken:
            raise _FaultFoundError(406, "an answer could only be application/sdp")
    return kind, body


def _words(values: list[str], mark: str) -> set[str]:
    """The items of a list, in lower case, without what is behind a `;`."""
    return {one.partition(";")[0].strip().lower() for value in values for one in value.split(mark)}
