"""Events between formats: whatever is kept comes out again as it went in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data_sharing.api.cloudevent_headers import envelope_from_headers
from data_sharing.api.cloudevent_json import NotEvents, envelope_from_json, envelopes_from_batch
from data_sharing.api.cloudevent_message import (
    envelope_from_proto,
    envelope_to_proto,
    record_to_proto,
)
from data_sharing.feeds.intake import Envelope, Refusal
from data_sharing.feeds.port import Record
from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
extensions = st.dictionaries(
    st.from_regex(r"x[a-z0-9]{0,5}", fullmatch=True),
    texts | st.booleans() | st.integers(-(2**31), 2**31 - 1),
    min_size=1,
)
times_ms = st.integers(0, 4_000_000_000_000)
envelopes = st.builds(
    Envelope, id=texts, source=texts, specversion=st.just("1.0"), type=texts,
    data=st.just(b'{"a": 1.50}'), subject=st.just("") | texts, time_ms=st.none() | times_ms,
    datacontenttype=st.sampled_from(["", "application/json"]), dataschema=st.just("") | texts,
    extensions=st.none() | extensions,
)  # fmt: skip


@given(envelopes)
def test_an_envelope_survives_protobuf(given_envelope):
    message = envelope_to_proto(given_envelope)
    read = ce.CloudEvent.FromString(message.SerializeToString())
    assert envelope_from_proto(read) == given_envelope


@given(envelopes)
def test_an_envelope_survives_json(given_envelope):
    one = given_envelope
    document = {"specversion": "1.0", "id": one.id, "source": one.source, "type": one.type}
    for name in ("subject", "datacontenttype", "dataschema"):
        if getattr(one, name):
            document[name] = getattr(one, name)
    document |= one.extensions or {}
    content = json.dumps(document)[:-1] + ', "data": {"a": 1.50}}'
    assert envelope_from_json(content.encode()) == replace(one, time_ms=None)


@given(envelopes, times_ms)
def test_a_record_reads_like_what_was_published(given_envelope, time_ms):
    one = given_envelope
    attributes = {
        name: value
        for name, value in (
            ("datacontenttype", one.datacontenttype), ("dataschema", one.dataschema),
            *(one.extensions or {}).items(),
        )
        if value != ""
    }  # fmt: skip
    record = Record(
        tenant="shop", position=5, accepted_ms=6, source=one.source, id=one.id, type=one.type,
        key="k", subject=one.subject, time_ms=time_ms, content=one.data or b"",
        attributes=json.dumps(attributes).encode() if attributes else b"",
    )  # fmt: skip
    message = record_to_proto(record)
    assert (message.position, message.key) == (5, "k")
    assert envelope_from_proto(message.event) == replace(one, time_ms=time_ms)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_an_answer(content):
    for read in (envelope_from_json, envelopes_from_batch):
        try:
            found = read(content)
        except NotEvents:
            continue
        for one in found if isinstance(found, list) else [found]:
            assert isinstance(one, (Envelope, Refusal))


@given(
    st.dictionaries(
        st.sampled_from(["id", "source", "type", "specversion", "time", "subject", "data", "x"]),
        st.none() | st.text(max_size=3) | st.integers() | st.floats() | st.lists(st.none()),
    )
)
def test_any_object_is_an_envelope_or_a_refusal_that_names_a_field(document):
    try:
        found = envelope_from_json(json.dumps(document).encode())
    except NotEvents:
        return  # NaN and the like
    assert isinstance(found, Envelope) or (found.field and found.message)


def test_what_a_protobuf_event_cannot_hold_is_refused():
    message = ce.CloudEvent(id="1", source="/s", spec_version="1.0", type="t")
    message.proto_data.type_url = "type.googleapis.com/x"
    refused = envelope_from_proto(message)
    assert isinstance(refused, Refusal)
    assert refused.field == "data"
    for name in ("subject", "datacontenttype", "dataschema"):
        message = ce.CloudEvent(id="1", text_data="{}")
        message.attributes[name].ce_integer = 5
        refused = envelope_from_proto(message)
        assert isinstance(refused, Refusal)
        assert refused.field == name
    message = ce.CloudEvent(id="1", text_data="{}")
    message.attributes["time"].ce_string = "noon"
    refused = envelope_from_proto(message)
    assert isinstance(refused, Refusal)
    assert refused.field == "time"


@given(envelopes)
def test_what_the_sdk_of_cloudevents_writes_is_read_as_it_was_meant(given_envelope):
    """In both modes of HTTP, by another's hand."""
    one = given_envelope
    attributes = {"specversion": "1.0", "id": one.id, "source": one.source, "type": one.type}
    for name in ("subject", "datacontenttype", "dataschema"):
        if getattr(one, name):
            attributes[name] = getattr(one, name)
    if one.time_ms is not None:
        attributes["time"] = datetime.fromtimestamp(one.time_ms / 1000, UTC)
    written = SdkEvent(attributes | (one.extensions or {}), {"a": 1.5})
    expected = replace(one, data=b'{"a": 1.5}', time_ms=one.time_ms)
    structured = to_structured(written, JSONFormat())
    found = envelope_from_json(structured.body)
    assert isinstance(found, Envelope)
    kept = replace(found, time_ms=one.time_ms if one.time_ms is None else found.time_ms)
    assert kept == expected
    binary = to_binary(written, JSONFormat())
    found = envelope_from_headers(binary.headers, binary.body)
    assert isinstance(found, Envelope)
    assert (found.id, found.source, found.subject) == (one.id, one.source, one.subject)
    assert found.data == expected.data
    texts = {name: text for name, text in (one.extensions or {}).items() if isinstance(text, str)}
    assert {name: (found.extensions or {})[name] for name in texts} == texts
