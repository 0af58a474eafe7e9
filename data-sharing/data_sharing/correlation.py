"""Correlation: what an event says of where it comes from, in extension attributes of CloudEvents.

`correlationid` groups all that belongs to one flow and goes unchanged through it; `causationid`
names what directly led to the event, an event or an instruction. Both are those of CloudEvents'
Correlation extension, https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/correlation.md.
`homeporthops` counts the decisions that came before the event in its flow. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

CORRELATION: Final = "correlationid"
CAUSATION: Final = "causationid"
HOPS: Final = "homeporthops"
MOST_BYTES = 512  # of an id
MOST_HOPS = 2**31 - 1  # a whole number of CloudEvents

_NAMES = tuple(f'"{name}"'.encode() for name in (CORRELATION, CAUSATION, HOPS))


class Correlation(NamedTuple):
    """correlation, causation: empty where nothing is said; hops: 0 likewise."""

    correlation: str = ""
    causation: str = ""
    hops: int = 0


class WrongCorrelation(ValueError):
    """field: the attribute that cannot be taken."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


UNKNOWN: Final = Correlation()


def read_correlation(extensions: Mapping[str, Any]) -> Correlation:
    """What an event says. A whole number or truth value counts as its text, as header fields have
    no other; numbers may come as texts for the same reason. Raises WrongCorrelation."""
    correlation, causation = _id(extensions, CORRELATION), _id(extensions, CAUSATION)
    return Correlation(correlation, causation, _hops(extensions))


def kept_correlation(attributes: bytes) -> Correlation:
    """What the kept attributes of an event say, a JSON object or nothing; what cannot be read,
    because an older release took it, is not said."""
    if not attributes or not any(name in attributes for name in _NAMES):
        return UNKNOWN
    found: dict[str, Any] = msgspec.json.decode(attributes)
    try:
        return read_correlation(found)
    except WrongCorrelation:
        return UNKNOWN


def with_correlation(attributes: bytes, told: Correlation) -> bytes:
    """The kept attributes, saying this; what is empty or 0 is left as it was."""
    kept: dict[str, Any] = msgspec.json.decode(attributes) if attributes else {}
    return msgspec.json.encode(kept | extensions_of(told))


def extensions_of(told: Correlation) -> dict[str, str | int]:
    """As extension attributes; what is empty or 0 is none."""
    found: dict[str, str | int] = {}
    if told.correlation:
        found[CORRELATION] = told.correlation
    if told.causation:
        found[CAUSATION] = told.causation
    if told.hops:
        found[HOPS] = told.hops
    return found


def _id(extensions: Mapping[str, Any], name: str) -> str:
    value = extensions.get(name)
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value).lower()
    if not text:
        raise WrongCorrelation(name, f"{name} is there and empty; leave it out, or give an id")
    if len(text.encode()) > MOST_BYTES:
        raise WrongCorrelation(name, f"{name} is longer than {MOST_BYTES} bytes")
    return text


def _hops(extensions: Mapping[str, Any]) -> int:
    value = extensions.get(HOPS)
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 10:
        value = int(value)
    if type(value) is not int or not 0 <= value <= MOST_HOPS:
        raise WrongCorrelation(HOPS, f"{HOPS} is a whole number from 0 to {MOST_HOPS:,}")
    return value
