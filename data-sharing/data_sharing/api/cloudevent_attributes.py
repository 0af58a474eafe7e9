"""CloudEvents attributes by name: to envelopes, for every format that has them as texts.

JSON and HTTP headers end here; the protobuf format, whose messages are read many times a second,
has a loop of its own and refuses with the words of this module. What is present is of its type
and not empty, or the event is refused; what is null or has no value is not there. Whether the
values are right is Intake's to say, for all formats alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_sharing.feeds.attributes import (
    KNOWN,
    LEAST_INTEGER,
    MOST_INTEGER,
    OPTIONAL,
    REQUIRED,
    field_of,
    parse_time,
    shown,
)
from data_sharing.feeds.intake import Envelope, Refusal


def envelope_of(given: Mapping[str, Any], data: bytes | None) -> Envelope | Refusal:
    """An event of these attributes; None: not there."""
    for name in REQUIRED:
        value = given.get(name)
        if value is None or value == "":
            return missing(name)
        if not isinstance(value, str):
            return no_text(name)
    for name in OPTIONAL:
        value = given.get(name)
        if value == "":
            return empty(name)
        if value is not None and not isinstance(value, str):
            return no_text(name)
    extensions: dict[str, str | int | bool] = {}
    for name, value in given.items():
        if value is None or name in KNOWN:
            continue
        if not isinstance(value, (str, int)):
            return refused(
                field_of(name),
                f"the extension {shown(name)} is no string, boolean or whole number",
            )
        if not isinstance(value, (str, bool)) and not LEAST_INTEGER <= value <= MOST_INTEGER:
            return refused(
                field_of(name),
                f"the extension {shown(name)} is a number beyond 32 bits, which CloudEvents does "
                "not have; give it as a string",
            )
        extensions[name] = value
    time_ms = None
    if (time := given.get("time")) is not None:
        try:
            time_ms = parse_time(time)
        except ValueError as error:
            return no_time(error)
    return Envelope(
        id=given["id"],
        source=given["source"],
        specversion=given["specversion"],
        type=given["type"],
        data=data,
        subject=given.get("subject") or "",
        time_ms=time_ms,
        datacontenttype=given.get("datacontenttype") or "",
        dataschema=given.get("dataschema") or "",
        extensions=extensions or None,
    )


def refused(field: str, message: str) -> Refusal:
    """The event itself is wrong."""
    return Refusal("INVALID_ARGUMENT", field, message)


def missing(name: str) -> Refusal:
    """Of a required attribute."""
    return refused(name, f"{name} is missing or empty")


def empty(name: str) -> Refusal:
    """Of an optional attribute that is there."""
    return refused(name, f"{name} is empty; leave it out where there is none")


def no_text(name: str) -> Refusal:
    """Of an attribute that has to be a string."""
    return refused(name, f"{name} must be a string")


def no_time(error: ValueError) -> Refusal:
    """Of a time that cannot be read."""
    return refused("time", f"time cannot be read: {error}")


def not_utf8(name: str) -> Refusal:
    """Of an attribute whose bytes are no text. It has no value: nothing else may stand for it."""
    return refused(field_of(name), f"{field_of(name)} is not UTF-8")
