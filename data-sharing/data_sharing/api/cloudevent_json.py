"""CloudEvents in JSON and in HTTP headers: to envelopes, by the formats of `cloudevents`.

That package is generous: it gives an event without id a fresh one, takes NaN for a number, and
reads unknown versions as 1.0. A feed must not, so what has to be there is looked at first, and
JSON is read strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from data_sharing.feeds.intake import Envelope, Refusal, is_json, parse_time, shown

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_REQUIRED = ("specversion", "id", "source", "type")
_OPTIONAL = ("subject", "time", "datacontenttype", "dataschema")
_KNOWN = {*_REQUIRED, *_OPTIONAL}
_Other: TypeAlias = list[Any] | str | int | float | bool | None
_FORMAT = JSONFormat()


class NotEvents(Exception):
    """A body that is wrong as a whole; one sentence."""


def envelope_from_json(content: bytes) -> Envelope | Refusal:
    """An event in JSON format. Raises NotEvents where that is no JSON at all."""
    try:
        document = msgspec.json.decode(content, type=dict[str, msgspec.Raw] | _Other)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotEvents(f"the body is not a CloudEvent in JSON: {error}") from error
    return _envelope(document)


def envelopes_from_batch(content: bytes) -> list[Envelope | Refusal]:
    """A JSON array of events. Raises NotEvents."""
    try:
        parts = msgspec.json.decode(content, type=list[dict[str, msgspec.Raw] | _Other])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotEvents(f"the body is not a JSON array of CloudEvents: {error}") from error
    return [_envelope(part) for part in parts]


def envelope_from_headers(headers: Mapping[str, str], content: bytes) -> Envelope | Refusal:
    """An event in HTTP's binary mode; header names in lower case."""
    for name in _REQUIRED:
        if not headers.get(f"ce-{name}"):
            return _refused(name, f"the header ce-{name} is missing or empty")
    content_type = headers.get("content-type", "")
    if not is_json(content_type):
        return _refused(
            "datacontenttype",
            f"content-type is {shown(content_type)}; feeds carry application/json",
        )
    try:
        event = from_binary(HTTPMessage(dict(headers), b""), _FORMAT, CloudEvent)
    except CloudEventValidationError as error:
        return _first(error)
    except (ValueError, OverflowError) as error:
        return _refused("time", f"time cannot be read: {error}")
    extensions = {
        name: text
        for name, text in event.get_attributes().items()
        if name not in _KNOWN and name != "data"
    }
    return _from_event(event, content or None, content_type, extensions, "time" in _named(headers))


def _named(headers: Mapping[str, str]) -> set[str]:
    return {name.removeprefix("ce-") for name in headers if name.startswith("ce-")}


def _envelope(parts: Any) -> Envelope | Refusal:
    if not isinstance(parts, dict):
        return _refused("event", "a CloudEvent in JSON is an object")
    # Data stays as the producer wrote it; the rest is small.
    data = parts.pop("data", None)
    if "data_base64" in parts:
        return _refused("data_base64", "data_base64 holds bytes; feeds carry JSON in `data`")
    document: dict[str, Any] = {name: msgspec.json.decode(raw) for name, raw in parts.items()}
    for name in (*_REQUIRED, *_OPTIONAL):
        value = document.get(name)
        if value is None and name in _OPTIONAL:
            document.pop(name, None)  # null is JSON's way to say that it is not there
        elif not isinstance(value, str) or not value:
            return _refused(name, f"{name} is missing, empty or no string")
    extensions = {name: value for name, value in document.items() if name not in _KNOWN}
    for name, value in extensions.items():
        if not isinstance(value, (str, int)):
            return _refused(name, f"the extension {name} is no string, boolean or whole number")
    if "time" in document:
        try:
            parse_time(document["time"])
        except (ValueError, OverflowError) as error:
            return _refused("time", f"time cannot be read: {error}")
    try:
        event = _FORMAT.read(CloudEvent, msgspec.json.encode(document))
    except CloudEventValidationError as error:
        return _first(error)
    except (ValueError, OverflowError) as error:
        return _refused("time", f"time cannot be read: {error}")
    content = None if data is None or bytes(data) == b"null" else bytes(data)
    return _from_event(event, content, "", extensions, "time" in document)


def _from_event(
    event: BaseCloudEvent,
    data: bytes | None,
    content_type: str,
    extensions: dict[str, Any],
    timed: bool,
) -> Envelope | Refusal:
    moment = event.get_time()
    time_ms = None
    if timed and isinstance(moment, datetime):
        time_ms = int(moment.timestamp() * 1000)
    return Envelope(
        id=event.get_id(),
        source=event.get_source(),
        specversion=event.get_specversion(),
        type=event.get_type(),
        data=data,
        subject=event.get_subject() or "",
        time_ms=time_ms,
        datacontenttype=content_type or event.get_datacontenttype() or "",
        dataschema=event.get_dataschema() or "",
        extensions=extensions or None,
    )


def _first(error: CloudEventValidationError) -> Refusal:
    for name, problems in error.errors.items():
        return _refused(name, str(problems[0]))
    return _refused("event", str(error))


def _refused(field: str, message: str) -> Refusal:
    return Refusal("INVALID_ARGUMENT", field, message)
