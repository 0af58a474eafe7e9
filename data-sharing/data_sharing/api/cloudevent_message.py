"""CloudEvents in their protobuf format: to envelopes, and back from records."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from data_sharing.feeds.intake import Envelope, Refusal, parse_time
from data_sharing.feeds.port import Record
from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2 as pb

_TEXTS = ("ce_string", "ce_uri", "ce_uri_ref")
_OWN_TEXTS = ("subject", "datacontenttype", "dataschema")  # attributes that are strings


def envelope_from_proto(message: ce.CloudEvent) -> Envelope | Refusal:
    """A Refusal where an attribute is not of its type, or data is a protobuf message."""
    content = message.text_data.encode() or message.binary_data
    if not content and message.HasField("proto_data"):
        return Refusal("INVALID_ARGUMENT", "data", "data is a protobuf message; feeds carry JSON")
    subject, time_ms, content_type, dataschema = "", None, "", ""
    extensions: dict[str, str | int | bool] | None = None
    attributes = message.attributes
    for name in attributes:  # items() takes twice as long
        attribute = attributes[name]
        kind: str | None = "ce_string"
        value: Any = attribute.ce_string
        if not value:  # it is of another kind, or empty
            kind = attribute.WhichOneof("attr")
            value = getattr(attribute, kind) if kind else ""
        if name == "time":
            if kind == "ce_timestamp":
                time_ms = value.seconds * 1000 + value.nanos // 1_000_000
                continue
            try:
                time_ms = parse_time(str(value))
            except (ValueError, OverflowError) as error:
                return Refusal("INVALID_ARGUMENT", "time", f"time cannot be read: {error}")
        elif name in _OWN_TEXTS:
            if kind not in _TEXTS:
                return Refusal("INVALID_ARGUMENT", name, f"{name} must be a string")
            if name == "subject":
                subject = value
            elif name == "datacontenttype":
                content_type = value
            else:
                dataschema = value
        else:
            if kind == "ce_bytes":
                value = base64.b64encode(value).decode()
            elif kind == "ce_timestamp":
                value = value.ToJsonString()
            if extensions is None:
                extensions = {}
            extensions[name] = value
    return Envelope(
        message.id, message.source, message.spec_version, message.type, content, subject, time_ms,
        content_type, dataschema, extensions,
    )  # fmt: skip


def envelope_from_bytes(content: bytes, place: int) -> Envelope | Refusal:
    """The same for one event of a batch that could not be read whole."""
    try:
        return envelope_from_proto(ce.CloudEvent.FromString(content))
    except DecodeError:
        return Refusal(
            "INVALID_ARGUMENT", f"events[{place}]",
            "this is not a CloudEvent in protobuf format, or a text in it is not UTF-8",
        )  # fmt: skip


def envelope_to_proto(envelope: Envelope) -> ce.CloudEvent:
    """For who publishes what came in another format. Data must be UTF-8, or stays bytes."""
    event = ce.CloudEvent(
        id=envelope.id, source=envelope.source, spec_version=envelope.specversion,
        type=envelope.type,
    )  # fmt: skip
    if envelope.data is not None:
        event.binary_data = envelope.data
    attributes = event.attributes
    if envelope.time_ms is not None:
        attributes["time"].ce_timestamp.CopyFrom(timestamp(envelope.time_ms))
    if envelope.subject:
        attributes["subject"].ce_string = envelope.subject
    if envelope.datacontenttype:
        attributes["datacontenttype"].ce_string = envelope.datacontenttype
    if envelope.dataschema:
        attributes["dataschema"].ce_uri = envelope.dataschema
    for name, value in (envelope.extensions or {}).items():
        _set_attribute(attributes[name], value)
    return event


def _set_attribute(attribute: Any, value: str | int | bool) -> None:
    """Whole numbers beyond 32 bits become text: CloudEvents has none."""
    if isinstance(value, bool):
        attribute.ce_boolean = value
    elif isinstance(value, int) and -(2**31) <= value < 2**31:
        attribute.ce_integer = value
    else:
        attribute.ce_string = str(value)


def record_to_proto(record: Record) -> pb.FeedEvent:
    """An event as it is kept, for a reader."""
    event = ce.CloudEvent(
        id=record.id, source=record.source, spec_version="1.0", type=record.type,
        text_data=record.content.decode(),
    )  # fmt: skip
    attributes = event.attributes
    attributes["time"].ce_timestamp.CopyFrom(timestamp(record.time_ms))
    if record.subject:
        attributes["subject"].ce_string = record.subject
    if record.attributes:
        for name, value in msgspec.json.decode(record.attributes).items():
            if name == "dataschema":
                attributes[name].ce_uri = value
            else:
                _set_attribute(attributes[name], value)
    return pb.FeedEvent(
        position=record.position, key=record.key, accept_time=timestamp(record.accepted_ms),
        event=event,
    )  # fmt: skip


def timestamp(unix_ms: int) -> Timestamp:
    """Unix ms as a protobuf Timestamp."""
    return Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)


def results_to_proto(answers: Iterable[Any]) -> list[pb.PublishResult]:
    """The answers of a Publisher."""
    return [
        pb.PublishResult(error=pb.EventError(code=one.code, field=one.field, message=one.message))
        if type(one) is Refusal
        else pb.PublishResult(position=one.position, duplicate=one.duplicate)
        for one in answers
    ]
