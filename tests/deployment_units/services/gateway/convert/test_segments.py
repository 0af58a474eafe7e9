"""Text messages: the alphabet of 3GPP TS 23.038, the room of 23.040, and what is never parted."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.gateway.convert.gsm_alphabet import PLAIN, SEPTETS
from deployment_units.services.gateway.convert.segments import (
    MOST_CHARACTERS,
    TextEncoding,
    TextMessages,
    segmented,
    shortened,
)

GSM7, UCS2 = TextEncoding.GSM7, TextEncoding.UCS2
LINK = "https://talk.example/m/7Q2X"

# 3GPP TS 23.038, 6.2.1: code of each character that is not where ASCII has it.
NOT_AS_ASCII = {
    0x00: "@", 0x01: "£", 0x02: "$", 0x03: "¥", 0x04: "è", 0x05: "é", 0x06: "ù", 0x07: "ì",
    0x08: "ò", 0x09: "Ç", 0x0B: "Ø", 0x0C: "ø", 0x0E: "Å", 0x0F: "å", 0x10: "Δ", 0x11: "_",
    0x12: "Φ", 0x13: "Γ", 0x14: "Λ", 0x15: "Ω", 0x16: "Π", 0x17: "Ψ", 0x18: "Σ", 0x19: "Θ",
    0x1A: "Ξ", 0x1C: "Æ", 0x1D: "æ", 0x1E: "ß", 0x1F: "É", 0x24: "¤", 0x40: "¡", 0x5B: "Ä",
    0x5C: "Ö", 0x5D: "Ñ", 0x5E: "Ü", 0x5F: "§", 0x60: "¿", 0x7B: "ä", 0x7C: "ö", 0x7D: "ñ",
    0x7E: "ü", 0x7F: "à",
}  # fmt: skip
# 6.2.1.1
EXTENSION = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~",
             0x3E: "]", 0x40: "|", 0x65: "€"}  # fmt: skip


@pytest.mark.parametrize("code", range(0x80))
def test_the_alphabet_is_that_of_the_specification(code: int) -> None:
    if code == 0x1B:
        assert (code,) not in SEPTETS.values()
        return
    character = NOT_AS_ASCII.get(code, chr(code))
    assert SEPTETS[character] == (code,)


def test_the_extension_table_is_that_of_the_specification() -> None:
    extended = {codes[1]: one for one, codes in SEPTETS.items() if codes[0] == 0x1B}
    assert extended == EXTENSION
    assert len(SEPTETS) == 127 + 10


def room(message: TextMessages) -> list[int]:
    return [segment.units for segment in message.segments]


@pytest.mark.parametrize(
    ("text", "encoding", "units"),
    [
        pytest.param("", GSM7, [0], id="nothing"),
        pytest.param("7" * 160, GSM7, [160], id="160 septets are one message"),
        pytest.param("7" * 161, GSM7, [153, 8], id="161 are two, with a header in each"),
        pytest.param("7" * 306, GSM7, [153, 153], id="306 are two"),
        pytest.param("7" * 307, GSM7, [153, 153, 1], id="307 are three"),
        pytest.param("й" * 70, UCS2, [70], id="70 units are one"),
        pytest.param("й" * 71, UCS2, [67, 4], id="71 are two"),
        pytest.param("й" * 134, UCS2, [67, 67], id="134 are two"),
        pytest.param("й" * 135, UCS2, [67, 67, 1], id="135 are three"),
        pytest.param("😜" + "7" * 68, UCS2, [70], id="an emoji is two units"),
        pytest.param("😜" + "7" * 69, UCS2, [67, 4], id="and one more is too much"),
        pytest.param("🇮🇹" + "7" * 66, UCS2, [70], id="a flag is four"),
        pytest.param("🇮🇹" + "7" * 67, UCS2, [67, 4], id="a flag and one more"),
        pytest.param("🏳️‍🌈" + "7" * 64, UCS2, [70], id="a joined emoji is six"),
        pytest.param("🏳️‍🌈" + "7" * 65, UCS2, [67, 4], id="a joined emoji and one more"),
        pytest.param("7" * 66 + "😜" + "7" * 9, UCS2, [66, 11], id="no pair is parted"),
        pytest.param("7" * 65 + "🏳️‍🌈" + "7" * 9, UCS2, [65, 15], id="nor what is joined"),
        pytest.param("7" * 152 + "€" + "7" * 20, GSM7, [152, 22], id="nor an escape"),
        pytest.param("é\u0301\u0301" + "a" * 67, UCS2, [70], id="marks count, composed"),
        pytest.param("é\u0301\u0301" + "a" * 68, UCS2, [67, 4], id="marks and one more"),
        pytest.param("😀" + "]" * 68, UCS2, [70], id="in UCS-2 nothing is escaped"),
        pytest.param("😀" + "]" * 69, UCS2, [67, 4], id="nothing, and one more"),
        pytest.param("a\r\nb\rc", GSM7, [5], id="each end of a line is one"),
        pytest.param("e\u0301", GSM7, [1], id="é in two characters is é"),
        *(pytest.param(one + "7" * 158, GSM7, [160], id=f"{one} is two septets")
          for one in "^{}\\[~]|€"),
        *(pytest.param(one + "7" * 159, GSM7, [153, 8], id=f"{one} and 159 are two messages")
          for one in "^{}\\[~]|€"),
        *(pytest.param(one * 160, GSM7, [160], id=f"{one} is in the alphabet")
          for one in "éùìòàÄÖÑÜäöñüßåøæÇ"),
        *(pytest.param(one * 70, UCS2, [70], id=f"{one} is not in the alphabet")
          for one in "ÁÚúçíÍóÓõêşğıİŞĞ"),
    ],
)  # fmt: skip
def test_encoding_and_segments(text: str, encoding: TextEncoding, units: list[int]) -> None:
    message = segmented(text)
    assert (message.encoding, room(message)) == (encoding, units)


@pytest.mark.parametrize("one", [chr(code) for code in sorted(PLAIN) if chr(code) != "\t"])
def test_typography_becomes_plain_where_that_saves_the_alphabet(one: str) -> None:
    message = segmented(f"a{one}b")
    assert message.encoding is GSM7
    assert message.lost == ("typography",)


def test_typography_stays_where_something_else_needs_ucs2() -> None:
    message = segmented("“й”")
    assert (message.encoding, message.lost) == (UCS2, ())
    assert message.segments[0].text == "“й”"


def test_half_a_character_becomes_a_replacement() -> None:
    assert segmented("a\ud800b").segments[0].text == "a\ufffdb"


def test_what_takes_more_than_255_messages_is_refused() -> None:
    assert len(segmented("7" * 153 * 255).segments) == 255
    with pytest.raises(ValueError, match="at most 255"):
        segmented("7" * (153 * 255 + 1))
    with pytest.raises(ValueError, match="at most 65,536"):
        segmented("7" * (MOST_CHARACTERS + 1))


@given(st.text(max_size=400))
def test_nothing_is_left_out_and_nothing_is_too_long(text: str) -> None:
    message = segmented(text)
    joined = "".join(one.text for one in message.segments)
    most = {GSM7: (160, 153), UCS2: (70, 67)}[message.encoding]
    assert all(used <= most[len(message.segments) > 1] for used in room(message))
    if "typography" not in message.lost:
        expected = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
        assert joined == expected
    if message.encoding is GSM7:
        assert all(one in SEPTETS for one in joined)
    else:
        assert all(used == len(one.text.encode("utf-16-le")) // 2
                   for one, used in zip(message.segments, room(message), strict=True))  # fmt: skip


@given(st.text(max_size=600), st.integers(1, 4))
def test_what_is_shortened_fits_and_ends_with_its_link(text: str, most: int) -> None:
    message = shortened(text, LINK, most_segments=most)
    joined = "".join(one.text for one in message.segments)
    assert len(message.segments) <= most
    if "length" in message.lost:
        assert joined.endswith(LINK)
        assert len(segmented(text).segments) > most
    else:
        assert message == segmented(text)


def test_it_is_cut_between_words() -> None:
    message = shortened("Dear Dev, " + "the roast is ready and waits for you " * 9, LINK)
    assert len(message.segments) == 1
    beginning = message.segments[0].text.removesuffix(f"... {LINK}")
    assert beginning.split()[-1] in ("the", "roast", "is", "ready", "and", "waits", "for", "you")
    assert message.segments[0].units > 130


def test_no_emoji_is_cut_in_two() -> None:
    family = "👩\u200d👩\u200d👧"
    for length in range(12):
        text = shortened("ж" * length + family * 30, LINK).segments[0].text
        assert text.removesuffix(f"... {LINK}").strip("ж").replace(family, "") == ""


@pytest.mark.parametrize("link", ["", "https://talk.example/" + "m" * 160])
def test_without_a_link_that_fits_nothing_is_cut(link: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        shortened("7" * 161, link)
    assert shortened("7" * 160, link).lost == ()


# As long as those of a unit are: a host and 128 bits.
REAL = "https://eu-west.talk.example/m/" + "q" * 26


@pytest.mark.parametrize(
    ("text", "link", "encoding", "units", "kept"),
    [
        pytest.param("a" * 500, REAL, GSM7, 160, 160 - len(f"... {REAL}"), id="gsm7"),
        pytest.param("€" * 500, REAL, GSM7, 159, (160 - 61) // 2, id="gsm7-of-two-septets"),
        pytest.param("ж" * 500, REAL, UCS2, 70, 70 - len(f"... {REAL}"), id="ucs2"),
        pytest.param("🙂" * 500, REAL, UCS2, 69, 4, id="ucs2-of-two-units"),
        pytest.param("ж" * 500, REAL + "q" * 40, GSM7, len(REAL) + 40, 0, id="nothing-but-it"),
        pytest.param("a" * 90 + "ж" * 500, REAL, GSM7, 90 + 61, 90, id="up-to-what-needs-ucs2"),
    ],
)  # fmt: skip
def test_how_much_stands_before_the_link(
    text: str, link: str, encoding: TextEncoding, units: int, kept: int
) -> None:
    message = shortened(text, link)
    (segment,) = message.segments
    assert (message.encoding, segment.units) == (encoding, units)
    assert message.lost == ("length",)
    assert segment.text == (f"{text[:kept]}... {link}" if kept else link)
