"""HTTP's binary mode: how a header's value stands for an attribute's, and what is none."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.api.cloudevent_headers import decoded, envelope_from_headers, event_headers
from data_sharing.feeds.intake import Envelope, Refusal

HEADERS = {
    "ce-specversion": "1.0", "ce-id": "e1", "ce-source": "/road", "ce-type": "traffic",
    "content-type": "application/json",
}  # fmt: skip
VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def refused_field(found: Any) -> str:
    assert isinstance(found, Refusal)
    assert found.code == "INVALID_ARGUMENT"
    return found.field


def test_attributes_come_from_headers_and_data_from_the_body() -> None:
    headers = {**HEADERS, "ce-subject": "k", "ce-time": "2027-01-15T08:00:00Z", "ce-level": "3"}
    found = envelope_from_headers(headers, b'{"a":1}')
    assert isinstance(found, Envelope)
    assert (found.id, found.subject, found.time_ms) == ("e1", "k", 1_800_000_000_000)
    assert (found.data, found.extensions) == (b'{"a":1}', {"level": "3"})


def test_without_time_or_body_there_is_none() -> None:
    found = envelope_from_headers(HEADERS, b"")
    assert isinstance(found, Envelope)
    assert (found.time_ms, found.data) == (None, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ce-id": ""}, "id"),
        ({"ce-source": ""}, "source"),
        ({"ce-type": ""}, "type"),
        ({"ce-specversion": ""}, "specversion"),
        ({"content-type": "text/plain"}, "datacontenttype"),
        ({"ce-time": "soon"}, "time"),
        ({"ce-subject": ""}, "subject"),
        ({"ce-id": "%FF"}, "id"),
        ({"ce-not a name": "%"}, '"not a name"'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_headers_that_are_missing_or_wrong_are_refused(changes, field: str) -> None:
    assert refused_field(envelope_from_headers({**HEADERS, **changes}, b"{}")) == field


def test_other_headers_are_nothing_of_an_event_and_names_have_no_case() -> None:
    found = event_headers([("Host", "x"), ("host", "y"), ("CE-Id", "1"), ("Content-Type", "a/b")])
    assert found == {"ce-id": "1", "content-type": "a/b"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ([("ce-id", "1"), ("Ce-Id", "1")], "id"),
        ([("content-type", "a/b"), ("Content-Type", "a/b")], "datacontenttype"),
        ([("ce-x y", "1"), ("ce-x y", "2")], '"x y"'),
    ],
)
def test_a_header_that_stands_there_twice_is_refused(fields, field: str) -> None:
    assert refused_field(event_headers(fields)) == field


@given(texts)
def test_what_is_percent_encoded_as_the_binding_says_is_read_back(text: str) -> None:
    assert decoded(quote(text, safe=VISIBLE)) == text


@given(texts)
def test_what_is_encoded_without_need_is_read_back(text: str) -> None:
    assert decoded("".join(f"%{byte:02x}" for byte in text.encode())) == text


@given(texts)
def test_a_quoted_string_is_read_back(text: str) -> None:
    """As senders of earlier versions wrote what is printable; a % has to be encoded even so."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%25")
    assert decoded(f'"{escaped}"') == text


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_two_values_are_one_only_where_they_decode_to_the_same_bytes(one: bytes, other: bytes):
    def read(raw: bytes) -> str | None:
        try:
            return decoded("".join(f"%{byte:02X}" for byte in raw))
        except ValueError:
            return None

    first, second = read(one), read(other)
    assert first is None or second is None or (first == second) == (one == other)


@given(st.text(max_size=12))
def test_any_value_is_a_text_or_a_reason(value: str) -> None:
    with suppress(ValueError):
        decoded(value).encode()
