"""The tables of Unicode: what is in the file, and how it is made."""

from __future__ import annotations

import json
import unicodedata
import zlib
from pathlib import Path

import pytest

from control_plane.identifiers.data import generate
from control_plane.identifiers.unicode_tables import unicode_tables

FOLDER = Path(generate.__file__).parent
FILES = {
    "confusables.txt": "\ufeff# Version: 99.1.0\n0430 ; 0061 ; MA # a\n\n006D ;\t0072 006E ; MA\n",
    "IdentifierStatus.txt": "0061..007A ; Allowed # Latin\n0430..0432 ; Allowed\n0500 ; Allowed\n",
    "Scripts.txt": "0061..007A ; Latin # L\n0430..0500 ; Cyrillic\n",
    "ScriptExtensions.txt": "0431 ; Latn Cyrl # both\n",
    "PropertyValueAliases.txt": "gc ; Lu ; Latin\nsc ; Latn ; Latin\nsc ; Cyrl ; Cyrillic\n",
    "DerivedAge.txt": "0061..0432 ; 1.1\n0500 ; 15.0 # later than the oldest Python\n",
    "DerivedCoreProperties.txt": "00AD ; Default_Ignorable_Code_Point\n0061 ; Alphabetic\n",
    "BidiMirroring.txt": "0028; 0029 # (\n",
}


def test_a_file_is_made_of_the_sources_and_records_them(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    target = tmp_path / "tables.bin"
    generate.main(tmp_path, target)
    made = json.loads(zlib.decompress(target.read_bytes()))
    assert made["unicode"] == "99.1.0"
    assert set(made["sources"]) == set(FILES)
    assert made["confusables"] == ["mrn", "аa"]
    assert made["mirrored"] == ["()"]
    assert made["default_ignorable"] == [[0xAD, 0xAD]]
    assert made["identifier_characters"] == [
        [0x61, 0x7A, "Latn"],
        [0x430, 0x430, "Cyrl"],
        [0x431, 0x431, "Cyrl Latn"],
        [0x432, 0x432, "Cyrl"],
    ]


def test_the_file_is_of_the_sources_that_it_names() -> None:
    made = json.loads(zlib.decompress((FOLDER / "unicode_tables.bin").read_bytes()))
    assert set(made["sources"]) == set(generate.SOURCES)
    assert made["unicode"] == unicode_tables().version == "17.0.0"
    assert all(len(digest) == 64 for digest in made["sources"].values())
    assert "UNICODE LICENSE V3" in (FOLDER / "LICENSE-UNICODE.txt").read_text()


def test_every_python_that_runs_here_knows_the_characters_of_identifiers() -> None:
    """So a handle has one normal form at all servers, whatever Python they have."""
    assert [one for one in unicode_tables().scripts if unicodedata.category(one) == "Cn"] == []


def test_no_character_of_identifiers_is_unseen() -> None:
    tables = unicode_tables()
    assert tables.ignorable.isdisjoint(tables.scripts)


@pytest.mark.parametrize("one", sorted(set("abcxyz0189-_.") | set("ñßжשاअ가の太")))
def test_characters_of_daily_use_are_there(one: str) -> None:
    assert one in unicode_tables().scripts
