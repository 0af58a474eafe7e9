"""CloudEvents in their protobuf format: to envelopes, and back from records.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/protobuf-format.md
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.serving.lenient_batch import lenient_class
from control_plane.serving.request_check import FIRST_S, LAST_S, NANOS, time_fault
from data_sharing.api.cloudevent_attributes import (
    empty,
    no_text,
    no_time,
    not_utf8,
    refused,
)
from data_sharing.feeds.attributes import field_of, parse_time, shown
from data_sharing.feeds.intake import Envelope, Refusal
from data_sharing.feeds.port import Appended, Record
from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2 as pb

_TEXTS = ("ce_string", "ce_uri", "ce_uri_ref")
_OWN_TEXTS = ("subject", "datacontenttype", "dataschema")  # attributes that are strings
# Not attributes in this format: the first four are fields, the last is the oneof.
_FIELDS = frozenset(("id", "source", "specversion", "type", "data"))
_TEXT_FIELDS = (("id", "id"), ("source", "source"), ("spec_version", "specversion"),
                ("type", "type"), ("text_data", "data"))  # fmt: skip
_LENIENT_EVENT = lenient_class(ce.CloudEvent)


def envelope_from_proto(message: ce.CloudEvent) -> Envelope | Refusal:
    """A Refusal where an attribute is not of its type, or data is a protobuf message."""
    content = message.text_data.encode() or message.binary_data
    if not content and message.HasField("proto_data"):
        return refused("data", "data is a protobuf message; feeds carry JSON")
    subject, time_ms, content_type, dataschema = "", None, "", ""
    extensions: dict[str, str | int | bool] | None = None
    attributes = message.attributes
    for name in attributes:  # items() takes twice as long
        attribute = attributes[name]
        kind: str | None = "ce_string"
        value: Any = attribute.ce_string
        if not value:  # it is of another kind, or empty
            kind = attribute.WhichOneof("attr")
            if kind is None:
                continue  # no value is set
            value = getattr(attribute, kind)
        if name == "time":
            if kind == "ce_timestamp":
                seconds, nanos = value.seconds, value.nanos
                if not (FIRST_S <= seconds <= LAST_S and 0 <= nanos < NANOS):
                    return refused("time", f"time cannot be read: {time_fault(value)}")
                time_ms = seconds * 1000 + nanos // 1_000_000
                continue
            if kind not in _TEXTS:
                return refused("time", "time must be a timestamp or a string")
            if not value:
                return empty("time")
            try:
                time_ms = parse_time(value)
            except ValueError as error:
                return no_time(error)
        elif name in _OWN_TEXTS:
            if kind not in _TEXTS:
                return no_text(name)
            if not value:
                return empty(name)
            if name == "subject":
                subject = value
            elif name == "datacontenttype":
                content_type = value
            else:
                dataschema = value
        else:
            if name in _FIELDS:
                return refused(name, f"{name} is a field of the message, no attribute beside it")
            if kind == "ce_bytes":
                value = base64.b64encode(value).decode()
            elif kind == "ce_timestamp":
                if wrong := time_fault(value):
                    return refused(
                        field_of(name), f"the extension {shown(name)} cannot be read: {wrong}"
                    )
                value = value.ToJsonString()
            if extensions is None:
                extensions = {}
            extensions[name] = value
    return Envelope(
        message.id, message.source, message.spec_version, message.type, content, subject, time_ms,
        content_type, dataschema, extensions,
    )  # fmt: skip


def envelope_from_bytes(content: bytes, place: str) -> Envelope | Refusal:
    """The same for an event that could not be read together with what is around it. `place`:
    the field to name where no part of the event is to blame."""
    try:
        return envelope_from_proto(ce.CloudEvent.FromString(content))
    except DecodeError:
        return _undecodable(content, place)


def _undecodable(content: bytes, place: str) -> Refusal:
    """Why bytes are no event."""
    try:
        message = _LENIENT_EVENT.FromString(content)
        for field, name in _TEXT_FIELDS:
            try:
                getattr(message, field).decode()
            except UnicodeDecodeError:
                return not_utf8(name)
    except DecodeError:
        pass
    return refused(
        place, "this is not a CloudEvent in protobuf format, or a text in it is not UTF-8"
    )


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


def results_to_proto(
    answers: Iterable[Any], server_of: Callable[[int], str] | None = None
) -> list[pb.PublishResult]:
    """The answers of a Publisher. server_of: who has a partition; None: keys are not spread."""
    return [
        pb.PublishResult(error=_error(one, server_of))
        if type(one) is Refusal
        else pb.PublishResult(position=one.position, duplicate=one.duplicate)
        for one in answers
    ]


def _error(refusal: Refusal, server_of: Callable[[int], str] | None) -> pb.EventError:
    error = pb.EventError(code=refusal.code, field=refusal.field, message=refusal.message)
    if refusal.partition >= 0 and server_of is not None:
        error.moved.partition = refusal.partition
        error.moved.server = server_of(refusal.partition)
    return error


def result_from_proto(result: pb.PublishResult) -> Any:
    """An answer that another server gave, as of a Publisher."""
    if result.HasField("error"):
        return Refusal(result.error.code, result.error.field, result.error.message)
    return Appended(result.position, result.duplicate)
