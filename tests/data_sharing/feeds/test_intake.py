"""Intake: every way in which something is no event of a feed, and what is kept of one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.feed_key import KeyPath, key_text
from data_sharing.feeds.feed import Feed
from data_sharing.feeds.intake import (
    Envelope,
    Intake,
    IntakeLimits,
    Refusal,
    is_json,
    parse_time,
)
from data_sharing.feeds.port import Candidate
from data_sharing.schemas import DataSchema

NOW_MS = 1_790_000_000_000
SCHEMA = DataSchema(
    {
        "type": "object",
        "properties": {"road": {"type": ["string", "integer"]}, "speed": {"type": "number"}},
    }
)
FEEDS = {
    "by.road": Feed("shop", "by.road", "traffic", SCHEMA, KeyPath.parse("/data/road")),
    "by.open": Feed("shop", "by.open", "traffic", DataSchema({}), KeyPath.parse("/data/road")),
    "by.place": Feed("shop", "by.place", "traffic", SCHEMA, KeyPath.parse("/data/at/place")),
    "by.subject": Feed("shop", "by.subject", "traffic", SCHEMA, KeyPath.parse("/subject")),
    "by.source": Feed("shop", "by.source", "traffic", SCHEMA, KeyPath.parse("/source")),
    "by.partition": Feed("shop", "by.partition", "traffic", SCHEMA, KeyPath.parse("/partitionkey")),
}
INTAKE = Intake(
    lambda tenant, type_: FEEDS.get(type_) if tenant == "shop" else None,
    IntakeLimits(event_bytes=4096),
)
INTAKE_OF_LARGE = Intake(lambda tenant, type_: FEEDS["by.road"])


def envelope(**changes) -> Envelope:
    fields = {
        "id": "1", "source": "/t", "specversion": "1.0", "type": "by.road",
        "data": b'{"road": "A1", "speed": 4.5}', "time_ms": NOW_MS,
    }  # fmt: skip
    return Envelope(**(fields | changes))


def check(**changes) -> Candidate | Refusal:
    return INTAKE.check("shop", envelope(**changes), NOW_MS)


def test_what_passes_is_an_event_with_its_key_and_its_bytes():
    kept = check(subject="s", datacontenttype="application/json")
    assert isinstance(kept, Candidate)
    event = kept.event
    assert (event.tenant, event.key, event.time_ms, event.subject) == ("shop", "A1", NOW_MS, "s")
    assert event.data == {"road": "A1", "speed": 4.5}
    assert kept.content == b'{"road": "A1", "speed": 4.5}'
    assert json.loads(kept.attributes) == {"datacontenttype": "application/json"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"specversion": ""}, "specversion", id="no-version"),
        pytest.param({"specversion": "1.1"}, "specversion", id="another-version"),
        pytest.param({"id": ""}, "id", id="no-id"),
        pytest.param({"source": ""}, "source", id="no-source"),
        pytest.param({"type": ""}, "type", id="no-type"),
        pytest.param({"data": None}, "data", id="no-data"),
        pytest.param({"data": b""}, "data", id="empty-data"),
        pytest.param({"id": "x" * 513}, "id", id="a-long-id"),
        pytest.param({"id": "é" * 300}, "id", id="an-id-long-in-bytes"),
        pytest.param({"source": "/" + "x" * 600}, "source", id="a-long-source"),
        pytest.param({"subject": "x" * 600}, "subject", id="a-long-subject"),
        pytest.param({"id": "a\nb"}, "id", id="a-line-break-in-the-id"),
        pytest.param({"id": "a\u0085b"}, "id", id="a-c1-control-in-the-id"),
        pytest.param({"subject": "\ud800"}, "subject", id="a-lone-surrogate"),
        pytest.param({"source": "a b"}, "source", id="a-space-in-the-source"),
        pytest.param({"source": "é b"}, "source", id="and-beside-other-letters"),
        pytest.param({"time_ms": NOW_MS + 301_000}, "time", id="a-time-to-come"),
        pytest.param({"time_ms": NOW_MS - 8 * 86_400_000}, "time", id="a-time-long-past"),
        pytest.param({"time_ms": -(10**15)}, "time", id="a-time-before-all-times"),
        pytest.param({"data": b"[1]"}, "data", id="data-that-is-a-list"),
        pytest.param({"data": b"5"}, "data", id="data-that-is-a-number"),
        pytest.param({"data": b"{"}, "data", id="data-that-is-cut"),
        pytest.param({"data": b'{"road": "\xff"}'}, "data", id="data-that-is-not-utf8"),
        pytest.param({"data": b'{"road": NaN}'}, "data", id="not-a-number"),
        pytest.param({"data": b"\xef\xbb\xbf{}"}, "data", id="a-byte-order-mark"),
        pytest.param({"data": b'{"a":' * 1900 + b"1" + b"}" * 1900}, "data", id="too-large"),
        pytest.param({"data": b'{"a":' * 600 + b"1" + b"}" * 600}, "data/road", id="no-key-there"),
        pytest.param({"data": b'{"road": "A1", "speed": "x"}'}, "data/speed", id="a-breach"),
        pytest.param({"data": b'{"speed": 1}'}, "data/road", id="no-key"),
        pytest.param({"data": b'{"road": ""}'}, "data/road", id="an-empty-key"),
        pytest.param(
            {"data": json.dumps({"road": "x" * 257}).encode()}, "data/road", id="a-long-key"
        ),
        pytest.param(
            {"data": b'{"road": %s}' % (b"9" * 256)}, "data/road", id="a-key-of-many-digits"
        ),
        pytest.param(
            {"data": b'{"road": 9007199254740993.0}'}, "data/road", id="a-key-that-is-several"
        ),
        pytest.param({"type": "by.open", "data": b'{"road": 7.5}'}, "data/road", id="a-fraction"),
        pytest.param({"data": b'{"road": "a", "n": 1e400}'}, "data", id="past-all-doubles"),
        pytest.param({"data": b'{"n": %s}' % (b"9" * 4_500)}, "data", id="a-long-number"),
        pytest.param({"type": "by.place"}, "data/at/place", id="no-key-further-in"),
        pytest.param({"type": "by.subject"}, "subject", id="no-subject-where-it-is-the-key"),
        pytest.param({"type": "by.partition"}, "partitionkey", id="no-partition-key"),
        pytest.param({"datacontenttype": "text/plain"}, "datacontenttype", id="text"),
        pytest.param({"datacontenttype": "application/jsonx"}, "datacontenttype", id="nearly-json"),
        pytest.param({"dataschema": "\ud800"}, "dataschema", id="a-surrogate-in-the-schema"),
        pytest.param({"extensions": {"Upper": "x"}}, "Upper", id="a-name-in-capitals"),
        pytest.param({"extensions": {"x" * 21: "x"}}, "x" * 21, id="a-long-name"),
        pytest.param({"extensions": {"a": "\x00"}}, "a", id="a-null-in-an-extension"),
        pytest.param(
            {"extensions": {f"a{n}": n for n in range(33)}}, "attributes", id="many-extensions"
        ),
        pytest.param({"extensions": {"a": "x" * 5000}}, "data", id="extensions-that-are-large"),
    ],
)  # fmt: skip
def test_what_does_not_pass_names_its_field(changes, field):
    refused = check(**changes)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", field), refused
    assert refused.message


@pytest.mark.parametrize("number", ["1e400", "-1e999", "9" * 4_500])
def test_a_number_past_all_doubles_is_told_as_one(number):
    refused = INTAKE_OF_LARGE.check("shop", envelope(data=b'{"n": %s}' % number.encode()), NOW_MS)
    assert isinstance(refused, Refusal)
    assert "number" in refused.message
    assert "not JSON" not in refused.message


def test_a_type_nobody_produces_is_not_found_and_so_is_another_tenants():
    for tenant, type_ in (("shop", "none"), ("bank", "by.road")):
        refused = INTAKE.check(tenant, envelope(type=type_), NOW_MS)
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.field) == ("NOT_FOUND", "type")


def test_an_application_publishes_its_own_feeds_alone():
    assert isinstance(INTAKE.check("shop", envelope(), NOW_MS, "traffic"), Candidate)
    refused = INTAKE.check("shop", envelope(), NOW_MS, "weather")
    assert isinstance(refused, Refusal)
    assert refused.code == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data": b'{"road": 7}'}, "7"),
        ({"data": b'{"road": 7.0}'}, "7"),
        ({"data": b'{"road": 70e-1}'}, "7"),
        ({"data": b'{"road": -0.0}'}, "0"),
        ({"data": b'{"road": 9007199254740993}'}, "9007199254740993"),
        ({"data": b'{"road": -%s}' % (b"9" * 255)}, "-" + "9" * 255),
        ({"type": "by.place", "data": b'{"at": {"place": "x"}}'}, "x"),
        ({"type": "by.subject", "subject": "s"}, "s"),
        ({"type": "by.source"}, "/t"),
        ({"type": "by.partition", "extensions": {"partitionkey": "p"}}, "p"),
    ],
)
def test_the_key_is_where_the_feed_says(changes, key):
    kept = check(**changes)
    assert isinstance(kept, Candidate)
    assert kept.event.key == key


def test_an_event_without_time_gets_that_of_acceptance():
    kept = check(time_ms=None)
    assert isinstance(kept, Candidate)
    assert kept.event.time_ms == NOW_MS


@given(
    st.builds(
        Envelope,
        id=st.text(max_size=8),
        source=st.text(max_size=8),
        specversion=st.sampled_from(["1.0", "1.0", "", "0.3"]),
        type=st.sampled_from([*FEEDS, "none"]),
        data=st.none()
        | st.binary(max_size=30)
        | st.dictionaries(
            st.sampled_from(["road", "speed", "x"]),
            st.none() | st.integers() | st.text(max_size=4) | st.floats(allow_nan=False),
        ).map(lambda data: json.dumps(data).encode()),
        subject=st.text(max_size=4),
        time_ms=st.none() | st.integers(),
        datacontenttype=st.sampled_from(["", "application/json", "text/plain"]) | st.text(),
        dataschema=st.text(max_size=4),
        extensions=st.none()
        | st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers() | st.booleans()),
    )
)
def test_whatever_comes_is_kept_or_refused_with_a_reason(given_envelope):
    judged = INTAKE.check("shop", given_envelope, NOW_MS)
    if isinstance(judged, Refusal):
        assert judged.code in ("INVALID_ARGUMENT", "NOT_FOUND")
        assert judged.field
        assert judged.message
    else:
        assert SCHEMA.accepts(judged.event.data)
        assert judged.event.key
        assert json.loads(judged.content) == judged.event.data
        judged.event.id.encode()
        if judged.attributes:
            json.loads(judged.attributes)


@pytest.mark.parametrize(
    ("text", "unix_ms"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01+01:00", 1000),
        ("1970-01-01T00:00:00.123456Z", 123),
    ],
)
def test_times_of_rfc_3339(text, unix_ms):
    assert parse_time(text) == unix_ms


@pytest.mark.parametrize("text", ["", "yesterday", "1970-01-01", "1970-01-01T00:00:00", "12"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


def test_keys_and_content_types():
    assert [key_text(one) for one in ("a", 5, True, 1.5, None, "", [])] == [
        "a", "5", None, None, None, None, None,
    ]  # fmt: skip
    for pointer in ("data/road", "/data", "/id", "/time", "/subject/x", ""):
        with pytest.raises(ValueError, match=r".+"):
            KeyPath.parse(pointer)
    assert all(
        is_json(one) for one in ("", "application/json", "text/json", "Application/Cloud+JSON ;a=b")
    )
    assert not any(is_json(one) for one in ("text/plain", "json", "application/json5", "a/+json"))


def test_an_event_that_its_schema_takes_too_long_for_is_refused_unread():
    schema = DataSchema(
        {"properties": {"l": {"items": {"anyOf": [{"const": n} for n in range(99)]}}}}
    )
    feed = Feed("t", "a.b", "app", schema, KeyPath.parse("/subject"))
    intake = Intake(lambda tenant, type_: feed)

    def judged(values):
        data = b'{"l": [' + b"98," * values + b"98]}"
        return intake.check("t", Envelope("a", "/s", "1.0", "a.b", data, subject="k"), 0)

    assert isinstance(judged(90), Candidate)
    refused = judged(20_000)
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", "data")
    assert "Send less at once" in refused.message


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        pytest.param(r'{"k": "a\u0000b"}', True, id="in-a-text"),
        pytest.param(r'{"k": "\u0000"}', True, id="alone"),
        pytest.param(r'{"k": [{"l": ["\u0000"]}]}', True, id="deep"),
        pytest.param(r'{"a\u0000b": 1}', True, id="in-a-name"),
        pytest.param(r'{"k": "\\u0000"}', False, id="six-characters-that-look-like-it"),
        pytest.param(r'{"k": "\u0001"}', False, id="another-control-character"),
    ],
)
def test_a_text_at_whose_middle_conditions_would_end_is_refused(data: str, refused: bool) -> None:
    feed = Feed("t", "a.b", "app", DataSchema({}), KeyPath.parse("/subject"))
    intake = Intake(lambda tenant, type_: feed)
    judged = intake.check("t", Envelope("a", "/s", "1.0", "a.b", data.encode(), subject="k"), 0)
    assert isinstance(judged, Refusal) is refused
    if refused:
        assert (judged.code, judged.field) == ("INVALID_ARGUMENT", "data")
        assert "U+0000" in judged.message
