"""CloudEvents and what a feed makes of them: one table for every door that events come in by.

A case is a good event with something changed, as values and not in any format; each door writes
it in its own. Expected is the same event kept, or the same refusal, whatever the door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.submissions import SPEED

DATA = b'{"road": "A1", "speed_kmh": 4.50}'
SOURCE = "/city/traffic"
NOW_MS = 1_796_083_140_000  # 2026-11-30T23:59:00Z: a leap second could come in a minute


class Door(StrEnum):
    BINARY = "http-binary"
    STRUCTURED = "http-structured"
    BATCH = "http-batch"
    EVENT = "PublishEvent"
    EVENTS = "PublishBatch"
    STREAM = "PublishEvents"
    LINE = "command-line"


ALL = frozenset(Door)
HTTP_HEADERS = frozenset({Door.BINARY})
JSON = frozenset({Door.STRUCTURED, Door.BATCH, Door.LINE})
PROTO = frozenset({Door.EVENT, Door.EVENTS, Door.STREAM})
BATCHES = frozenset({Door.BATCH, Door.EVENTS, Door.STREAM, Door.LINE})


class Unset:
    """Of an attribute: the format's way to say that it has no value."""

    def __repr__(self) -> str:
        return "UNSET"


class Missing(Unset):
    """Of an attribute: it is not there at all."""


UNSET, MISSING = Unset(), Missing()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCase:
    """given: attributes by name: text, whole number, boolean, bytes (a text that is not UTF-8),
    Timestamp (protobuf alone), UNSET or MISSING. refused: the field at fault; empty: kept, with
    `kept` by name where it is not as given. headers: sent as they are, in binary mode alone. again:
    written a second time, in JSON alone."""

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)
    data: bytes | None = DATA
    data_base64: str | None = None
    refused: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)
    doors: frozenset[Door] = ALL
    headers: tuple[tuple[str, bytes], ...] = ()
    again: Mapping[str, Any] = field(default_factory=dict)
    code: str = "INVALID_ARGUMENT"


def _case(name: str, /, **fields: Any) -> EventCase:
    return EventCase(name=name, **fields)


def _time(text: str, time_ms: int) -> EventCase:
    return _case(f"time-{text}", given={"time": text}, kept={"time_ms": time_ms})


def _no_time(text: str) -> EventCase:
    return _case(f"no-time-{text}", given={"time": text}, refused="time")


def _stamp(seconds: int, nanos: int) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


_MINUTE_MS = 60_000
_S = NOW_MS // 1000

