"""Percent-encoding of the parts of a URI (RFC 3986, 2.1): strictly read, canonically written."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes

_BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"


def decoded(part: str) -> str:
    """What the part says, in NFC. Raises ValueError that says what is wrong: a '%' that encodes
    nothing, octets that are no UTF-8, a character that nobody sees."""
    if "%" in part:
        if _BROKEN.search(part):
            raise ValueError("a '%' in it is not followed by two hexadecimal digits")
        try:
            part = unquote_to_bytes(part.encode()).decode()
        except UnicodeError:
            raise ValueError("what it encodes is not UTF-8") from None
    if part.isascii() and part.isprintable():
        return part
    part = unicodedata.normalize("NFC", part)
    for one in part:
        if unicodedata.category(one) in _UNSEEN and one not in _JOINERS:
            raise ValueError(f"it holds U+{ord(one):04X}, which nobody sees")
    return part


def encoded(text: str, allowed: str) -> str:
    """The text with all encoded but letters, digits, '-', '.', '_', '~' and those allowed."""
    return quote(text, safe=allowed)
