"""Messages as JSON, by the JSON mapping of protobuf (https://protobuf.dev/programming-guides/json/).

What is read is bounded before: its bytes by whoever hands them over, its depth and how many values
it has here. Names of fields may be written as in the contract or in lower camel case, and are
answered in the latter; fields without presence are always there, so that `"released": false` can be
read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from control_plane.errors import InvalidInput
from control_plane.printable import quoted

MOST_LEVELS = 16  # of objects and lists in each other; the contract has fewer
MOST_VALUES = 1_000  # of a message; likewise
MOST_NAME = 60  # characters of an unknown name that are compared with those that are known
MOST_NAMES = 300  # characters of a list of names in a message
# To its end, or to that of the content: so the search never begins within one, and is linear.
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_AT_FIELD = re.compile(r"^Failed to parse (\S{1,200}) field")


def read_message(content: bytes, message: Message, fixed: Mapping[str, str]) -> Message:
    """Fills an empty message. fixed: fields that are known from elsewhere; a body that gives one of
    them has to say the same. Empty content is {}. Raises InvalidInput."""
    if content.strip():
        _refuse_depth(content)
        if _values(content) > MOST_VALUES and _values(_TEXT.sub(b"", content)) > MOST_VALUES:
            raise InvalidInput("body", f"the body has more than {MOST_VALUES:,} values")
        try:
            document = json.loads(content.decode(), object_pairs_hook=_object)
            _check_fields(document, type(message).DESCRIPTOR, "body")
            json_format.ParseDict(document, message, max_recursion_depth=MOST_LEVELS)
        except UnicodeDecodeError as error:
            raise InvalidInput(
                "body", f"the body is not UTF-8 (byte {error.start} is wrong)"
            ) from error
        except (json_format.ParseError, ValueError) as error:
            raise _fault(error) from error
    for name, value in fixed.items():
        given = getattr(message, name)
        if given and given != value:
            raise InvalidInput(
                name,
                f"{name} is {quoted(given)} in the body and something else in the path or a "
                "header; leave it out of the body",
            )
        try:
            setattr(message, name, value)
        except ValueError as error:  # half of a surrogate pair
            raise InvalidInput(name, f"{name} is not Unicode text") from error
    return message


def to_json(message: Message) -> dict[str, Any]:
    """A message of ours as what json.dumps takes."""
    found: dict[str, Any] = json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True
    )
    return found


def dumped(document: Any) -> bytes:
    """JSON in UTF-8, on one line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _values(content: bytes) -> int:
    """No fewer than it has."""
    return sum(map(content.count, (b",", b"[", b"{")))


def _refuse_depth(content: bytes) -> None:
    """Brackets in texts count as well where there are many: no request of ours has such texts at
    such a depth. Raises InvalidInput."""
    if content.count(b"[") + content.count(b"{") <= MOST_LEVELS:
        return
    depth, in_text, escaped = 0, False, False
    for byte in content:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            if depth > MOST_LEVELS:
                raise InvalidInput("body", f"the body is nested more than {MOST_LEVELS} levels")
        elif byte in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a name that is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"{quoted(name[:80])} is there more than once")
            seen.add(name)
    return found


def _check_fields(value: Any, kind: Any, path: str) -> None:
    """A message is an object, and json_format takes an empty list or text for an empty one; its
    fields have names that the contract knows. Raises InvalidInput."""
    if kind.full_name.startswith("google.protobuf."):
        return  # those have forms of their own
    if not isinstance(value, dict):
        raise InvalidInput(path, f"{path} is to be a JSON object")
    fields = {name: one for one in kind.fields for name in (one.json_name, one.name)}
    for name, inside in value.items():
        field = fields.get(name)
        if field is None:
            raise _unknown(name, kind.name, fields)
        if field.message_type is None or inside is None:
            continue
        if not field.is_repeated:
            _check_fields(inside, field.message_type, field.name)
        elif field.message_type.GetOptions().map_entry:
            of_value = field.message_type.fields_by_name["value"].message_type
            if of_value is not None and isinstance(inside, dict):
                for one in inside.values():
                    _check_fields(one, of_value, field.name)
        elif isinstance(inside, list):
            for one in inside:
                _check_fields(one, field.message_type, field.name)


def _unknown(name: str, kind: str, known: Collection[str]) -> InvalidInput:
    """The error for a field that a message does not have, with the name that may have been meant;
    known: names of its fields, in either form."""
    shown = name[:MOST_NAME]
    by_letters = {one.lower(): one for one in known if "_" not in one or "_" in shown}
    close = get_close_matches(shown.lower(), by_letters, n=1)
    meant = f"did you mean {quoted(by_letters[close[0]])}?" if close else ""
    if not meant:
        names = sorted(one for one in known if "_" not in one)
        meant = f"it has {', '.join(names)}"[:MOST_NAMES] if names else "it has none"
    field = shown if shown.isprintable() else "body"
    return InvalidInput(field, f"unknown field {quoted(name)} of {kind}; {meant}")


def _fault(error: Exception) -> InvalidInput:
    said = " ".join(str(error).split())
    named = _AT_FIELD.search(said)
    field = named.group(1) if named is not None else "body"
    said = said.rstrip(".")
    return InvalidInput(field, f"the body is not what this takes: {said[:500]}")
