"""Domains: A-labels by UTS #46, what is none, and public suffixes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.domains import (
    MAX_OCTETS,
    ends_in_top_level,
    is_top_level,
    public_suffix,
    read_domain,
    registrable_domain,
)
from control_plane.identifiers.identifier import Flaw, FlawReason, FormChange, Identifier


def domain(text: str) -> Identifier:
    read = read_domain(text)
    assert isinstance(read, Identifier), read
    return read


@pytest.mark.parametrize(
    ("text", "normal", "shown"),
    [
        pytest.param("talk.example", "talk.example", "talk.example", id="as it is"),
        pytest.param(
            "Talk.EXAMPLE.",
            "talk.example",
            "talk.example",
            id="capitals, the root's dot",
        ),
        pytest.param("straße.de", "xn--strae-oqa.de", "straße.de", id="a sharp s stays"),
        pytest.param(
            "XN--STRAE-OQA.de",
            "xn--strae-oqa.de",
            "straße.de",
            id="an A-label in capitals",
        ),
        pytest.param(
            "Bücher.de",
            "xn--bcher-kva.de",
            "bücher.de",
            id="a capital outside ASCII rules",
        ),
        pytest.param("bu\u0308cher.de", "xn--bcher-kva.de", "bücher.de", id="a mark of its own"),
        pytest.param("ΦΑΟΣ.gr", "xn--mxa2amj.gr", "φαοσ.gr", id="capital sigma is a small one"),
        pytest.param(
            "例え。テスト", "xn--r8jz45g.xn--zckzah", "例え.テスト", id="an ideographic dot"
        ),
        pytest.param("ＡＢＣ．com", "abc.com", "abc.com", id="wide letters and dot"),
        pytest.param(
            "نامه\u200cای.com",
            "xn--mgba3gch31f060k.com",
            "نامه\u200cای.com",
            id="a joiner where Persian has it",
        ),
        pytest.param("a\u00adb.com", "ab.com", "ab.com", id="a soft hyphen is nothing"),
        pytest.param("a-b--c.com", "a-b--c.com", "a-b--c.com", id="hyphens within"),
        pytest.param("1and1.com", "1and1.com", "1and1.com", id="a digit first"),
    ],
)
def test_a_domain_has_one_form(text: str, normal: str, shown: str) -> None:
    assert (domain(text).normal, domain(text).shown) == (normal, shown)
    assert domain(normal) == domain(text) == domain(shown)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "EMPTY", id="nothing"),
        pytest.param(".", "LABEL", id="the root"),
        pytest.param("localhost", "NOT_QUALIFIED", id="one label"),
        pytest.param("com.", "NOT_QUALIFIED", id="one label and the root"),
        pytest.param("a..b", "LABEL", id="an empty label"),
        pytest.param(".a.b", "LABEL", id="an empty label first"),
        pytest.param("a.b..", "LABEL", id="two dots last"),
        pytest.param("-a.com", "LABEL", id="a hyphen first"),
        pytest.param("a-.com", "LABEL", id="a hyphen last"),
        pytest.param("a_b.com", "LABEL", id="an underscore"),
        pytest.param("a b.com", "LABEL", id="a space"),
        pytest.param("ab--c.de", "LABEL", id="hyphens where encodings put them"),
        pytest.param("xn--a.de", "LABEL", id="an A-label of nothing"),
        pytest.param("xn--.de", "LABEL", id="an A-label without anything"),
        pytest.param("xn--abc-.com", "LABEL", id="an A-label of ASCII"),
        pytest.param("i❤.ws", "LABEL", id="a symbol"),
        pytest.param("xn--i-7iq.ws", "LABEL", id="a symbol as an A-label"),
        pytest.param("a\u200db.com", "LABEL", id="a joiner where no script has it"),
        pytest.param("\u0627a.com", "LABEL", id="both directions in a label"),
        pytest.param("\u0301a.com", "LABEL", id="a mark first"),
        pytest.param("%61.com", "LABEL", id="percent-encoding"),
        pytest.param("a" * 64 + ".com", "LABEL", id="a long label"),
        pytest.param("ü" * 60 + ".com", "LABEL", id="a long A-label"),
        pytest.param(".".join(["a" * 60] * 4 + ["abcdefghijk"]), "TOO_LONG", id="a long name"),
        pytest.param("a." * 100_000, "TOO_LONG", id="a hundred thousand labels"),
        pytest.param("192.0.2.1", "IP_ADDRESS", id="IPv4"),
        pytest.param("192.0.2.1.", "IP_ADDRESS", id="IPv4 with a dot"),
        pytest.param("١٩٢.0.2.1", "LABEL", id="digits of Arabic that would be IPv4"),
        pytest.param("１９２.0.2.1", "IP_ADDRESS", id="wide digits of IPv4"),
        pytest.param("0x7f.1", "IP_ADDRESS", id="IPv4 in hexadecimal"),
        pytest.param("3232235777", "IP_ADDRESS", id="IPv4 as one number"),
        pytest.param("2001:db8::1", "IP_ADDRESS", id="IPv6"),
        pytest.param("[2001:db8::1]", "IP_ADDRESS", id="IPv6 in brackets"),
        pytest.param("[IPv6:2001:db8::1]", "IP_ADDRESS", id="IPv6 as mail has it"),
        pytest.param("a.b.1", "LABEL", id="a number as top-level domain"),
        pytest.param("\ud800.com", "LABEL", id="half a surrogate pair"),
    ],
)
def test_what_is_no_domain_says_why_and_what_would_do(text: str, reason: str) -> None:
    flaw = read_domain(text)
    assert isinstance(flaw, Flaw), flaw
    assert flaw.reason == FlawReason(reason)
    assert flaw.message
    assert flaw.remedy


def test_what_was_changed_is_told() -> None:
    assert domain("Talk.example.").changes == (FormChange.TRAILING_DOT, FormChange.CASE)
    assert domain("straße.de").changes == (FormChange.A_LABEL,)
    assert domain("ａ.com").changes == (FormChange.MAPPED,)


@pytest.mark.parametrize(
    ("text", "suffix", "registrable"),
    [
        pytest.param("www.talk.co.uk", "co.uk", "talk.co.uk", id="two labels of a suffix"),
        pytest.param("co.uk", "co.uk", None, id="a suffix"),
        pytest.param("anna.github.io", "github.io", "anna.github.io", id="of the private section"),
        pytest.param("a.b.ck", "b.ck", "a.b.ck", id="a wildcard"),
        pytest.param("www.ck", "ck", "www.ck", id="an exception from a wildcard"),
        pytest.param(
            "食狮.公司.cn",
            "xn--55qx5d.cn",
            "xn--85x722f.xn--55qx5d.cn",
            id="a suffix in Unicode",
        ),
        pytest.param(
            "xn--85x722f.xn--55qx5d.cn",
            "xn--55qx5d.cn",
            "xn--85x722f.xn--55qx5d.cn",
            id="the same in A-labels",
        ),
        pytest.param(
            "a.talk.nosuchtop",
            "nosuchtop",
            "talk.nosuchtop",
            id="a top level that is unknown",
        ),
    ],
)
def test_what_somebody_can_register(text: str, suffix: str, registrable: str | None) -> None:
    assert public_suffix(domain(text)) == suffix
    assert registrable_domain(domain(text)) == registrable


def test_top_level_domains() -> None:
    assert all(map(is_top_level, ("com", "uk", "рф", "xn--p1ai", "example", "test")))
    assert not any(map(is_top_level, ("smith", "nosuchtop", "_", "-", "com.uk")))
    assert ends_in_top_level(domain("a.example"))
    assert not ends_in_top_level(domain("anna.smith"))


LABEL = st.text(st.characters(min_codepoint=0x61, max_codepoint=0x2FFF), min_size=1, max_size=8)


@given(
    st.text(max_size=30)
    | st.lists(LABEL | st.just("xn--bcher-kva"), min_size=2, max_size=4).map(".".join)
)
def test_a_normal_form_is_its_own_and_stays_within_bounds(text: str) -> None:
    read = read_domain(text)
    if isinstance(read, Identifier):
        assert read.normal.isascii()
        assert len(read.normal) <= MAX_OCTETS
        assert domain(read.normal) == read
        assert domain(read.normal).changes == ()
        assert domain(read.shown) == read
        assert domain(read.normal.upper() + ".") == read
