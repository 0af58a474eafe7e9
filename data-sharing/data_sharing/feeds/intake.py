"""Intake: checks that an envelope is a valid CloudEvent of a known feed, and makes of it what the
log keeps.

Every format ends in an Envelope, and every envelope is judged here, by the same rules and
with the same words: required attributes, size, time, schema, key. Pure but for the table of
feeds; some 5 µs an event. A refusal is a result: it leaves its batch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgspec

from data_sharing.correlation import UNKNOWN, WrongCorrelation, read_correlation
from data_sharing.event import Event
from data_sharing.feed_key import MAX_KEY_BYTES, key_text
from data_sharing.feeds.attributes import (
    FORBIDDEN,
    MAX_TEXT_BYTES,
    NUL,
    extension_text,
    field_of,
    holds_nul,
    is_extension_name,
    is_json,
    is_uri,
    is_uri_reference,
    shown,
)
from data_sharing.feeds.attributes import parse_time as parse_time
from data_sharing.feeds.feed import Feed, FindFeed
from data_sharing.feeds.port import Candidate
from data_sharing.spans import trace_of_extensions

Elsewhere: TypeAlias = Callable[[str, str], int | None]
"""(tenant, key) to the partition that has the key; None: this one."""

MAX_EVENT_BYTES = 64 * 1024  # what CloudEvents asks every intermediary to carry
MAX_EXTENSIONS = 32
_NUL = NUL.encode()


class Envelope(msgspec.Struct, frozen=True):
    """A CloudEvent, decoded from its format and not yet judged. Texts are empty where the
    event does not have the attribute."""

    id: str
    source: str
    specversion: str
    type: str
    data: bytes | None  # as it came; None: none
    subject: str = ""
    time_ms: int | None = None
    datacontenttype: str = ""
    dataschema: str = ""
    extensions: Mapping[str, str | int | bool] | None = None


class Refusal(NamedTuple):
    """Why an event is not taken. `code`: canonical gRPC status name; `field`: the attribute,
    or the JSON Pointer to the part of its data, behind "data"."""

    code: str
    field: str
    message: str
    partition: int = -1  # that has the event's key, where another one does; -1: no matter of that


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """What may come in."""

    event_bytes: int = MAX_EVENT_BYTES  # data and attributes together
    ahead_s: float = 300.0  # how far an event's time may be in the future: clocks differ
    late_s: float = 7 * 86_400.0  # and how far in the past


class Intake:
    """See the module."""

    def __init__(
        self,
        find: FindFeed,
        limits: IntakeLimits | None = None,
        *,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """elsewhere: None: all keys are in one partition."""
        self._find = find
        self._elsewhere = elsewhere
        limits = limits or IntakeLimits()
        self._event_bytes = limits.event_bytes
        self._ahead_s, self._late_s = limits.ahead_s, limits.late_s
        self._ahead_ms, self._late_ms = int(limits.ahead_s * 1000), int(limits.late_s * 1000)
        self._decode = msgspec.json.Decoder().decode

    def check(
        self, tenant: str, envelope: Envelope, now_ms: int, application: str = ""
    ) -> Candidate | Refusal:
        """`application`: the only one whose feeds the caller may publish; empty: any."""
        name, source, type_, content = envelope.id, envelope.source, envelope.type, envelope.data
        if not (envelope.specversion == "1.0" and name and source and type_ and content):
            return _incomplete(envelope)
        feed = self._find(tenant, type_)
        if feed is None:
            return Refusal(
                "NOT_FOUND", "type",
                f"no application of tenant {tenant} produces {shown(type_)}; submit one that does",
            )  # fmt: skip
        if application and feed.application != application:
            return Refusal(
                "PERMISSION_DENIED", "type",
                f"{type_} is a feed of {feed.application}; {application} may publish its own alone",
            )  # fmt: skip
        subject, time_ms = envelope.subject, envelope.time_ms
        if len(content) + len(name) + len(source) + len(subject) + 64 > self._event_bytes:
            return self._too_large()
        said = f"{name}{source}{subject}"
        if not (said.isascii() and said.isprintable()) or len(said) > MAX_TEXT_BYTES:
            wrong = _bad_text(name, source, subject)
            if wrong is not None:
                return wrong
        if not is_uri_reference(source):
            return _bad_source(source)
        if time_ms is None:
            time_ms = now_ms
        elif not now_ms - self._late_ms <= time_ms <= now_ms + self._ahead_ms:
            return self._implausible(time_ms, now_ms)
        attributes, trace, correlation = b"", "", UNKNOWN
        if envelope.datacontenttype or envelope.dataschema or envelope.extensions:
            kept = _attributes(envelope.datacontenttype, envelope.dataschema, envelope.extensions)
            if isinstance(kept, Refusal):
                return kept
            attributes = kept
            if envelope.extensions:
                trace = trace_of_extensions(envelope.extensions)
                try:
                    correlation = read_correlation(envelope.extensions)
                except WrongCorrelation as error:
                    return Refusal("INVALID_ARGUMENT", error.field, str(error))
            if len(content) + len(attributes) > self._event_bytes:
                return self._too_large()
        too_much = feed.schema.too_much_work(content)
        if too_much:
            return Refusal("INVALID_ARGUMENT", "data", f"data {too_much}")
        try:
            data = self._decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _not_json(error)
        if type(data) is not dict:
            return Refusal("INVALID_ARGUMENT", "data", "data must be one JSON object")
        if _NUL in content and holds_nul(data):
            return Refusal(
                "INVALID_ARGUMENT", "data",
                "data holds U+0000, at which a text would end for conditions; leave it out",
            )  # fmt: skip
        if not feed.schema.accepts(data):
            breach = feed.schema.breach(data)
            where = breach.pointer if breach else ""
            message = breach.message if breach else "it breaks its schema"
            return Refusal("INVALID_ARGUMENT", f"data{where}", f"data{where}: {message}")
        key = self._key(feed, envelope, data)
        if key is None:
            return _no_key(feed)
        if self._elsewhere is not None:
            partition = self._elsewhere(tenant, key)
            if partition is not None:
                return _moved(feed, partition)
        if correlation is UNKNOWN:  # nearly always
            event = Event(tenant, source, name, type_, key, time_ms, data, subject, 0, trace)
        else:
            event = Event(
                tenant, source, name, type_, key, time_ms, data, subject, 0, trace, *correlation
            )
        return Candidate(event, content, attributes)

    def _key(self, feed: Feed, envelope: Envelope, data: dict[str, Any]) -> str | None:
        steps = feed.key.steps
        if len(steps) == 1:
            value = data.get(steps[0])
            if type(value) is str and 0 < len(value) <= 64:
                return value
            return key_text(value)
        if steps:
            return feed.key.of_data(data)
        if feed.key.attribute == "partitionkey":
            given = (envelope.extensions or {}).get("partitionkey")
            return None if given is None else key_text(extension_text(given))
        return key_text(getattr(envelope, feed.key.attribute))

    def _too_large(self) -> Refusal:
        return Refusal(
            "INVALID_ARGUMENT", "data",
            f"the event is larger than {self._event_bytes:,} bytes; send a reference to what is "
            "large, not the thing itself",
        )  # fmt: skip

    def _implausible(self, time_ms: int, now_ms: int) -> Refusal:
        off_s = (time_ms - now_ms) / 1000
        if off_s > 0:
            said = f"{off_s:,.0f} s in the future, more than the {self._ahead_s:,.0f} s that clocks may differ"  # noqa: E501
        else:
            said = f"{-off_s:,.0f} s ago; events are taken up to {self._late_s:,.0f} s late"
        return Refusal("INVALID_ARGUMENT", "time", f"time is {said}")


def _moved(feed: Feed, partition: int) -> Refusal:
    return Refusal(
        "FAILED_PRECONDITION", _key_field(feed),
        f"the event is of a key of partition {partition}, which another server has; publish it "
        "there",
        partition,
    )  # fmt: skip


def _incomplete(envelope: Envelope) -> Refusal:
    if not envelope.specversion:
        return Refusal(
            "INVALID_ARGUMENT", "specversion", 'specversion is missing; CloudEvents have "1.0"'
        )
    if envelope.specversion != "1.0":
        return Refusal(
            "INVALID_ARGUMENT", "specversion",
            f"specversion is {shown(envelope.specversion)}; only 1.0 is taken",
        )  # fmt: skip
    for field in ("id", "source", "type"):
        if not getattr(envelope, field):
            return Refusal("INVALID_ARGUMENT", field, f"{field} is missing or empty")
    return Refusal(
        "INVALID_ARGUMENT", "data", "data is missing; an event of a feed carries one JSON object"
    )


def _bad_text(name: str, source: str, subject: str) -> Refusal | None:
    for field, text in (("id", name), ("source", source), ("subject", subject)):
        found = FORBIDDEN.search(text)
        if found:
            return Refusal(
                "INVALID_ARGUMENT", field,
                f"{field} contains the character U+{ord(found.group()):04X} at position "
                f"{found.start()}; CloudEvents forbids control characters and noncharacters",
            )  # fmt: skip
        if len(text.encode()) > MAX_TEXT_BYTES:
            return Refusal(
                "INVALID_ARGUMENT", field, f"{field} is longer than {MAX_TEXT_BYTES} bytes"
            )
    return None


def _bad_source(source: str) -> Refusal:
    return Refusal(
        "INVALID_ARGUMENT", "source",
        f"source {shown(source)} is no URI-reference (RFC 3986); percent-encode what a URI does "
        "not have",
    )  # fmt: skip


def _not_json(error: Exception) -> Refusal:
    if isinstance(error, UnicodeDecodeError) or "utf-8" in str(error).lower():
        return Refusal("INVALID_ARGUMENT", "data", f"data is not UTF-8: {error}")
    if isinstance(error, RecursionError):
        return Refusal("INVALID_ARGUMENT", "data", "data is nested too deep")
    if "out of range" in str(error):
        return Refusal(
            "INVALID_ARGUMENT", "data",
            "data holds a number that cannot be kept: one written with a fraction or an exponent "
            "is at most 1.8e308, a whole one has at most 4,300 digits",
        )  # fmt: skip
    return Refusal("INVALID_ARGUMENT", "data", f"data is not JSON: {error}")


def _key_field(feed: Feed) -> str:
    if feed.key.steps:
        return "data" + feed.key.pointer.removeprefix("/data")
    return feed.key.pointer.lstrip("/")


def _no_key(feed: Feed) -> Refusal:
    field = _key_field(feed)
    return Refusal(
        "INVALID_ARGUMENT", field,
        f"{field} is the key of {feed.type}: give it as text of 1 to {MAX_KEY_BYTES} bytes, "
        "or as a whole number",
    )  # fmt: skip


def _attributes(
    content_type: str, dataschema: str, extensions: Mapping[str, str | int | bool] | None
) -> bytes | Refusal:
    """The other attributes as JSON."""
    kept: dict[str, str | int | bool] = {}
    if content_type:
        if content_type == "application/json" and not dataschema and not extensions:
            return b'{"datacontenttype":"application/json"}'  # nearly always
        if not is_json(content_type):
            return Refusal(
                "INVALID_ARGUMENT", "datacontenttype",
                f"datacontenttype is {shown(content_type)}; feeds carry application/json",
            )  # fmt: skip
        kept["datacontenttype"] = content_type
    if dataschema:
        if FORBIDDEN.search(dataschema) or not is_uri(dataschema):
            return Refusal(
                "INVALID_ARGUMENT", "dataschema",
                f"dataschema is {shown(dataschema)}, no URI (RFC 3986) with a scheme",
            )  # fmt: skip
        kept["dataschema"] = dataschema
    if extensions:
        if len(extensions) > MAX_EXTENSIONS:
            return Refusal(
                "INVALID_ARGUMENT", "attributes", f"more than {MAX_EXTENSIONS} extensions"
            )
        for name in extensions:
            if not is_extension_name(name):
                return Refusal(
                    "INVALID_ARGUMENT", field_of(name),
                    f"{shown(name)} is no name for an extension; use 1 to 20 of a-z and 0-9",
                )  # fmt: skip
        kept.update(extensions)
    for name, value in kept.items():
        if isinstance(value, str) and FORBIDDEN.search(value):
            return Refusal(
                "INVALID_ARGUMENT", name, f"{name} contains control characters or noncharacters"
            )
    return msgspec.json.encode(kept)
