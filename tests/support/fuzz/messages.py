"""Messages of any type, made up from its descriptor: some that could be meant, some that could not,
and some that are no message any more. Everything from one seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.support.fuzz.words import BYTES, NUMBERS, TEXTS, WORDS

MOST_DEPTH = 6
MUTATED = 0.15  # of messages, once they are bytes
ODD = (0.03, 0.2, 0.7)  # of the values of a message, one of these: most could be meant in some
_Field = FieldDescriptor
_RANGES = {
    _Field.TYPE_INT32: (-(2**31), 2**31 - 1),
    _Field.TYPE_SINT32: (-(2**31), 2**31 - 1),
    _Field.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    _Field.TYPE_UINT32: (0, 2**32 - 1),
    _Field.TYPE_FIXED32: (0, 2**32 - 1),
    _Field.TYPE_INT64: (-(2**63), 2**63 - 1),
    _Field.TYPE_SINT64: (-(2**63), 2**63 - 1),
    _Field.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    _Field.TYPE_UINT64: (0, 2**64 - 1),
    _Field.TYPE_FIXED64: (0, 2**64 - 1),
}
_NUMBERS = (0, 1, 2, 3, 10, 100, 1_000, 1_001, 2**31, 2**40, 2**53, 2**62)
_FLOATS = (0.0, -0.0, 1.0, 0.5, -1.0, 53.3, 90.5, 181.0, 1e6, 1e308, 5e-324,
           math.nan, math.inf, -math.inf)  # fmt: skip
_SECONDS = (0, 1, 5, -1, 10**9, 1_796_083_140, 253_402_300_799, 253_402_300_800, -62_135_596_801,
            315_576_000_001, 2**62, -(2**63), 2**63 - 1)  # fmt: skip
_NANOS = (0, 1, 999_999_999, 10**9, -1, 2**31 - 1, -(2**31))


class MessageFuzzer:
    """See the module."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._odd = random.choice(ODD)
        self._within = ""  # which field is being filled

    def content(self, descriptor: Descriptor) -> bytes:
        """What a client might send as this message."""
        content: bytes = self.message(descriptor).SerializeToString()
        if self.random.random() < MUTATED:
            content = self.random.choice(_MUTATIONS)(self.random, content)
        return content

    def message(self, descriptor: Descriptor, depth: int = 0) -> Any:
        """A message of the class that the descriptor has."""
        message = message_factory.GetMessageClass(descriptor)()
        own = _WELL_KNOWN.get(descriptor.full_name)
        if own is not None:
            own(self, message, depth)
            return message
        chance = 0.75 if depth < MOST_DEPTH else 0.0
        chosen = {one: self.random.choice(one.fields) for one in descriptor.oneofs}
        for field in descriptor.fields:
            group = field.containing_oneof
            if group is not None and chosen[group] is not field:
                continue
            if self.random.random() < chance:
                self._fill(message, field, depth)
        return message

    def _fill(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        self._within = field.name
        if not field.is_repeated:
            if field.message_type is None:
                setattr(message, field.name, self._scalar(field))
            else:
                getattr(message, field.name).CopyFrom(self.message(field.message_type, depth + 1))
            return
        count = 1_100 if self.random.random() < 0.003 and depth < 2 else self.random.randint(0, 3)
        target = getattr(message, field.name)
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            for _ in range(count):
                if value.message_type is None:
                    target[self._scalar(key)] = self._scalar(value)
                else:
                    made = self.message(value.message_type, depth + 1)
                    target[self._scalar(key)].CopyFrom(made)
        elif entry is not None:
            target.extend(self.message(entry, depth + 1) for _ in range(count))
        else:
            target.extend(self._scalar(field) for _ in range(count))

    def _scalar(self, field: FieldDescriptor) -> Any:
        random = self.random
        odd = random.random() < self._odd
        if field.enum_type is not None:
            known: Sequence[int] = list(field.enum_type.values_by_number)
            return random.choice((99, -1, 2**31 - 1, -(2**31)) if odd else known)
        if field.type == _Field.TYPE_STRING:
            of_entry = f"{field.containing_type.name}.{field.name}"
            meant = WORDS.get(of_entry) or WORDS.get(field.name) or TEXTS
            return random.choice(TEXTS if odd else meant)
        if field.type == _Field.TYPE_BYTES:
            return random.choice(BYTES)
        if field.type == _Field.TYPE_BOOL:
            return random.random() < 0.5
        if not odd and field.name in NUMBERS:
            return random.choice(NUMBERS[field.name])
        if field.type in (_Field.TYPE_DOUBLE, _Field.TYPE_FLOAT):
            return random.choice(_FLOATS)
        least, most = _RANGES[field.type]
        edge = random.choice((least, most, most // 2, most // 2 + 1, -1))
        found = edge if odd else random.choice(_NUMBERS)
        return min(most, max(least, found))

    # -- messages that mean something of their own -------------------------------------

    def _span(self, message: Any, depth: int) -> None:
        odd = self.random.random() < self._odd
        now = (5, 60, int(time.time()))
        message.seconds = self.random.choice(_SECONDS if odd else now)
        message.nanos = self.random.choice(_NANOS if odd else (0,))

    def _any(self, message: Any, depth: int) -> None:
        message.type_url = self.random.choice(TEXTS)
        message.value = self.random.choice(BYTES)


_WELL_KNOWN: dict[str, Callable[[MessageFuzzer, Any, int], None]] = {
    "google.protobuf.Timestamp": MessageFuzzer._span,
    "google.protobuf.Duration": MessageFuzzer._span,
    "google.protobuf.Any": MessageFuzzer._any,
}


# -- messages that are bytes already ---------------------------------------------------


def _flipped(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(min(len(changed), random.randint(1, 4))):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _cut(random: Random, content: bytes) -> bytes:
    return content[: random.randint(0, len(content))]


def _not_utf8(random: Random, content: bytes) -> bytes:
    """Letters of a text become bytes that no text has; lengths stay."""
    places = [place for place, byte in enumerate(content) if 0x61 <= byte <= 0x7A]
    changed = bytearray(content)
    for place in random.sample(places, min(len(places), random.randint(1, 3))):
        changed[place] = random.choice((0xFF, 0xC0, 0xED, 0x80))
    return bytes(changed)


def _with_more(random: Random, content: bytes) -> bytes:
    return content + random.choice(
        (
            b"\xff" * 9,
            b"\x0b" * 200,
            b"\xf8\xff\xff\xff\x0f\x01",
            b"\x0a\xff\xff\xff\xff\x7f",
            content,
        )
    )


def _random(random: Random, content: bytes) -> bytes:
    return random.randbytes(random.randint(0, 40))


_MUTATIONS = (_flipped, _cut, _not_utf8, _with_more, _random)
