"""Request checks: whether what a message says can mean anything.

Protobuf decodes any seconds and nanos into a Timestamp, any number into an enum, and 64 bits
without a sign into what stores and JSON keep with one. JSON travels as text, which its reader
checks. Each is looked at here, once and for every message that a servicer is given, so that
nothing behind has to: which fields can be wrong is worked out from the descriptors, so a new
field is checked by being there.
Bounds: google/protobuf/timestamp.proto and duration.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from control_plane.errors import InvalidInput
from control_plane.printable import quoted

FIRST_S = -62_135_596_800  # 0001-01-01T00:00:00Z
LAST_S = 253_402_300_799  # 9999-12-31T23:59:59Z
LONGEST_S = 315_576_000_000  # of a Duration, either way: 10,000 years
MOST_INTEGER = 2**63 - 1
NANOS = 1_000_000_000

_Check: TypeAlias = Callable[[Any, str], None]  # of a value and its path; raises InvalidInput
_WIDE = (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64)


def check_request(message: Message) -> None:
    """Raises InvalidInput that names the first field whose value means nothing, by its path:
    `hello.ttl`, `config["brew"].cups`, `reports[3].outcome.status`."""
    _check_message(message, "")


def time_fault(message: Any) -> str:
    """What is wrong with a Timestamp; empty: nothing."""
    if not FIRST_S <= message.seconds <= LAST_S:
        return f"{message.seconds} s is not within the years 1 to 9999"
    if not 0 <= message.nanos < NANOS:
        return f"it has {message.nanos} nanoseconds; they are 0 to 999,999,999"
    return ""


def duration_fault(message: Any) -> str:
    """What is wrong with a Duration; empty: nothing."""
    if abs(message.seconds) > LONGEST_S:
        return f"{message.seconds} s is longer than 10,000 years"
    if abs(message.nanos) >= NANOS:
        return f"it has {message.nanos} nanoseconds; they are within 999,999,999 of 0"
    if message.seconds * message.nanos < 0:
        return "its seconds and nanoseconds have different signs"
    return ""


def _check_message(message: Message, path: str) -> None:
    checks = _checks_of(message.DESCRIPTOR)
    if not checks:
        return
    for field, value in message.ListFields():
        check = checks.get(field.number)
        if check is None:
            continue
        here = f"{path}.{field.name}" if path else field.name
        for one, where in _values(field, value, here):
            check(one, where)


def _values(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[Any, str]]:
    """The values of a field, each with its path."""
    if not field.is_repeated:
        yield value, path
    elif _is_map(field):
        yield from ((value[key], f"{path}[{quoted(str(key), 80)}]") for key in value)
    else:
        yield from ((one, f"{path}[{place}]") for place, one in enumerate(value))


@cache
def _checks_of(descriptor: Descriptor) -> dict[int, _Check]:
    """By the numbers of the fields that can be wrong."""
    found = {}
    for field in descriptor.fields:
        check = _check_of(_value_field(field) if _is_map(field) else field)
        if check is not None:
            found[field.number] = check
    return found


def _check_of(field: FieldDescriptor) -> _Check | None:
    """None: any value of the field means something."""
    if field.enum_type is not None:
        return _enum_check(field.enum_type)
    if field.type in _WIDE:
        return _check_wide
    kind = field.message_type
    if kind is None:
        return None
    known = _WELL_KNOWN.get(kind.full_name)
    if known is not None:
        return known
    return _check_message if _can_be_wrong(kind) else None


@cache
def _can_be_wrong(descriptor: Descriptor) -> bool:
    """Whether anything in a message, however deep, needs a look."""
    seen: set[str] = set()
    todo = [descriptor]
    while todo:
        one = todo.pop()
        if one.full_name in seen:
            continue
        seen.add(one.full_name)
        for field in one.fields:
            if field.enum_type is not None or field.type in _WIDE:
                return True
            if field.message_type is not None:
                if field.message_type.full_name in _WELL_KNOWN:
                    return True
                todo.append(field.message_type)
    return False


def _enum_check(kind: EnumDescriptor) -> _Check:
    names = kind.values_by_number

    def check(value: int, path: str) -> None:
        if value not in names:
            known = ", ".join(one.name for number, one in sorted(names.items()) if number)
            raise InvalidInput(path, f"{path} is {value}, which means nothing here; use {known}")

    return check


def _check_wide(value: int, path: str) -> None:
    if value > MOST_INTEGER:
        raise InvalidInput(path, f"{path} is {value}; it is at most {MOST_INTEGER} (2**63 - 1)")


def _check_timestamp(value: Any, path: str) -> None:
    if wrong := time_fault(value):
        raise InvalidInput(path, f"{path} is no time: {wrong}")


def _check_duration(value: Any, path: str) -> None:
    if wrong := duration_fault(value):
        raise InvalidInput(path, f"{path} is no duration: {wrong}")


_WELL_KNOWN: dict[str, _Check] = {
    "google.protobuf.Timestamp": _check_timestamp,
    "google.protobuf.Duration": _check_duration,
}


def _is_map(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def _value_field(field: FieldDescriptor) -> FieldDescriptor:
    """Of a map's entries."""
    entry = field.message_type
    assert entry is not None
    return entry.fields_by_name["value"]
