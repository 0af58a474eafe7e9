"""CloudEvents in their JSON format: to envelopes, one or a batch.

JSON is read strictly and one event at a time: what is wrong with an event, even that it is no
JSON or not UTF-8, is its own refusal and leaves a batch alone. Data stays as it was written.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, TypeAlias

import msgspec

from data_sharing.api.cloudevent_attributes import envelope_of, not_utf8, refused
from data_sharing.feeds.attributes import field_of, parse_time
from data_sharing.feeds.intake import Envelope, Refusal

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MAX_BATCH = 1_000
_FEW = 40  # members of an event that is looked through once for each
_Other: TypeAlias = list[Any] | str | int | float | bool | None
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | _Other).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value = msgspec.json.Decoder(msgspec.Raw).decode
_SPACE = b" \t\r\n"
_MARK = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """An event with no extensions whose data is JSON, as nearly all are."""

    id: str
    source: str
    specversion: str
    type: str
    data: msgspec.Raw
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None


_plain = msgspec.json.Decoder(_Plain).decode
_PLAIN_NAMES = tuple(b'"%s"' % name.encode() for name in _Plain.__struct_fields__)


class NotEvents(Exception):
    """A body that is wrong as a whole; one sentence. field: the part at fault."""

    def __init__(self, message: str, field: str = "body") -> None:
        super().__init__(message)
        self.field = field


def envelope_from_json(content: bytes) -> Envelope | Refusal:
    """An event in JSON format. Raises NotEvents where that is no JSON at all."""
    plain = _plain_envelope(content)
    if plain is not None:
        return plain
    try:
        members = _members(content)
        repeated = _repeated(content, members)
    except _NOT_JSON as error:
        raise NotEvents(f"the body is not a CloudEvent in JSON: {error}") from error
    return _envelope(members, repeated)


def envelopes_from_batch(content: bytes) -> list[Envelope | Refusal]:
    """A JSON array of 1 to 1,000 events. Raises NotEvents."""
    try:
        parts: list[Any] = _array(content)
    except _NOT_JSON as error:
        # One of its events may be to blame, which is no fault of the others.
        parts = _parts(content)
        if not parts:
            raise NotEvents(f"the body is not a JSON array of CloudEvents: {error}") from error
    if not 0 < len(parts) <= MAX_BATCH:
        raise NotEvents(
            f"the batch holds {len(parts):,} events; 1 to {MAX_BATCH:,} are taken", "events"
        )
    return [_of_batch(bytes(part)) for part in parts]


def _of_batch(content: bytes) -> Envelope | Refusal:
    plain = _plain_envelope(content)
    if plain is not None:
        return plain
    try:
        members = _members(content)
        repeated = _repeated(content, members)
    except _NOT_JSON as error:
        return refused("event", f"this is not a CloudEvent in JSON: {error}")
    return _envelope(members, repeated)


def _plain_envelope(content: bytes) -> Envelope | None:
    """A plain event in one go. None: it is none, or something is wrong with it; the long way finds
    out what. A test holds one to the other."""
    if b"\\" in content:  # a name may be escaped, and so stand there twice
        return None
    for name in _PLAIN_NAMES:
        if content.count(name) > 1:
            return None
    try:
        event = _plain(content)
        time_ms = None if event.time is None else parse_time(event.time)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    subject, kind, schema = event.subject, event.datacontenttype, event.dataschema
    if not (event.id and event.source and event.specversion and event.type) or "" in (
        subject, kind, schema,
    ):  # fmt: skip
        return None
    data = bytes(event.data)
    return Envelope(
        event.id, event.source, event.specversion, event.type, None if data == b"null" else data,
        subject or "", time_ms, kind or "", schema or "",
    )  # fmt: skip


def _repeated(content: bytes, members: Any) -> str | None:
    """The first name that an event has twice, of which no order says which is meant (RFC 8259,
    section 4); None: there is none."""
    if not isinstance(members, dict):
        return None
    if (
        len(members) <= _FEW
        and b"\\" not in content
        and all(content.count(b'"%s"' % one.encode()) == 1 for one in members)
    ):
        return None  # nearly always; else a name may also stand in the data, or be escaped
    # Of every object its names; the last is the event's.
    names: list[str] = json.loads(
        content.decode(errors="replace"),  # values alone: names have been read
        object_pairs_hook=lambda pairs: [name for name, _ in pairs],
        parse_int=len,
        parse_float=len,
    )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _parts(content: bytes) -> list[bytes]:
    """What stands between the commas of an array, told by strings and brackets alone; empty
    where that is no array."""
    text = content.strip(_SPACE)
    if text[:1] != b"[" or text[-1:] != b"]":
        return []
    parts: list[bytes] = []
    depth, begin = 0, 1
    for mark in _MARK.finditer(text):
        kind = mark[0]
        if kind in b"[{":
            depth += 1
        elif kind in b"]}":
            depth -= 1
            if depth == 0 and mark.end() != len(text):
                return []
        if (kind == b"," and depth == 1) or depth == 0:
            parts.append(text[begin : mark.start()].strip(_SPACE))
            begin = mark.end()
    return parts if depth == 0 and all(parts) else []


def _envelope(members: Any, repeated: str | None) -> Envelope | Refusal:
    if not isinstance(members, dict):
        return refused("event", "a CloudEvent in JSON is an object")
    if repeated is not None:
        return refused(field_of(repeated), f"{field_of(repeated)} stands there twice")
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    given: dict[str, Any] = {}
    for name, raw in members.items():
        try:
            given[name] = _decode(raw)
            if isinstance(given[name], str):
                given[name].encode()
        except RecursionError:
            return refused(field_of(name), f"{field_of(name)} is nested too deep")
        except UnicodeError:
            return not_utf8(name)
        except msgspec.DecodeError as error:  # a number of 5,000 digits, or past all doubles
            return refused(field_of(name), f"{field_of(name)} cannot be read: {error}")
    content = None if data is None or bytes(data) == b"null" else bytes(data)
    if encoded is not None and bytes(encoded) != b"null":
        if content is not None:
            return refused("data_base64", "data and data_base64 are both there; give one of them")
        found = _of_base64(encoded)
        if isinstance(found, Refusal):
            return found
        content = found
    return envelope_of(given, content)


def _of_base64(raw: msgspec.Raw) -> bytes | Refusal:
    """Bytes that are JSON: the same event as with the JSON itself in `data`."""
    try:
        text = _decode(raw)
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError as error:  # also of msgspec and of binascii
        return refused("data_base64", f"data_base64 is no base64: {error}")
    if content is None:
        return refused("data_base64", "data_base64 must be a string")
    try:
        _value(content)
    except _NOT_JSON as error:
        return refused("data_base64", f"data_base64 holds bytes that are no JSON: {error}")
    return content
