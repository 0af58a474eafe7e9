"""Tables of Unicode that Python has not: look-alikes, scripts, what identifiers are made of.

Read once, when first needed, from `data/unicode_tables.bin`, which `data/generate.py` makes of
Unicode's own files. One version for all servers, whatever Python they run on.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

_FILE = Path(__file__).parent / "data" / "unicode_tables.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """The file, as `data/generate.py` writes it."""

    unicode: str
    oldest: str
    sources: dict[str, str]
    confusables: list[str]
    mirrored: list[str]
    default_ignorable: list[tuple[int, int]]
    identifier_characters: list[tuple[int, int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnicodeTables:
    """What one version of Unicode says of characters."""

    version: str
    # Of a character that looks like another, its prototype (UTS #39, 4; confusables.txt).
    prototypes: Mapping[str, str]
    # How a character is seen where text runs right to left (Bidi_Mirroring_Glyph).
    mirrored: Mapping[str, str]
    # Nobody sees them (Default_Ignorable_Code_Point).
    ignorable: frozenset[str]
    # Of each character for identifiers (Identifier_Status=Allowed) that the oldest Python knows,
    # its scripts (Script_Extensions), as ISO 15924 writes them.
    scripts: Mapping[str, frozenset[str]]


@cache
def unicode_tables() -> UnicodeTables:
    """The tables; some 30 ms when first called."""
    document = msgspec.json.decode(zlib.decompress(_FILE.read_bytes()), type=_Document)
    scripts: dict[str, frozenset[str]] = {}
    sets: dict[str, frozenset[str]] = {}
    for first, last, names in document.identifier_characters:
        known = sets.setdefault(names, frozenset(names.split()))
        scripts.update(dict.fromkeys(map(chr, range(first, last + 1)), known))
    return UnicodeTables(
        version=document.unicode,
        prototypes={row[0]: row[1:] for row in document.confusables},
        mirrored={row[0]: row[1] for row in document.mirrored},
        ignorable=frozenset(
            chr(code)
            for first, last in document.default_ignorable
            for code in range(first, last + 1)
        ),
        scripts=scripts,
    )
