"""Which partition of spread feeds an event belongs to: a hash of its tenant and key.

Servers and producers work it out alike, so it never changes. Pure; docs/reference/feeds-on-nats.md
says it in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

MAX_KEY_BYTES = 256
_EXACT = 2**53
_TOO_LONG = 10 ** (MAX_KEY_BYTES - 1)


def partition_of(tenant: str, key: str, count: int) -> int:
    """0 to count - 1: BLAKE2b with 8 bytes, of the tenant, a zero byte and the key in UTF-8, as a
    big-endian number, modulo count.

    >>> [partition_of("default", key, 4) for key in ("key-1", "key-2", "key-3", "key-4")]
    [0, 0, 2, 2]
    """
    digest = blake2b(f"{tenant}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % count


def key_of(pointer: str, data: Mapping[str, Any], attributes: Mapping[str, str]) -> str | None:
    """The key of an event, as the server reads it: pointer: JSON Pointer into the event, of its
    feed; None: there is none, or it is not for us to say.

    >>> key_of("/subject", {}, {"subject": "anna"}), key_of("/data/road", {"road": 7.0}, {})
    ('anna', '7')
    """
    steps = [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]]
    if len(steps) == 1:
        return _text(attributes.get(steps[0]))
    value: Any = data
    for step in steps[1:]:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return _text(value)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value if value and len(value.encode("utf-8", "replace")) <= MAX_KEY_BYTES else None
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    if isinstance(value, int) and abs(value) < _TOO_LONG:
        return str(value)
    return None