GOOD = (
    _case("an-event"),
    _case("an-id-of-other-letters", given={"id": "Zoë – ✓ 😀"}),
    _case("an-id-with-quotes-and-percent", given={"id": 'a "b" 100% \\ %41'}),
    _case("an-id-that-looks-like-an-escape", given={"id": "%FF"}),
    _case("a-subject-with-spaces", given={"subject": "a b  c"}),
    _case("a-null-extension", given={"unsetextension": UNSET}),
    _case("unset-attributes", given={"subject": UNSET, "time": UNSET, "dataschema": UNSET}),
    _case("extensions", given={"traceparent": "00-ab-01", "a1": "x", "comparesto": ""}),
    _case("extensions-of-other-types", given={"level": 3, "low": -(2**31), "urgent": True}),
    _case("a-flow", given={"correlationid": "flow-1", "causationid": "order 7", "homeporthops": 3}),
    _case("a-flow-that-is-a-number", given={"correlationid": 7, "causationid": True}),
    _case("hops-as-text", given={"homeporthops": "12"}),
    _case("a-flow-that-is-not-there", given={"correlationid": UNSET, "causationid": UNSET}),
    _case("a-long-name", given={"a" * 20: "x"}),
    _case("a-schema", given={"dataschema": "https://example.org/s#v1"}),
    _case("a-source-with-all-parts", given={"source": "//x.example:1/a%20b?q=1#f"}),
    _case("a-source-that-is-a-urn", given={"source": "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c"}),
    *(
        _case(f"data-of-{kind}", given={"datacontenttype": kind})
        for kind in (
            "application/json", "text/json", "APPLICATION/JSON", "application/geo+json",
            "image/x.y+JSON", "application/json; charset=utf-8", 'application/json;a="b;c"',
        )
    ),
    _time("2026-11-30T23:58:00Z", NOW_MS - _MINUTE_MS),
    _time("2026-11-30t23:58:00z", NOW_MS - _MINUTE_MS),
    _time("2026-12-01T00:58:00+01:00", NOW_MS - _MINUTE_MS),
    _time("2026-11-30T18:28:00-05:30", NOW_MS - _MINUTE_MS),
    _time("2026-11-30T23:58:00-00:00", NOW_MS - _MINUTE_MS),
    _time("2026-11-30T23:58:00.1Z", NOW_MS - _MINUTE_MS + 100),
    _time("2026-11-30T23:58:00.0019999Z", NOW_MS - _MINUTE_MS + 1),
    _time("2026-11-30T23:58:00.123456789Z", NOW_MS - _MINUTE_MS + 123),
    _time("2026-11-30T23:58:00.999999999999999999999Z", NOW_MS - _MINUTE_MS + 999),
    _time("2026-11-30T23:59:60Z", NOW_MS + _MINUTE_MS),
    _time("2026-12-01T00:59:60.5+01:00", NOW_MS + _MINUTE_MS + 500),
    _case("a-name-in-the-data", data=b'{"road": "id", "speed_kmh": 4.50}',
          kept={"data": b'{"road": "id", "speed_kmh": 4.50}'}),
    _case(
        "data-in-base64", data=None, data_base64="eyJyb2FkIjogIkExIiwgInNwZWVkX2ttaCI6IDQuNTB9",
        kept={"data": DATA}, doors=JSON,
    ),
    _case(
        "a-timestamp", given={"time": _stamp(_S, 123_999_999)}, kept={"time_ms": NOW_MS + 123},
        doors=PROTO,
    ),
    _case(
        "an-extension-that-is-a-time", given={"seen": _stamp(_S, 0)},
        kept={"seen": "2026-11-30T23:59:00Z"}, doors=PROTO,
    ),
)  # fmt: skip

