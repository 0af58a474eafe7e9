"""What a name looks like: two names with one skeleton can be taken for each other.

`skeleton` is that of UTS #39 (version 17, section 4, its bidiSkeleton in the direction of the
first strong character). `handle_key` goes further, for what claims are stored under: capitals
and small letters are one, hyphen, underscore and dots are one, and prototypes are followed to
their end, so that `b0b`, `bob` and `вов`'s like meet. It is never shown: `m` becomes `rn`.

The stored form begins with the version of the tables and of these rules. A later version may
hold two names alike that were not, so it writes keys of its own and reads both until every claim
has been written again under the new one; two names that meet by it both stay.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from urllib.parse import quote

from control_plane.identifiers.folding import simple_fold
from control_plane.identifiers.unicode_tables import unicode_tables
from control_plane.identifiers.visual_order import runs_right_to_left, visual_order

KEY_RULES = 1  # raised when `handle_key` gives another key for any name
_SEPARATORS = frozenset("-_.\u00b7")  # what they look like stands for all of them
_SEPARATOR = "-"
_IOTA_BELOW = "\u0345"
_MOST_PROTOTYPES = 8  # prototypes that one character is followed through; three are known


def skeleton(text: str) -> str:
    """The skeleton by UTS #39: texts with the same one are confusable. Not idempotent for
    capitals, and case counts. text: some hundred characters at most."""
    if text.isascii():
        return text.translate(_ascii_prototypes())
    if runs_right_to_left(text):
        text = visual_order(text)
    tables = unicode_tables()
    decomposed = unicodedata.normalize("NFD", text)
    mapped = [tables.prototypes.get(one, one) for one in decomposed if one not in tables.ignorable]
    return unicodedata.normalize("NFD", "".join(mapped))


def handle_key(handle: str) -> str:
    """What all names that look like this one share. handle_key(handle_key(x)) == handle_key(x)
    for names that run one way."""
    if handle.isascii():
        return handle.translate(_ascii_keys())
    if runs_right_to_left(handle):
        handle = visual_order(handle)
    decomposed = unicodedata.normalize("NFD", handle)
    return unicodedata.normalize("NFD", "".join([character_key(one) for one in decomposed]))


def stored_key(handle: str) -> str:
    """`handle_key` as it stands in a key of the store: its version, and the key in printable
    ASCII without '/'.

    >>> stored_key("anna_m")
    'u17r1.anna-rn'
    """
    return f"{_version()}.{quote(handle_key(handle), safe='')}"


@cache
def _version() -> str:
    return f"u{unicode_tables().version.partition('.')[0]}r{KEY_RULES}"


@cache
def character_key(character: str) -> str:
    """What one character looks like, followed to the end. (Cached without a bound: there are no
    more characters than Unicode has.)"""
    tables = unicode_tables()
    key = character
    for _ in range(_MOST_PROTOTYPES):
        folded = unicodedata.normalize("NFD", "".join(map(_folded, key)))
        mapped = "".join(
            [
                _SEPARATOR if one in _SEPARATORS else tables.prototypes.get(one, one)
                for one in folded
                if one not in tables.ignorable
            ]
        )
        if mapped == key:
            break
        key = mapped
    return key


def _folded(character: str) -> str:
    """The small letter. An iota below its letter looks as what stands there looks (ᾳ as ą); case
    folding would make a letter behind it."""
    return character if character == _IOTA_BELOW else simple_fold(character)


@cache
def _ascii_prototypes() -> dict[int, str]:
    prototypes = unicode_tables().prototypes
    return {code: prototypes[chr(code)] for code in range(128) if chr(code) in prototypes}


@cache
def _ascii_keys() -> dict[int, str]:
    return {code: character_key(chr(code)) for code in range(128)}
