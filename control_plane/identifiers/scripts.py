"""Which writing systems a text is of, and which others have letters that look the same.

UTS #39, 5.1: a text is of one script when its characters have one in common, by
Script_Extensions; Han goes with kana, with Hangul and with Bopomofo. 4.1: a text may be a
whole-script confusable of one in another script.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from control_plane.identifiers.skeleton import character_key
from control_plane.identifiers.unicode_tables import unicode_tables

_COMMON = frozenset({"Zyyy", "Zinh"})
# Sets of scripts that one language writes side by side (UTS #39, table 1a).
_WRITTEN_WITH = {
    "Hani": ("Hanb", "Jpan", "Kore"),
    "Hira": ("Jpan",),
    "Kana": ("Jpan",),
    "Hang": ("Kore",),
    "Bopo": ("Hanb",),
}


def scripts_of(text: str) -> frozenset[str] | None:
    """The scripts that all its characters have in common (ISO 15924; `Jpan`, `Kore` and `Hanb`
    for sets of them). None: any, for there are only digits, marks and the like; empty: it mixes
    scripts, or holds a character that is none of an identifier."""
    if text.isascii():
        return frozenset({"Latn"}) if any(one.isalpha() for one in text) else None
    common: frozenset[str] | None = None
    scripts = unicode_tables().scripts
    for one in text:
        own = _augmented(scripts.get(one, frozenset()))
        if own is not None:
            common = own if common is None else common & own
    return common


@cache
def _augmented(scripts: frozenset[str]) -> frozenset[str] | None:
    """With the sets that they are written in; None: common to all. (Few: one for each value of
    Script_Extensions.)"""
    if scripts & _COMMON:
        return None
    return scripts.union(*(_WRITTEN_WITH.get(one, ()) for one in scripts))


def digit_systems(text: str) -> frozenset[str]:
    """The zeros of the systems that its decimal digits are of (UTS #39, 5.3)."""
    return frozenset(
        chr(ord(one) - unicodedata.decimal(one))
        for one in text
        if unicodedata.decimal(one, None) is not None
    )


def scripts_that_look_alike(text: str) -> frozenset[str]:
    """Scripts, other than its own, in which some text looks the same as a whole.

    >>> sorted(scripts_that_look_alike("сосо"))  # Cyrillic
    ['Grek', 'Latn']
    """
    own = scripts_of(text) or frozenset()
    index = _scripts_by_key()
    tables = unicode_tables()
    common: frozenset[str] | None = None
    for one in text:
        scripts = tables.scripts.get(one, frozenset())
        if scripts & _COMMON:
            continue
        found = scripts | index.get(character_key(one), frozenset())
        common = found if common is None else common & found
    return (common or frozenset()) - own - _COMMON


@cache
def _scripts_by_key() -> dict[str, frozenset[str]]:
    """Of each look of a letter that another has too: the scripts of all that have it."""
    tables = unicode_tables()
    index: dict[str, frozenset[str]] = {}
    concerned = {one for row in tables.prototypes.items() for part in row for one in part}
    for one in concerned:
        if one in tables.scripts and one == one.lower():
            key = character_key(one)
            index[key] = index.get(key, frozenset()) | tables.scripts[one]
    return index