REFUSED = (
    *(
        _case(f"{what}-{name}", given={name: value}, refused=name)
        for name in ("specversion", "id", "source", "type")
        for what, value in (("no", MISSING), ("unset", UNSET), ("empty", ""))
    ),
    *(
        _case(f"empty-{name}", given={name: ""}, refused=name)
        for name in ("subject", "time", "dataschema")
    ),
    *(
        _case(f"{name}-not-utf8-{place}", given={name: text}, refused=name)
        for name in ("id", "source", "type", "specversion")
        for place, text in enumerate((b"\xff", b"\xfe", b"a\xc0\xa0b", b"\xed\xa0\x80", b"\xc3"))
    ),
    _case("an-old-version", given={"specversion": "0.3"}, refused="specversion"),
    _case("a-version-to-come", given={"specversion": "1.0.2"}, refused="specversion"),
    _case("a-type-nobody-produces", given={"type": "x"}, refused="type", code="NOT_FOUND"),
    _case("a-control-character-in-the-id", given={"id": "a\x7fb"}, refused="id"),
    _case("a-c1-control-in-the-subject", given={"subject": "a\x85b"}, refused="subject"),
    _case("a-noncharacter-in-the-id", given={"id": "a\ufdd0"}, refused="id"),
    _case("the-last-noncharacter", given={"subject": "\U0010ffff"}, refused="subject"),
    _case("a-control-character-in-an-extension", given={"a": "x\x7f"}, refused="a"),
    *(
        _case(f"empty-{name}", given={name: ""}, refused=name)
        for name in ("correlationid", "causationid", "homeporthops")
    ),
    _case("a-long-flow", given={"correlationid": "é" * 257}, refused="correlationid"),
    _case("hops-below-zero", given={"homeporthops": -1}, refused="homeporthops"),
    _case("hops-that-are-no-number", given={"homeporthops": "1e1"}, refused="homeporthops"),
    _case("a-long-id", given={"id": "x" * 513}, refused="id"),
    _case("an-id-long-in-bytes", given={"id": "é" * 257}, refused="id"),
    *(
        _case(f"source-{place}", given={"source": text}, refused="source")
        for place, text in enumerate(
            ("a b", "é", "a|b", "<x>", "a%zz", "a%", "1:2", "##", "{a}", "a\\b", "http://[x", "^")
        )
    ),
    _case("a-schema-without-scheme", given={"dataschema": "s/1"}, refused="dataschema"),
    _case("a-schema-with-a-space", given={"dataschema": "urn:a b"}, refused="dataschema"),
    *(
        _case(f"data-of-{kind}", given={"datacontenttype": kind}, refused="datacontenttype")
        for kind in ("text/plain", "application/jsonx", "application/json5", "json", "a/+json",
                     "application/x-json", "application/cbor")
    ),
    *map(_no_time, (
        "soon", "2026-11-30", "2026-11-30T23:58:00", "2026-11-30 23:58:00Z", "20261130T235800Z",
        "2026-11-30T23:58Z", "2026-11-30T23:58:00,5Z", "2026-11-30T23:58:00.Z",
        "2026-11-30T24:00:00Z", "2026-11-30T23:60:00Z", "2026-11-30T23:58:60Z",
        "2026-11-29T23:59:60Z", "2026-11-30T23:58:61Z", "2026-02-30T00:00:00Z",
        "2026-11-30T23:58:00+24:00", "2026-11-30T23:58:00+01:60", "2026-11-30T23:58:00+0100",
        "2026-W49-1T00:00:00Z", "+2026-11-30T23:58:00Z", "0000-01-01T00:00:00Z",
        "2026-11-30T23:58:00Z ", "1796083140", "２０２６-11-30T23:58:00Z",
        "2001-01-01T00:00:00Z", "2026-12-01T00:09:00Z", "9999-12-31T23:59:59Z",
    )),
    *(
        _case(f"impossible-timestamp-{seconds}-{nanos}", given={"time": _stamp(seconds, nanos)},
              refused="time", doors=PROTO)
        for seconds, nanos in ((_S, 10**9), (_S, -1), (_S, 2**31 - 1), (_S, -(2**31)),
                               (2**63 - 1, 0), (-(2**63), 0), (253_402_300_800, 0))
    ),
    *(
        _case(f"impossible-time-in-an-extension-{nanos}", given={"seen": _stamp(_S, nanos)},
              refused="seen", doors=PROTO)
        for nanos in (10**9, -1)
    ),
    *(
        _case(f"name-{place}", given={name: "x"}, refused=name)
        for place, name in enumerate(("my-extension", "a_b", "a.b", "a" * 21))
    ),
    *(
        _case(f"name-in-letters-{place}", given={name: "x"}, refused=field, doors=JSON | PROTO)
        for place, (name, field) in enumerate({
            "Upper": "Upper", "é": '"é"', "": '""', "a b": '"a b"', "a\0": r'"a\u0000"',
        }.items())
    ),
    *(
        _case(f"{name}-beside-the-field", given={f"+{name}": "x"}, refused=name, doors=PROTO)
        for name in ("id", "source", "specversion", "type", "data")
    ),
    _case("data-among-the-headers", given={"data": "x"}, refused="data",
          doors=HTTP_HEADERS),
    *(
        _case(f"{name}-twice-in-json", again={name: value}, refused=name, doors=JSON)
        for name, value in {
            "id": "other", "source": "/other", "type": SPEED, "specversion": "1.0", "data": {},
        }.items()
    ),
    _case("an-unset-name-twice", given={"subject": UNSET}, again={"subject": UNSET},
          refused="subject", doors=JSON),
    _case("a-number-beyond-32-bits", given={"level": 2**31}, refused="level", doors=JSON),
    *(
        _case(f"{name}-is-a-number", given={name: 7}, refused=name, doors=doors)
        for doors, names in (
            (JSON, ("id", "source", "type", "specversion")),
            (JSON | PROTO, ("subject", "time", "dataschema", "datacontenttype")),
        )
        for name in names
    ),
    _case("no-data", data=None, refused="data"),
    _case("data-that-is-null", data=b"null", refused="data"),
    _case("data-that-is-a-list", data=b"[1]", refused="data"),
    _case("data-that-is-a-text", data=b'"x"', refused="data"),
    _case("data-not-utf8", data=b'{"road": "\xff", "speed_kmh": 1}', refused="data",
          doors=ALL - PROTO),
    _case("data-with-an-overlong-letter", data=b'{"road": "\xc0\xa0", "speed_kmh": 1}',
          refused="data", doors=ALL - PROTO),
    _case("data-that-breaks-the-schema", data=b'{"road": "A1", "speed_kmh": "x"}',
          refused="data/speed_kmh"),
    _case("data-that-is-no-json", data=b'{"road": NaN}', refused="data",
          doors=PROTO | HTTP_HEADERS),
    _case("base64-that-is-none", data=None, data_base64="{}", refused="data_base64", doors=JSON),
    _case("base64-of-what-is-no-json", data=None, data_base64="aGk=", refused="data_base64",
          doors=JSON),
    _case("data-twice", data_base64="e30=", refused="data_base64", doors=JSON),
)  # fmt: skip


