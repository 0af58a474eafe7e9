"""Skeletons: which names look the same, by UTS #39 and by our own key."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.folding import simple_fold
from control_plane.identifiers.skeleton import character_key, handle_key, skeleton, stored_key
from control_plane.identifiers.unicode_tables import unicode_tables


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("paypal", "pаypаl", id="mixed scripts: Cyrillic a"),
        pytest.param("scope", "ѕсоре", id="whole script: all Cyrillic"),
        pytest.param("ljeto", "ǉeto", id="one script: a letter of two"),
        pytest.param("so̷s", "søs", id="a stroke of its own"),
        pytest.param("1l", "ll", id="a digit and a letter"),
        pytest.param("rn", "m", id="two letters and one"),
        pytest.param("a\u200db", "ab", id="a joiner that nobody sees"),
        pytest.param(
            "A1<\u05e9\u05c1", "\u0391\u05e9\u05c1>1", id="seen from right to left, mirrored"
        ),
        pytest.param("\u5de5", "\u30a8", id="Han and kana"),
        pytest.param("ᾳν", "ąv", id="an iota below a Greek letter and an ogonek"),
    ],
)
def test_names_that_look_the_same_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)
    assert handle_key(one) == handle_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Anna", "anna", id="case"),
        pytest.param("b0b", "bob", id="a zero for an o"),
        pytest.param("anna-b", "anna_b", id="hyphen and underscore"),
        pytest.param("anna.b", "anna-b", id="dot and hyphen"),
        pytest.param("col·lectiu", "col.lectiu", id="a middle dot"),
        pytest.param("σοφος", "σοφοσ", id="a final sigma"),
        pytest.param("ΑΝΝΑ", "ανvα", id="capitals of Greek"),
        pytest.param("Ꭺnnа", "anna", id="capitals of Cherokee"),
    ],
)
def test_a_key_holds_more_together_than_a_skeleton(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)
    assert handle_key(one) == handle_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna", "änna"),
        ("anna", "hannah"),
        ("mail", "mall"),
        ("vv", "w"),
        ("שלום", "שולם"),
        ("strasse", "straße"),
        ("太郎", "次郎"),
    ],
)
def test_names_that_are_told_apart_stay_apart(one: str, other: str) -> None:
    assert handle_key(one) != handle_key(other)


def test_every_row_of_the_table_is_confusable_with_its_prototype() -> None:
    tables = unicode_tables()
    assert len(tables.prototypes) > 6_000
    slips = [
        (source, prototype)
        for source, prototype in tables.prototypes.items()
        # A character that decomposes is looked up by its parts, a capital by its small letter.
        if unicodedata.normalize("NFD", source) == source == simple_fold(source)
        and source not in tables.ignorable
        and character_key(source) != "".join(map(character_key, prototype))
        and unicodedata.normalize("NFD", character_key(source))
        != unicodedata.normalize("NFD", "".join(map(character_key, prototype)))
    ]
    assert slips == []


def test_small_letters_that_are_confusable_have_one_key() -> None:
    """Each with each, of all characters that handles may have."""
    keys: dict[str, set[str]] = {}
    for one in unicode_tables().scripts:
        if simple_fold(one) == one:
            keys.setdefault(skeleton(one), set()).add(handle_key(one))
    assert [found for found in keys.values() if len(found) > 1] == []


@given(st.text(max_size=20))
def test_canonically_equal_texts_look_the_same(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert skeleton(composed) == skeleton(unicodedata.normalize("NFD", text))
    assert handle_key(composed) == handle_key(unicodedata.normalize("NFD", text))


@given(st.text(st.sampled_from(sorted(unicode_tables().scripts)), max_size=12))
def test_the_key_of_a_key_is_that_key_where_text_runs_left_to_right(text: str) -> None:
    key = handle_key(text)
    right = {"R", "AL", "AN"}
    if not any(unicodedata.bidirectional(one) in right for one in text + key):
        assert handle_key(key) == key


@given(st.text(st.characters(max_codepoint=127)))
def test_the_quick_way_for_ascii_is_the_long_one(text: str) -> None:
    assert handle_key(text) == handle_key(text + "é").removesuffix("e\u0301")


@given(st.text(max_size=30))
def test_a_stored_key_stands_in_a_key_of_the_store(text: str) -> None:
    if any(unicodedata.category(one) == "Cs" for one in text):
        return
    assert re.fullmatch(r"u17r1\.[A-Za-z0-9_.~%-]*", stored_key(text))
    assert "/" not in stored_key(text)


def test_the_stored_form_is_what_claims_are_kept_under() -> None:
    """A row that changes here orphans claims that are stored: raise KEY_RULES, and say in the
    reference what becomes of them."""
    rows = {
        "anna": "u17r1.anna",
        "anna_m": "u17r1.anna-rn",
        "b0b": "u17r1.bob",
        "сосо": "u17r1.coco",
        "straße": "u17r1.stra%C3%9Fe",
        "ノア": "u17r1.%2F%E3%82%A2",
        "אב1": "u17r1.l%D7%91%D7%90",
    }
    assert {text: stored_key(text) for text in rows} == rows
