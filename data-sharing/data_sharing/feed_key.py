"""KeyPath: where the key of a feed's events is, and what can be one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from control_plane.printable import quoted
from data_sharing.schemas import steps_of

DEFAULT_KEY = "/subject"
ATTRIBUTE_KEYS = ("subject", "source", "partitionkey")
MAX_KEY_BYTES = 256
_EXACT = 2**53
_TOO_LONG = 10 ** (MAX_KEY_BYTES - 1)  # leaves room for a sign


class KeyPath(NamedTuple):
    """Where an event's key is: in its data, or one of its attributes."""

    pointer: str  # as the manifest has it
    steps: tuple[str, ...]  # into data; empty: an attribute
    attribute: str

    @classmethod
    def parse(cls, pointer: str) -> KeyPath:
        """Raises ValueError that says what is wrong.

        >>> KeyPath.parse("/data/road").steps
        ('road',)
        """
        steps = steps_of(pointer)
        if len(steps) > 1 and steps[0] == "data":
            return cls(pointer, steps[1:], "")
        if len(steps) == 1 and steps[0] in ATTRIBUTE_KEYS:
            return cls(pointer, (), steps[0])
        known = ", ".join(f"/{name}" for name in ATTRIBUTE_KEYS)
        raise ValueError(f"{quoted(pointer)} is neither /data/… nor one of {known}")

    def of_data(self, data: Mapping[str, Any]) -> str | None:
        """The key in an event's data; None where there is none, or no text or whole number."""
        value: Any = data
        for step in self.steps:
            if not isinstance(value, Mapping):
                return None
            value = value.get(step)
        return key_text(value)

    def of_event(self, data: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
        """The key of an event, of its data or of its attributes as CloudEvents has them in JSON;
        None where there is none."""
        if self.steps:
            return self.of_data(data)
        value = attributes.get(self.attribute)
        if self.attribute == "partitionkey" and isinstance(value, bool):
            return str(value).lower()  # as every extension that is no text
        return key_text(value)


def key_text(value: object) -> str | None:
    """A value as a key; None where it cannot be one. A whole number is the same key however JSON
    wrote it: 7, 7.0 and 70e-1; past 2^53 only without a fraction and an exponent, for then a
    double stands for several.

    >>> key_text("a1"), key_text(7), key_text(7.0), key_text(7.5), key_text(True), key_text("")
    ('a1', '7', '7', None, None, None)
    """
    if isinstance(value, str):
        return value if value and len(value.encode()) <= MAX_KEY_BYTES else None
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    if isinstance(value, int) and abs(value) < _TOO_LONG:
        return str(value)
    return None
