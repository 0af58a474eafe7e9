"""Makes `unicode_tables.bin` from files of the Unicode Character Database and of UTS #39.

    python control_plane/identifiers/data/generate.py FOLDER

FOLDER holds, of one version: confusables.txt and IdentifierStatus.txt
(https://www.unicode.org/Public/security/), BidiMirroring.txt, DerivedAge.txt,
DerivedCoreProperties.txt, PropertyValueAliases.txt, ScriptExtensions.txt and Scripts.txt
(https://www.unicode.org/Public/, below ucd). The file that is made records the version, and of
each source its digest. LICENSE-UNICODE.txt is theirs.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

SOURCES = (
    "BidiMirroring.txt",
    "DerivedAge.txt",
    "DerivedCoreProperties.txt",
    "IdentifierStatus.txt",
    "PropertyValueAliases.txt",
    "ScriptExtensions.txt",
    "Scripts.txt",
    "confusables.txt",
)
# The Unicode version of the oldest Python that Homeport runs on (3.11). Characters that came
# later have no case, no decomposition and no class there, so handles do without them everywhere.
OLDEST_UNICODE = (14, 0)
_VERSION = re.compile(r"^# Version: ([\d.]+)$", re.M)
_UNLISTED = "Zzzz"


def main(folder: Path, target: Path) -> None:
    texts = {name: (folder / name).read_text("utf-8-sig") for name in SOURCES}
    version = _VERSION.search(texts["confusables.txt"])
    if version is None:
        raise SystemExit("confusables.txt names no version")
    document = {
        "unicode": version[1],
        "oldest": ".".join(map(str, OLDEST_UNICODE)),
        "sources": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SOURCES
        },
        # Of each character with a prototype other than itself: it, and the prototype.
        "confusables": sorted(_prototypes(texts["confusables.txt"])),
        # Of each character that is seen the other way round from right to left: it, and how.
        "mirrored": [
            chr(int(row[0], 16)) + chr(int(row[1], 16)) for row in _rows(texts["BidiMirroring.txt"])
        ],
        # Nobody sees them: first, last.
        "default_ignorable": [
            [_characters(row[0])[0], _characters(row[0])[-1]]
            for row in _rows(texts["DerivedCoreProperties.txt"])
            if row[1] == "Default_Ignorable_Code_Point"
        ],
        # Characters for identifiers: first, last, and their scripts.
        "identifier_characters": list(_identifier_ranges(texts)),
    }
    plain = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    target.write_bytes(zlib.compress(plain, 9))
    print(f"{target}: Unicode {version[1]}, {len(plain):,} bytes, {target.stat().st_size:,} packed")


def _rows(text: str) -> Iterator[list[str]]:
    """The fields of each line, without comments."""
    for line in text.splitlines():
        fields = [one.strip() for one in line.partition("#")[0].split(";")]
        if len(fields) > 1:
            yield fields


def _characters(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def _prototypes(text: str) -> Iterator[str]:
    for source, prototype, *_ in _rows(text):
        yield "".join(chr(int(one, 16)) for one in (source, *prototype.split()))


def _identifier_ranges(texts: dict[str, str]) -> Iterator[tuple[int, int, str]]:
    short = {row[2]: row[1] for row in _rows(texts["PropertyValueAliases.txt"]) if row[0] == "sc"}
    scripts = {
        code: short[row[1]] for row in _rows(texts["Scripts.txt"]) for code in _characters(row[0])
    }
    for row in _rows(texts["ScriptExtensions.txt"]):
        scripts |= dict.fromkeys(_characters(row[0]), " ".join(sorted(row[1].split())))
    old = {
        code
        for row in _rows(texts["DerivedAge.txt"])
        if tuple(map(int, row[1].split("."))) <= OLDEST_UNICODE
        for code in _characters(row[0])
    }
    allowed = sorted(
        code
        for row in _rows(texts["IdentifierStatus.txt"])
        if row[1] == "Allowed"
        for code in _characters(row[0])
        if code in old
    )
    first = last = allowed[0]
    for code in [*allowed[1:], 0x110000]:
        same = scripts.get(code, _UNLISTED) == scripts.get(first, _UNLISTED)
        if code != last + 1 or not same:
            yield first, last, scripts.get(first, _UNLISTED)
            first = code
        last = code


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(__file__).with_name("unicode_tables.bin"))
