"""Lenient batches: what the generated class refuses, item by item."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from control_plane.serving.lenient_batch import lenient_class
from homeport.api.datasharing.v1 import feed_pb2
from homeport.api.provisioning.v1 import provisioning_pb2


def test_a_text_that_is_not_utf_8_is_read_as_bytes_and_its_neighbours_too() -> None:
    batch = provisioning_pb2.ProvisionManyRequest(
        tenant="acme", clients=[{"client_id": "good"}, {"client_id": "bXd"}]
    )
    payload = batch.SerializeToString().replace(b"bXd", b"b\xffd")
    with pytest.raises(DecodeError):
        provisioning_pb2.ProvisionManyRequest.FromString(payload)
    read = lenient_class(provisioning_pb2.ProvisionManyRequest).FromString(payload)
    assert read.tenant == b"acme"
    assert [one.client_id for one in read.clients] == [b"good", b"b\xffd"]


def test_a_field_that_is_named_stays_unparsed() -> None:
    batch = feed_pb2.PublishBatchRequest(tenant="acme", events=[{"id": "1"}, {"id": "2"}])
    lenient = lenient_class(feed_pb2.PublishBatchRequest, unparsed=["events"])
    read = lenient.FromString(batch.SerializeToString())
    assert read.tenant == b"acme"
    assert list(read.events) == [one.SerializeToString() for one in batch.events]
    broken = lenient(tenant=b"acme", events=[b"\x0a\xff", b"\x0a\x011"]).SerializeToString()
    with pytest.raises(DecodeError):
        feed_pb2.PublishBatchRequest.FromString(broken)
    assert list(lenient.FromString(broken).events) == [b"\x0a\xff", b"\x0a\x011"]


def test_what_is_no_message_at_all_is_still_refused() -> None:
    with pytest.raises(DecodeError):
        lenient_class(feed_pb2.PublishBatchRequest).FromString(b"\xff\xff")


def test_a_name_that_is_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="PublishBatchRequest has no field letters"):
        lenient_class(feed_pb2.PublishBatchRequest, unparsed=["letters"])
