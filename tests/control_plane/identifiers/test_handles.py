"""Handles: their form by PRECIS and UTS #39, and what may be claimed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.handles import (
    MAX_CHARACTERS,
    claim_flaw,
    read_handle,
)
from control_plane.identifiers.identifier import Flaw, FlawReason, FormChange, Identifier
from control_plane.identifiers.precis import PrecisError, username_case_mapped
from control_plane.identifiers.reserved_handles import RESERVED
from control_plane.identifiers.skeleton import handle_key


def handle(text: str) -> Identifier:
    read = read_handle(text)
    assert isinstance(read, Identifier), read
    return read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("anna", "anna", id="as it is"),
        pytest.param("@anna", "anna", id="with its sign"),
        pytest.param("  Anna\n", "anna", id="spaces around it and a capital"),
        pytest.param("ANNA_B", "anna_b", id="capitals"),
        pytest.param("Ａnna", "anna", id="a wide letter"),
        pytest.param("ｱｲｳ", "アイウ", id="narrow kana"),
        pytest.param("a\u0308nna", "änna", id="a mark of its own"),
        pytest.param("ŞEKER", "şeker", id="a capital with a cedilla"),
        pytest.param("straße", "straße", id="a sharp s is no double s"),
        pytest.param("ΣΟΦΟΣ", "σοφος".replace("σ", "σ")[:-1] + "ς", id="a sigma at the end"),
        pytest.param("Александр", "александр", id="Cyrillic"),
        pytest.param("日本たろう", "日本たろう", id="Han beside kana is one script"),
        pytest.param("김민준", "김민준", id="Hangul"),
        pytest.param("अनुज", "अनुज", id="vowel signs"),
        pytest.param("שלום12", "שלום12", id="right to left, digits last"),
        pytest.param("col·lectiu", "col·lectiu", id="a middle dot between two l"),
        pytest.param("anna.b-c_d9", "anna.b-c_d9", id="each separator once"),
    ],
)
def test_a_handle_has_one_form(text: str, expected: str) -> None:
    assert handle(text).normal == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "EMPTY", id="nothing"),
        pytest.param(" @ ", "EMPTY", id="a sign alone"),
        pytest.param("a", "TOO_SHORT", id="one letter"),
        pytest.param("a" * 31, "TOO_LONG", id="one letter too many"),
        pytest.param("a" * 100_000, "TOO_LONG", id="a hundred thousand"),
        pytest.param("аnna", "MIXED_SCRIPTS", id="a Cyrillic a before Latin letters"),
        pytest.param("taro太郎", "MIXED_SCRIPTS", id="Latin beside Han"),
        pytest.param("αнна", "MIXED_SCRIPTS", id="Greek beside Cyrillic"),
        pytest.param("anna.", "SEPARATORS", id="a dot at the end"),
        pytest.param("-anna", "SEPARATORS", id="a hyphen first"),
        pytest.param("an..na", "SEPARATORS", id="two dots"),
        pytest.param("анна._б", "SEPARATORS", id="two separators outside ASCII"),
        pytest.param("a b", "CHARACTER", id="a space"),
        pytest.param("a/b", "CHARACTER", id="a slash"),
        pytest.param("alice?x=1#y", "CHARACTER", id="what ends a path"),
        pytest.param("a'b", "CHARACTER", id="an apostrophe"),
        pytest.param("a\u200bb", "CHARACTER", id="a space of no width"),
        pytest.param("a\u00adb", "CHARACTER", id="a soft hyphen"),
        pytest.param("\u202eanna", "CHARACTER", id="an override of direction"),
        pytest.param("anna😀", "CHARACTER", id="an emoji"),
        pytest.param("ﬁsh", "CHARACTER", id="a ligature"),
        pytest.param("henryⅣ", "CHARACTER", id="a Roman numeral of one character"),
        pytest.param("∞a", "CHARACTER", id="a symbol"),
        pytest.param("ㄅㄆ", "CHARACTER", id="a script of limited use"),
        pytest.param("l·", "CHARACTER", id="a middle dot without its letters"),
        pytest.param("a\ud800", "CHARACTER", id="half a surrogate pair"),
        pytest.param("a\U000e0041b", "CHARACTER", id="a tag"),
        pytest.param("\u0378x", "CHARACTER", id="a character that is none yet"),
        pytest.param("\ue000ab", "CHARACTER", id="for private use"),
        pytest.param("anna@talk.example", "LIKE_ADDRESS", id="an address"),
        pytest.param("442079460018", "NO_LETTER", id="a number"),
        pytest.param("1-2.3", "NO_LETTER", id="digits and separators"),
        pytest.param("٣٤٥", "DIRECTION", id="digits of Arabic alone"),
        pytest.param("א1b", "DIRECTION", id="Hebrew, then Latin"),
        pytest.param("12שלום", "DIRECTION", id="digits before Hebrew"),
        pytest.param("क१2", "MIXED_DIGITS", id="digits of two scripts"),
        pytest.param("ann\u0301\u0301a", "MARKS", id="one mark twice"),
        pytest.param("an\u0300\u0301\u0302\u0303\u0304", "MARKS", id="five marks on one letter"),
    ],
)
def test_what_is_no_handle_says_why_and_what_would_do(text: str, reason: str) -> None:
    flaw = read_handle(text)
    assert isinstance(flaw, Flaw), flaw
    assert flaw.reason == FlawReason(reason)
    assert flaw.message
    assert flaw.remedy
    assert len(str(flaw)) < 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 8265, 3.5: user names that are allowed, as UsernameCaseMapped has them.
        pytest.param("juliet@example.com", "juliet@example.com", id="an address is a user name"),
        pytest.param("fussball", "fussball", id="two s"),
        pytest.param("fußball", "fußball", id="a sharp s"),
        pytest.param("π", "π", id="a small pi"),
        pytest.param("Σ", "σ", id="a capital sigma"),
        pytest.param("σ", "σ", id="a small sigma"),
        pytest.param("ς", "ς", id="a final sigma"),
    ],
)
def test_user_names_of_rfc_8265(text: str, expected: str) -> None:
    assert username_case_mapped(text) == expected


@pytest.mark.parametrize("text", ["foo bar", "", "henryⅣ", "∞"])
def test_what_rfc_8265_does_not_allow(text: str) -> None:
    with pytest.raises(PrecisError):
        username_case_mapped(text)


def test_what_was_changed_is_told() -> None:
    assert handle(" Ａnna ").changes == (FormChange.SPACE, FormChange.WIDTH, FormChange.CASE)
    assert handle("a\u0308nna").changes == (FormChange.COMPOSITION,)
    assert handle("anna").changes == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("Admin", "RESERVED", id="a role in capitals"),
        pytest.param("supp0rt", "RESERVED", id="a zero for an o"),
        pytest.param("4dm1n", "RESERVED", id="digits for letters"),
        pytest.param("sup-po.rt", "RESERVED", id="separators within"),
        pytest.param("ѕесигіту".replace("ит", "ѕ"), None, id="a look-alike of nothing"),
        pytest.param("воt", "MIXED", id="mixed anyway"),
        pytest.param("noreply", "RESERVED", id="without its hyphen"),
        pytest.param("anna.com", "LIKE_DOMAIN", id="ends as domains do"),
        pytest.param("anna.рф", "MIXED", id="another script behind the dot"),
        pytest.param("анна.рф", "LIKE_DOMAIN", id="a top-level domain outside ASCII"),
        pytest.param("anna.example", "LIKE_DOMAIN", id="a domain for examples"),
        pytest.param("anna.smith", None, id="a dot in a name"),
        pytest.param("ali", None, id="no l for an i"),
        pytest.param("administratrix", None, id="begins as one"),
    ],
)
def test_what_nobody_may_claim(text: str, reason: str | None) -> None:
    read = read_handle(text)
    if reason == "MIXED":
        assert isinstance(read, Flaw)
        return
    assert isinstance(read, Identifier), read
    flaw = claim_flaw(read)
    assert (flaw and flaw.reason.value) == reason


def test_a_reserved_word_in_letters_that_look_alike_is_reserved() -> None:
    """All Cyrillic, seen as `root`-like words are: the skeleton says so."""
    hidden = "арр"  # the letters of `app`
    assert hidden.isascii() is False
    flaw = claim_flaw(handle(hidden))
    assert flaw is not None
    assert flaw.reason is FlawReason.RESERVED


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_each_reserved_word_is_a_handle_that_nobody_claims(word: str) -> None:
    flaw = claim_flaw(handle(word))
    assert flaw is not None
    assert flaw.reason is FlawReason.RESERVED


ANY_TEXT = st.text(max_size=40)
# Of one block each, so that more than a few are handles.
BLOCKS = (
    0x61,
    0xC0,
    0x370,
    0x400,
    0x531,
    0x5D0,
    0x620,
    0x905,
    0xE01,
    0x10D0,
    0x3041,
    0x30A1,
    0x4E00,
    0xAC00,
)
LIKELY = st.sampled_from(BLOCKS).flatmap(
    lambda start: st.text(
        st.characters(min_codepoint=start, max_codepoint=start + 60)
        | st.sampled_from("AZaz019-_.\u0301\u0308"),
        min_size=2,
        max_size=12,
    )
)


@given(ANY_TEXT | LIKELY)
def test_a_normal_form_is_its_own_and_stays_within_bounds(text: str) -> None:
    read = read_handle(text)
    if isinstance(read, Identifier):
        again = read_handle(read.uri)
        assert again == read
        assert isinstance(again, Identifier)
        assert again.changes == ()
        assert 2 <= len(read.normal) <= MAX_CHARACTERS
        assert "/" not in read.normal


@given(LIKELY)
def test_other_ways_to_write_a_handle_are_the_same_or_look_the_same(text: str) -> None:
    read = read_handle(text)
    if not isinstance(read, Identifier):
        return
    assert read_handle(unicodedata.normalize("NFD", read.normal)) == read
    capitals = read_handle(read.normal.upper())
    if isinstance(capitals, Identifier):  # a sharp s has none, and two s look like two s
        same = handle_key(capitals.normal) == handle_key(read.normal)
        assert same or read.normal.upper().lower() != read.normal


@given(st.text(st.sampled_from("ABZabmz019-_."), min_size=2, max_size=12))
def test_the_quick_way_for_ascii_is_precis(text: str) -> None:
    read = read_handle(text)
    if isinstance(read, Identifier):
        assert read.normal == username_case_mapped(text)
