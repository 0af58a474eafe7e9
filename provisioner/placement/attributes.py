"""Attributes of clients: pairs of texts that policies may read, and the key that brings them. Pure.

Whoever places a client asks by the key of its assignment. Of a client that has attributes it is an
`AttributedKey`, which is that key in every other respect: so they come along on every way to a
unit, and whoever has nothing to do with them never sees them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

MOST_ATTRIBUTES = 16
MOST_NAME_BYTES = 64
MOST_VALUE_BYTES = 256
MOST_BYTES = 1_024  # of names and values together
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")

Attributes: TypeAlias = Mapping[str, str]

NO_ATTRIBUTES: Attributes = MappingProxyType({})


class AttributedKey(bytes):
    """The key of a client's assignment, with what is known of the client."""

    attributes: Attributes


def with_attributes(key: bytes, attributes: Attributes | None) -> bytes:
    """By what a client is placed; the key itself where the client has no attributes."""
    if not attributes:
        return key
    made = AttributedKey(key)
    made.attributes = attributes
    return made


def attributes_of(client_key: bytes) -> Attributes:
    """Of the client that this key is of."""
    return client_key.attributes if type(client_key) is AttributedKey else NO_ATTRIBUTES


def is_attribute_name(text: str) -> bool:
    """Whether an attribute may be called so: 1 to 64 of A-Z a-z 0-9 '_' '-' '.', the first one a
    letter or '_'."""
    return bool(_NAME.fullmatch(text))