def _sent(name: str, *headers: tuple[str, bytes], **fields: Any) -> EventCase:
    return _case(name, headers=headers, doors=HTTP_HEADERS, **fields)


# What only header fields can say: quotes, escapes, lines.
HEADERS = (
    _sent("a-quoted-id", ("ce-id", b'"q"'), kept={"id": "q"}),
    _sent("a-quoted-type", ("ce-type", b'"%s"' % SPEED.encode())),
    _sent("a-quoted-time", ("ce-time", b'"2026-11-30T23:58:00Z"'),
          kept={"time_ms": NOW_MS - _MINUTE_MS}),
    _sent("escapes-in-quotes", ("ce-subject", rb'"say \"hi\" \\ \x"'),
          kept={"subject": 'say "hi" \\ x'}),
    _sent("quotes-within", ("ce-subject", b'a "b c" d'), kept={"subject": "a b c d"}),
    _sent("quotes-then-percent", ("ce-subject", b'"a%20b"'), kept={"subject": "a b"}),
    _sent("percent-then-quotes", ("ce-subject", b"%22a%22"), kept={"subject": '"a"'}),
    _sent("decoded-once", ("ce-subject", b"%2541"), kept={"subject": "%41"}),
    _sent("encoded-without-need", ("ce-id", b"%61%62c"), kept={"id": "abc"}),
    _sent("small-hexadecimal-digits", ("ce-subject", b"caf%c3%a9"), kept={"subject": "café"}),
    _sent("letters-not-encoded", ("ce-subject", "café".encode()), kept={"subject": "café"}),
    _sent("a-name-in-capitals", ("CE-Subject", b"s"), kept={"subject": "s"}),
    _sent("the-content-type-twice", ("ce-datacontenttype", b"application/json"),
          ("content-type", b"application/json"), kept={"datacontenttype": "application/json"}),
    _sent("no-content-type", kept={"datacontenttype": ""}),
    _sent("a-quote-without-end", ("ce-id", b'"q'), refused="id"),
    _sent("a-quote-within-without-end", ("ce-subject", b'5" pipe'), refused="subject"),
    _sent("a-percent-alone", ("ce-id", b"100%"), refused="id"),
    _sent("a-percent-with-one-digit", ("ce-id", b"a%4"), refused="id"),
    _sent("a-percent-with-other-letters", ("ce-id", b"a%zz"), refused="id"),
    _sent("an-overlong-space", ("ce-subject", b"a%C0%A0b"), refused="subject"),
    _sent("half-a-letter", ("ce-subject", b"%C3"), refused="subject"),
    _sent("letters-of-latin-1", ("ce-id", b"caf\xe9"), refused="id"),
    _sent("an-extension-that-is-not-utf8", ("ce-a", b"%FF"), refused="a"),
    _sent("two-ids", ("ce-id", b"a"), ("ce-id", b"b"), refused="id"),
    _sent("one-id-twice", ("ce-id", b"a"), ("Ce-Id", b"a"), refused="id"),
    _sent("an-extension-twice", ("ce-a", b"1"), ("ce-a", b"2"), refused="a"),
    _sent("two-content-types", ("ce-datacontenttype", b"text/json"),
          ("content-type", b"application/json"), refused="datacontenttype"),
    _sent("a-null-that-is-encoded", ("ce-id", b"a%00"), refused="id"),
    _sent("a-line-break-that-is-encoded", ("ce-subject", b"a%0Ab"), refused="subject"),
)  # fmt: skip

CASES = (*GOOD, *REFUSED, *HEADERS)
