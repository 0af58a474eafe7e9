"""Attributes: what CloudEvents 1.0.2 lets the attributes of an event be, whatever format it is in.

Readers of formats and Intake ask here, so that every door reads a time, a media type, a URI or
a name alike. Pure. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Any

import jsonschema_rs

from control_plane.printable import quoted

REQUIRED = ("specversion", "id", "source", "type")
OPTIONAL = ("subject", "time", "datacontenttype", "dataschema")
KNOWN = frozenset((*REQUIRED, *OPTIONAL))
MAX_TEXT_BYTES = 512  # of one attribute
LEAST_INTEGER, MOST_INTEGER = -(2**31), 2**31 - 1  # an Integer of CloudEvents has 32 bits

# What a CloudEvents String must not contain: control characters, lone surrogates, noncharacters.
FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
_NAME = re.compile(r"[a-z0-9]{1,20}\Z")
_PLAIN = re.compile(r"[!-~]{1,80}\Z")
_RESERVED = KNOWN | {"data"}  # no extension has the name of something else
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110, 5.6.2
_JSON_TYPE = re.compile(rf"{_TOKEN}/(?:{_TOKEN}\+)?json[ \t]*(?:;.*)?\Z", re.IGNORECASE)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))\Z"
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S = 86_400
_URI = jsonschema_rs.Draft202012Validator({"format": "uri"}, validate_formats=True)
_URI_REFERENCE = jsonschema_rs.Draft202012Validator(
    {"format": "uri-reference"}, validate_formats=True
)


def parse_time(text: str) -> int:
    """An RFC 3339 time (section 5.6) as Unix ms. What is finer than a millisecond is cut off,
    however many digits there are. Second 60 is read where a leap second can be, at the end of
    a month in UTC, and is the second after it, as in POSIX. Raises ValueError.

    >>> parse_time("1970-01-01T00:00:01Z"), parse_time("1970-01-01t01:00:01.0019+01:00")
    (1000, 1001)
    """
    found = _TIME.match(text) if len(text) <= MAX_TEXT_BYTES else None
    if found is None:
        raise ValueError(f"{shown(text)} is not a time of RFC 3339, e.g. 2026-11-25T07:30:00Z")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, offset_hour, offset_minute = found.groups()[6:]
    offset_s = 0
    if sign is not None:
        offset_s = (int(offset_hour) * 60 + int(offset_minute)) * 60
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            raise ValueError(f"{shown(text)} has no offset of RFC 3339: 00:00 to 23:59")
        if sign == "-":
            offset_s = -offset_s
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"{shown(text)} has a time of day that no clock shows")
    days = date(year, month, day).toordinal() - _EPOCH_DAY
    seconds = days * _DAY_S + hour * 3600 + minute * 60 + second - offset_s
    if second == 60 and not _begins_a_month(seconds):
        raise ValueError(f"{shown(text)} has a second 60, but is not the end of a month in UTC")
    return seconds * 1000 + int((fraction or "0")[:3].ljust(3, "0"))


def _begins_a_month(seconds: int) -> bool:
    """Whether this Unix time is midnight of a first day in UTC."""
    days, second = divmod(seconds, _DAY_S)
    try:
        return second == 0 and date.fromordinal(days + _EPOCH_DAY).day == 1
    except (ValueError, OverflowError):  # beyond the calendar
        return False


def is_json(content_type: str) -> bool:
    """Whether a content type says JSON: `*/json` or `*/*+json`, with parameters or without, in
    capitals or not (JSON format, section 3.1); an empty one does.

    >>> is_json("text/json"), is_json("application/geo+json; charset=utf-8"), is_json("text/plain")
    (True, True, False)
    """
    return not content_type or _JSON_TYPE.match(content_type) is not None


@lru_cache(maxsize=4_096)
def is_uri_reference(text: str) -> bool:
    """RFC 3986, section 4.1. Kept, because the sources of events repeat: for short texts alone.

    >>> is_uri_reference("/city/traffic"), is_uri_reference("a b")
    (True, False)
    """
    return _URI_REFERENCE.is_valid(text)


def is_uri(text: str) -> bool:
    """A URI with a scheme.

    >>> is_uri("urn:schema:1"), is_uri("schema/1")
    (True, False)
    """
    return _URI.is_valid(text)


def is_extension_name(name: str) -> bool:
    """1 to 20 of a-z and 0-9, and not the name of another attribute or of the data.

    >>> is_extension_name("traceparent"), is_extension_name("traceParent"), is_extension_name("id")
    (True, False, False)
    """
    return _NAME.match(name) is not None and name not in _RESERVED


def field_of(name: str) -> str:
    """How a refusal names an attribute, whatever somebody called it.

    >>> field_of("Upper"), field_of("a b")
    ('Upper', "'a b'")
    """
    return name if _PLAIN.match(name) else shown(name)


def extension_text(value: str | int | bool) -> str:
    """An extension's value in CloudEvents' canonical string encoding.

    >>> extension_text(True), extension_text(7)
    ('true', '7')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(text: str, limit: int = 80) -> str:
    """A text that somebody sent, for a message."""
    return quoted(text, limit)


NUL = "\\u0000"  # as JSON writes it, and as it writes those six characters with one more before


def holds_nul(data: Any) -> bool:
    """Whether U+0000 is in a text of a JSON value, or in a name. What rules read never holds it:
    events, samples and outputs with it are refused."""
    todo = [data]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            if "\0" in one:
                return True
        elif isinstance(one, dict):
            todo += one
            todo += one.values()
        elif isinstance(one, list):
            todo += one
    return False
