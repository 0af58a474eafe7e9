"""CloudEvents in HTTP's binary mode: header fields to an envelope.

A value is unquoted (RFC 9110, 5.6.4), then percent-decoded once, as UTF-8; what cannot be decoded
is refused, never replaced, so that two values which differ are two values.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#313-metadata-headers
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from data_sharing.api.cloudevent_attributes import envelope_of, refused
from data_sharing.feeds.attributes import field_of, is_json, shown
from data_sharing.feeds.intake import Envelope, Refusal

PREFIX = "ce-"
CONTENT_TYPE = "content-type"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PARAMETER = r';[ \t]*(?:[^=;"]*=[ \t]*(?:"(?:[^"\\]|\\.)*"|[^;"]*))?'
_CHARSET = re.compile(
    rf"[^;]*(?:(?!;[ \t]*charset[ \t]*=){_PARAMETER})*;[ \t]*charset[ \t]*=[ \t]*"
    r'("(?:[^"\\]|\\.)*"|[^;" \t]*)',
    re.IGNORECASE | re.DOTALL,
)
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def event_headers(fields: Iterable[tuple[str, str]]) -> dict[str, str] | Refusal:
    """The header fields that make an event, by name in lower case. A Refusal where one of them
    stands there twice: no order of them says which is meant."""
    found: dict[str, str] = {}
    for given, value in fields:
        name = given.lower()
        if not name.startswith(PREFIX) and name != CONTENT_TYPE:
            continue
        if name in found:
            field = "datacontenttype" if name == CONTENT_TYPE else name.removeprefix(PREFIX)
            return refused(field_of(field), f"the header {shown(name)} stands there twice")
        found[name] = value
    return found


def charset_of(content_type: str) -> str:
    """The charset that a content type names, in lower case and without quotes; empty: none.
    RFC 9110, 8.3.1 and 8.3.2.

    >>> charset_of('application/json; a="x;charset=y"; Charset="UTF-8"'), charset_of("text/json")
    ('utf-8', '')
    """
    found = _CHARSET.match(content_type)
    return decoded_parameter(found[1]).lower() if found else ""


def decoded_parameter(value: str) -> str:
    """A token, or what stands between quotes."""
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def envelope_from_headers(headers: Mapping[str, str], content: bytes) -> Envelope | Refusal:
    """An event of these headers, names in lower case, and its data."""
    content_type = headers.get(CONTENT_TYPE, "")
    given: dict[str, Any] = {}
    for header, value in headers.items():
        if not header.startswith(PREFIX):
            continue
        name = header.removeprefix(PREFIX)
        try:
            given[name] = decoded(value)
        except ValueError as error:
            return refused(field_of(name), f"the header {shown(header)} cannot be read: {error}")
    if given.get("datacontenttype", content_type) != content_type:
        return refused(
            "datacontenttype",
            "the headers ce-datacontenttype and content-type differ; in binary mode content-type "
            "says what the data is",
        )
    if not is_json(content_type):
        return refused(
            "datacontenttype",
            f"content-type is {shown(content_type)}; feeds carry application/json",
        )
    return envelope_of({**given, "datacontenttype": content_type or None}, content or None)


def decoded(value: str) -> str:
    """The attribute that a header's value stands for. Raises ValueError that says why there is
    none.

    >>> decoded("Euro%20%E2%82%AC"), decoded('"say \\\\"hi\\\\""')
    ('Euro €', 'say "hi"')
    """
    if '"' in value:
        if '"' in _QUOTED.sub("", value):
            raise ValueError("a double quote has no end; write %22")
        value = _QUOTED.sub(lambda found: _ESCAPED.sub(r"\1", found[1]), value)
    if "%" in value:
        if _STRAY_PERCENT.search(value):
            raise ValueError("a % has no two hexadecimal digits behind it; write %25")
        try:
            value = unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise ValueError("what is percent-encoded is not UTF-8") from None
    try:
        value.encode()  # bytes that are not UTF-8 come in as surrogates
    except UnicodeEncodeError:
        raise ValueError("it is not UTF-8; percent-encode it") from None
    return value
