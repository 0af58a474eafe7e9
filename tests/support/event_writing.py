"""Writes a case of `event_cases` in each format in which events come: header fields, JSON, and
CloudEvents' protobuf messages, also with texts that are not UTF-8."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_from_bytes

from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from tests.support.event_cases import MISSING, SOURCE, UNSET, EventCase
from tests.support.submissions import SPEED

_UNQUOTED = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
_FIELDS = {"id": "id", "source": "source", "specversion": "spec_version", "type": "type"}


def given(case: EventCase, name: str) -> dict[str, Any]:
    """The case's attributes; `name`: the id where it does not say one."""
    good = {"specversion": "1.0", "id": name, "source": SOURCE, "type": SPEED}
    return {key: value for key, value in (good | dict(case.given)).items() if value is not MISSING}


def header_fields(case: EventCase, name: str) -> list[tuple[str, bytes]]:
    """Of binary mode; percent-encoded, but for the case's own headers."""
    fields = []
    own = {key.lower() for key, _ in case.headers}
    attributes = {"datacontenttype": "application/json", **given(case, name)}
    if case.name == "no-content-type":
        del attributes["datacontenttype"]
    for key, value in attributes.items():
        header = "content-type" if key == "datacontenttype" else f"ce-{key}"
        if value is UNSET or header in own:
            continue
        raw = value if isinstance(value, bytes) else _canonical(value).encode()
        encoded = raw if key == "datacontenttype" else quote_from_bytes(raw, _UNQUOTED).encode()
        fields.append((header, encoded))
    return [*fields, *case.headers]


def json_event(case: EventCase, name: str) -> bytes:
    """In JSON format; data as the case has it."""
    members = [
        _text(key) + b":" + (b"null" if value is UNSET else _text(value))
        for key, value in (*given(case, name).items(), *case.again.items())
    ]
    if case.data is not None:
        members.append(b'"data":' + case.data)
    if case.data_base64 is not None:
        members.append(b'"data_base64":' + _text(case.data_base64))
    return b"{" + b",".join(members) + b"}"


def _text(value: Any) -> bytes:
    if isinstance(value, bytes):
        return b'"' + value + b'"'
    return json.dumps(value, ensure_ascii=False).encode()


def _canonical(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def proto_event(case: EventCase, name: str) -> bytes:
    """A CloudEvent message. A name that begins with + is an attribute, also where there is a
    field of that name."""
    message = ce.CloudEvent()
    raw = b""  # fields that no class would write
    for key, value in given(case, name).items():
        if key in _FIELDS:
            if isinstance(value, bytes):
                number = message.DESCRIPTOR.fields_by_name[_FIELDS[key]].number
                raw += bytes([number << 3 | 2, len(value)]) + value
            else:
                setattr(message, _FIELDS[key], "" if value is UNSET else value)
        else:
            _set(message.attributes[key.removeprefix("+")], value)
    if case.data is not None:
        message.text_data = case.data.decode()
    return message.SerializeToString() + raw


def _set(attribute: Any, value: Any) -> None:
    if value is UNSET:
        attribute.Clear()
    elif isinstance(value, Timestamp):
        attribute.ce_timestamp.CopyFrom(value)
    elif isinstance(value, bool):
        attribute.ce_boolean = value
    elif isinstance(value, int):
        attribute.ce_integer = value
    else:
        attribute.ce_string = value
