"""A message as the audit log keeps it: compact JSON values, bounded, and without secrets.

Bytes are never kept, and neither are fields that the contract marks (`debug_redact`, the option of
protobuf's own), nor values of maps whose key is called like a secret, nor what stands before the
`@` of an address (RFC 3986, section 3.2.1). The walk ends where the bound is
reached, so that its cost is bounded as well; a text that is cut says how long it was, and what its
SHA-256 is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

LIMIT_CHARACTERS = 6_000
LEFT_OUT = "(left out)"
CUT = "(cut)"
_DEPTH = 20
_LEAST_TEXT = 16  # characters that are kept of a text, however little room is left
_SECRET = re.compile(
    r"(^|_)(tickets?|tokens?|secrets?|passwords?|passphrases?|credentials?|authorization|"
    r"signatures?|proofs?|private|keys?|apikeys?)(_|$)"
)
_USERINFO = re.compile(r"(?<=://)[^/?#@]{1,512}@")
_BEYOND = 1_024  # characters behind a cut that are looked at for the `@` of what stands before it


def is_secret(name: str) -> bool:
    """Whether a map's value of this name is left out."""
    plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    return _SECRET.search(plain) is not None


def without_userinfo(text: str) -> str:
    """A text with users and passwords taken out of the addresses in it.

    >>> without_userinfo("see https://me:pass@a.example/x")
    'see https://(left out)@a.example/x'
    """
    return _USERINFO.sub(f"{LEFT_OUT}@", text)


def message_json(message: Message, limit: int = LIMIT_CHARACTERS) -> Any:
    """What json.dumps takes: the fields that are set, by their names in the contract; of about
    `limit` characters at most. What is left out or cut is said."""
    return _Walk(limit).message(message, 0)


class _Walk:
    def __init__(self, limit: int) -> None:
        self._left = limit

    def message(self, message: Message, depth: int) -> Any:
        if isinstance(message, timestamp_pb2.Timestamp | duration_pb2.Duration):
            return self._well_known(message)
        if depth > _DEPTH:
            return CUT
        found: dict[str, Any] = {}
        for field, value in message.ListFields():
            if self._left <= 0:
                found["…"] = CUT
                break
            self._left -= len(field.name) + 4
            found[field.name] = self._field(field, value, depth + 1)
        return found

    def _well_known(self, message: timestamp_pb2.Timestamp | duration_pb2.Duration) -> str:
        self._left -= 24
        try:
            return message.ToJsonString()
        except ValueError:  # out of range: whoever sent it is told so elsewhere
            return f"{message.seconds}.{message.nanos:09d}"

    def _field(self, field: FieldDescriptor, value: Any, depth: int) -> Any:
        if field.type == FieldDescriptor.TYPE_BYTES or field.GetOptions().debug_redact:
            self._left -= len(LEFT_OUT)
            return LEFT_OUT
        if isinstance(value, Mapping):
            return self._map(field, value, depth)
        if field.is_repeated:
            several: list[Any] = []
            for one in value:
                if self._left <= 0:
                    several.append(f"{CUT} {len(value) - len(several)} more")
                    break
                several.append(self._value(field, one, depth))
            return several
        return self._value(field, value, depth)

    def _map(self, field: FieldDescriptor, values: Mapping[Any, Any], depth: int) -> Any:
        entry: Any = field.message_type
        of = entry.fields_by_name["value"]
        found: dict[str, Any] = {}
        for key, value in values.items():
            if self._left <= 0:
                found["…"] = f"{CUT} {len(values) - len(found)} more"
                break
            name = self._text(str(key))
            kept = name if isinstance(name, str) else name["begins"]
            found[kept] = LEFT_OUT if is_secret(str(key)) else self._field(of, value, depth)
        return found

    def _value(self, field: FieldDescriptor, value: Any, depth: int) -> Any:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            return self.message(value, depth)
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(value)
        self._left -= 8
        if field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            return known.name if known is not None else value
        if isinstance(value, float) and not -1e308 < value < 1e308:
            return str(value)  # NaN and infinities are no JSON
        return value

    def _text(self, text: str) -> Any:
        room = max(_LEAST_TEXT, self._left)
        self._left -= min(len(text), room) + 3
        if len(text) <= room:
            return without_userinfo(text)
        return {
            "begins": without_userinfo(text[: room + _BEYOND])[:room],
            "characters": len(text),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
