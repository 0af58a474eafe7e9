"""CloudEvents in JSON, one or a batch: what is read of them, and what is refused by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.api import cloudevent_json
from data_sharing.api.cloudevent_json import (
    NotEvents,
    envelope_from_json,
    envelopes_from_batch,
)
from data_sharing.feeds.intake import Envelope

EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "e1", "source": "/road", "type": "traffic",
    "data": {"minutes": 45},
}  # fmt: skip


def read(**changes: Any) -> Any:
    document = {**EVENT, **changes}
    return envelope_from_json(json.dumps(document).encode())


def refused_field(found: Any) -> str:
    assert not isinstance(found, Envelope)
    assert found.code == "INVALID_ARGUMENT"
    return found.field


def test_data_stays_as_the_producer_wrote_it() -> None:
    found = envelope_from_json(
        b'{"specversion":"1.0","id":"e1","source":"/s","type":"t","data":{"a": 1.50}}'
    )
    assert isinstance(found, Envelope)
    assert found.data == b'{"a": 1.50}'


def test_attributes_and_extensions_are_read() -> None:
    found = read(
        subject="k", time="2027-01-15T08:00:00Z", datacontenttype="application/json",
        dataschema="urn:s", partitionkey="p", level=3, urgent=True,
    )  # fmt: skip
    assert isinstance(found, Envelope)
    assert (found.id, found.source, found.type, found.subject) == ("e1", "/road", "traffic", "k")
    assert (found.time_ms, found.dataschema) == (1_800_000_000_000, "urn:s")
    assert found.extensions == {"partitionkey": "p", "level": 3, "urgent": True}


def test_null_says_that_an_optional_attribute_or_the_data_is_not_there() -> None:
    found = read(subject=None, time=None, data=None)
    assert isinstance(found, Envelope)
    assert (found.subject, found.time_ms, found.data) == ("", None, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"id": ""}, "id", id="empty-id"),
        pytest.param({"id": 7}, "id", id="id-is-a-number"),
        pytest.param({"source": None}, "source", id="no-source"),
        pytest.param({"type": None}, "type", id="no-type"),
        pytest.param({"specversion": "0.3"}, "specversion", id="another-version"),
        pytest.param({"time": "soon"}, "time", id="no-time"),
        pytest.param({"subject": 3}, "subject", id="subject-is-a-number"),
        pytest.param({"data_base64": "eA=="}, "data_base64", id="bytes"),
        pytest.param({"level": 1.5}, "level", id="extension-is-a-fraction"),
        pytest.param({"level": {}}, "level", id="extension-is-an-object"),
    ],
)
def test_what_a_feed_cannot_carry_is_refused_by_its_field(changes, field: str) -> None:
    found = read(**changes)
    if field == "specversion" and isinstance(found, Envelope):
        assert found.specversion == "0.3", "whoever checks the envelope refuses it"
        return
    assert refused_field(found) == field


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000], ids=repr)
def test_what_is_no_json_is_no_event(content: bytes) -> None:
    with pytest.raises(NotEvents, match="not a CloudEvent in JSON"):
        envelope_from_json(content)


@pytest.mark.parametrize("content", [b"3", b"[]", b'"x"', b"null"], ids=repr)
def test_json_that_is_no_object_is_refused(content: bytes) -> None:
    assert refused_field(envelope_from_json(content)) == "event"


def test_one_bad_event_of_a_batch_is_refused_alone() -> None:
    found = envelopes_from_batch(json.dumps([EVENT, 3, {**EVENT, "id": ""}, EVENT]).encode())
    assert [isinstance(one, Envelope) for one in found] == [True, False, False, True]


def test_a_batch_that_is_no_array_is_none() -> None:
    with pytest.raises(NotEvents, match="not a JSON array"):
        envelopes_from_batch(json.dumps(EVENT).encode())


WHOLE = json.dumps(EVENT).encode()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        pytest.param(b'"id": "e2"', "id", id="another-value"),
        pytest.param(b'"id": "e1"', "id", id="the-same-value"),
        pytest.param(b'"\\u0069d": "e2"', "id", id="a-name-that-is-escaped"),
        pytest.param(b'"data": {"minutes": 46}', "data", id="data"),
        pytest.param(b'"a": 1, "a": null', "a", id="an-extension"),
        pytest.param(b'"id":\n{"id": [{"id": "\\ud83d\\ude00"}]}', "id", id="an-object"),
        pytest.param(b'"a": "\xff", "a": 1', "a", id="one-that-is-not-utf8"),
        pytest.param(
            b",".join(b'"x%d": 1' % n for n in range(100)) + b', "x99": 1', "x99", id="one-of-many"
        ),
    ],
)
def test_a_name_that_stands_there_twice_is_refused_alone(more: bytes, field: str) -> None:
    twice = WHOLE[:-1] + b", " + more + b"}"
    assert refused_field(envelope_from_json(twice)) == field
    found = envelopes_from_batch(b"[" + WHOLE + b"," + twice + b"]")
    assert isinstance(found[0], Envelope)
    assert refused_field(found[1]) == field


@pytest.mark.parametrize(
    "data",
    [b'{"id": "id", "a": [{"id": 1}, {"id": 2}]}', b'{"a": "\\"id\\": 1"}', b'{"a": 1e999}'],
    ids=repr,
)
def test_names_of_attributes_within_the_data_are_none_of_the_event(data: bytes) -> None:
    found = envelope_from_json(WHOLE[:-1].replace(b'{"minutes": 45}', data) + b"}")
    assert isinstance(found, Envelope)
    assert found.data == data


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 5_000, "1e400", "-1e999999999"])
@pytest.mark.parametrize("name", ["level", "id", "time", "subject"])
def test_a_number_that_cannot_be_read_is_a_refusal_of_its_event_alone(
    name: str, number: str
) -> None:
    good = json.dumps(EVENT)
    members = {key: json.dumps(value) for key, value in EVENT.items()} | {name: number}
    bad = "{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}"
    assert refused_field(envelope_from_json(bad.encode())) == name
    first, found, last = envelopes_from_batch(f"[{good},{bad},{good}]".encode())
    assert refused_field(found) == name
    assert isinstance(first, Envelope)
    assert isinstance(last, Envelope)


_texts = st.sampled_from(
    ["", "e1", "1.0", "/road", "a b", "Straße", "2026-11-30T23:59:00Z", "2026-11-31T00:00:00Z",
     "application/json", "\ud800", "id", "\u0000", 'a"b']
)  # fmt: skip
_values = st.one_of(_texts, st.none(), st.integers(-3, 3), st.just(10**12), st.booleans(),
                    st.just({"id": "x"}), st.just([1]), st.just(1.5))  # fmt: skip
_members = st.lists(
    st.tuples(
        st.sampled_from(
            ["id", "source", "specversion", "type", "subject", "time", "datacontenttype",
             "dataschema", "data", "data_base64", "traceparent", "Upper"]
        ),
        _values,
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(_members, st.sets(st.sampled_from(sorted(EVENT))), st.booleans(), st.booleans())
def test_a_plain_event_read_in_one_go_is_what_the_long_way_reads(
    more: list[tuple[str, Any]], without: set[str], escaped: bool, in_front: bool
) -> None:
    """Whatever is sent: the short way reads the very same event, or none."""
    base = [(name, value) for name, value in EVENT.items() if name not in without]
    pairs = [*more, *base] if in_front else [*base, *more]
    text = ",".join(f"{json.dumps(name)}:{json.dumps(one, ensure_ascii=escaped)}"
                    for name, one in pairs)  # fmt: skip
    content = b"{%s}" % text.encode(errors="surrogatepass")
    plain = cloudevent_json._plain_envelope(content)
    if plain is None:
        return
    members = cloudevent_json._members(content)
    assert cloudevent_json._repeated(content, members) is None
    assert cloudevent_json._envelope(members, None) == plain


@pytest.mark.parametrize(
    ("changes", "is_plain"),
    [
        pytest.param({}, True, id="nothing-else"),
        pytest.param({"subject": "Straße", "time": "2026-11-30T23:59:00Z"}, True, id="attributes"),
        pytest.param({"subject": None, "data": None}, True, id="nulls-are-not-there"),
        pytest.param({"traceparent": "00-1"}, False, id="an-extension"),
        pytest.param({"data": {"id": 1}}, False, id="a-name-that-stands-in-the-data-as-well"),
        pytest.param({"subject": ""}, False, id="an-empty-attribute"),
        pytest.param({"time": "today"}, False, id="no-time"),
        pytest.param({"id": 7}, False, id="another-type"),
    ],
)
def test_nearly_all_events_are_read_in_one_go(changes: dict[str, Any], is_plain: bool) -> None:
    content = json.dumps({**EVENT, **changes}, ensure_ascii=False).encode()
    assert (cloudevent_json._plain_envelope(content) is not None) is is_plain
