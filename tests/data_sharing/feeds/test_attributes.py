"""Values of attributes: times of RFC 3339, media types, URIs and names."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.feeds.attributes import (
    FORBIDDEN,
    extension_text,
    field_of,
    is_extension_name,
    is_json,
    is_uri,
    is_uri_reference,
    parse_time,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones)


@given(moments)
def test_a_time_is_what_a_calendar_makes_of_it(moment: datetime) -> None:
    expected = (moment - EPOCH) // timedelta(milliseconds=1)
    text = moment.isoformat()
    assert parse_time(text) == expected
    assert parse_time(text.replace("T", "t")) == expected
    in_utc = moment.astimezone(UTC).isoformat().removesuffix("+00:00")
    assert parse_time(f"{in_utc}Z") == parse_time(f"{in_utc}z") == expected


@given(st.integers(0, 999), st.text("0123456789", max_size=200))
def test_digits_beyond_a_millisecond_are_cut_off(ms: int, more: str) -> None:
    assert parse_time(f"2001-09-09T01:46:40.{ms:03d}{more}Z") == 1_000_000_000_000 + ms


@given(st.dates(), st.integers(0, 23), st.integers(0, 59), zones)
def test_second_60_is_read_at_the_end_of_a_month_in_utc_alone(day, hour, minute, zone) -> None:
    if not 2 < day.year < 9998:
        return
    before = datetime(day.year, day.month, day.day, hour, minute, 59, tzinfo=zone)
    after = before.astimezone(UTC) + timedelta(seconds=1)
    text = before.isoformat().replace(":59+", ":60+").replace(":59-", ":60-")
    if (after.day, after.hour, after.minute) == (1, 0, 0):
        assert parse_time(text) == (after - EPOCH) // timedelta(milliseconds=1)
    else:
        with pytest.raises(ValueError, match="60"):
            parse_time(text)


@pytest.mark.parametrize(
    ("text", "unix_ms"),
    [
        ("1990-12-31T23:59:60Z", 662_688_000_000),
        ("1990-12-31T15:59:60-08:00", 662_688_000_000),
        ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
    ],
)
def test_times_at_the_edges(text: str, unix_ms: int) -> None:
    assert parse_time(text) == unix_ms


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d*)?[Zz]?"))
def test_any_text_is_a_time_or_no_time(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(parse_time(text), int)


def test_a_text_without_end_is_not_looked_at() -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time("2001-09-09T01:46:40." + "0" * 1_000_000 + "Z")


@pytest.mark.parametrize(
    "kind", ["", "application/json", "TEXT/JSON", "a/b+json", "a/b.c+JSON ; d=e", "x-y/vnd.z+json"]
)
def test_these_say_json(kind: str) -> None:
    assert is_json(kind)


@pytest.mark.parametrize(
    "kind",
    ["json", "/json", "text/plain", "a/jsonx", "a/xjson", "a/+json", "a b/json", "a/json,b/json",
     "a/json x", "json/a", "a/json\n"],
)  # fmt: skip
def test_these_do_not(kind: str) -> None:
    assert not is_json(kind)


def test_names_of_extensions() -> None:
    assert all(map(is_extension_name, ("a", "0", "a" * 20, "traceparent")))
    others = ("", "a" * 21, "A", "a-b", "é", "a\n", "data", "id", "time")
    assert not any(map(is_extension_name, others))
    names = {"a": "a", "id": "id", "Up-per": "Up-per", "A b": '"A b"', "": '""', "é": '"é"'}
    assert {name: field_of(name) for name in names} == names
    assert [extension_text(one) for one in ("x", -3, False)] == ["x", "-3", "false"]


def test_uris() -> None:
    assert all(map(is_uri_reference, ("/a", "a", "?q", "#f", "urn:a", "//h:1/p", "http://[::1]/")))
    assert not any(map(is_uri_reference, ("a b", "é", "%zz", "1:2", "{}", "\\", "<", "##")))
    assert is_uri("urn:a")
    assert not is_uri("/a")


@given(st.characters())
def test_forbidden_letters_are_those_of_the_specification(letter: str) -> None:
    code = ord(letter)
    control = code <= 0x1F or 0x7F <= code <= 0x9F
    noncharacter = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    surrogate = 0xD800 <= code <= 0xDFFF
    assert bool(FORBIDDEN.search(letter)) == (control or noncharacter or surrogate)
