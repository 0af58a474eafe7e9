"""Masks: what is shown of a value in place of it. Pure.

`hash` is a pseudonym: BLAKE2b with a secret of the tenant and with the purpose, so that one value
is the same within a purpose, is another for another purpose, and cannot be looked up in a table of
all values by whoever has not the secret. It does not hide that two events have the same value, and
who may publish values of its own choice and reads their pseudonyms can make such a table.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from data_sharing.sharing.policy import MaskSpec, PrefixMask

HIDDEN: Any = object()  # nothing is shown
_YEAR = 4


class Pseudonyms:
    """Of one tenant, whose secret it is, for one purpose."""

    __slots__ = ("_begun",)

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._begun = blake2b(digest_size=16, key=secret)
        self._begun.update(f"{len(purpose)}:{purpose}:".encode(errors="surrogatepass"))

    def of(self, value: str) -> str:
        """32 hexadecimal digits; the same for the same value."""
        keyed = self._begun.copy()
        keyed.update(value.encode(errors="surrogatepass"))
        return keyed.hexdigest()


def masked(value: Any, mask: MaskSpec, pseudonyms: Pseudonyms) -> Any:
    """What is shown; HIDDEN where the mask does not fit the value: lists and objects have none."""
    if mask == "null":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return HIDDEN
    if mask == "hash":
        return pseudonyms.of(_text(value))
    if mask == "year" and isinstance(value, str) and _is_date(value):
        return value[:_YEAR]
    if isinstance(mask, PrefixMask) and isinstance(value, str):
        return value[: mask.prefix]
    return HIDDEN


def _text(value: str | int | float) -> str:
    """A number is the same however JSON wrote it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _is_date(text: str) -> bool:
    """As RFC 3339 begins: 2026-11-29."""
    return (
        len(text) >= 10 and text.isascii() and text[:_YEAR].isdigit() and text[4] == text[7] == "-"
    )
