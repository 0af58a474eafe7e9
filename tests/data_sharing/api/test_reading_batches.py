"""A batch of events is read as its events are asked for, whichever way it has to be read."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from data_sharing.api import published_requests
from data_sharing.api.published_requests import MAX_BATCH, read_batch
from data_sharing.feeds.intake import Envelope, Refusal
from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2 as pb

NOT_UTF8 = b"\xff\xfe"


def payload(*names: str) -> bytes:
    events = [
        ce.CloudEvent(id=name, source="/s", spec_version="1.0", type="t", text_data="{}")
        for name in names
    ]
    return pb.PublishBatchRequest(tenant="shop", events=events).SerializeToString()


@pytest.mark.parametrize(
    ("sent", "reader"),
    [
        pytest.param(payload("a", "b", "c"), "envelope_from_proto", id="as a whole"),
        pytest.param(
            payload("a", "@@", "c").replace(b"@@", NOT_UTF8), "envelope_from_bytes",
            id="event by event, as one is not UTF-8",
        ),
    ],
)  # fmt: skip
def test_events_are_read_one_by_one_when_they_are_asked_for(monkeypatch, sent, reader) -> None:
    read = list[object]()
    really = getattr(published_requests, reader)

    def noted(*arguments: object) -> Envelope | Refusal:
        read.append(arguments[0])
        return really(*arguments)

    monkeypatch.setattr(published_requests, reader, noted)
    tenant, envelopes, _ = read_batch(sent)
    assert (tenant, len(envelopes), len(read)) == ("shop", 3, 0)
    first = envelopes[0]
    assert isinstance(first, Envelope)
    assert (first.id, len(read)) == ("a", 1)
    last = envelopes[2]
    assert isinstance(last, Envelope)
    assert (last.id, len(read)) == ("c", 2)


def test_an_event_that_is_not_utf_8_is_refused_by_its_place() -> None:
    envelopes = read_batch(payload("a", "@@", "c").replace(b"@@", NOT_UTF8)).envelopes
    assert [type(one) for one in envelopes] == [Envelope, Refusal, Envelope]


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_too_few_and_too_many_are_refused_before_any_is_read(count: int) -> None:
    with pytest.raises(InvalidInput, match="a batch takes"):
        read_batch(payload(*map(str, range(count))))
