"""E-mail addresses: which are one mailbox, and what is none."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.identifiers.emails import MAX_LOCAL_OCTETS, MAX_OCTETS, read_email
from control_plane.identifiers.identifier import (
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
    IdentifierNote,
)


def email(text: str) -> Identifier:
    read = read_email(text)
    assert isinstance(read, Identifier), read
    return read


@pytest.mark.parametrize(
    ("text", "normal", "shown"),
    [
        pytest.param("anna@talk.example", "anna@talk.example", "anna@talk.example", id="as it is"),
        pytest.param(
            " Ann.B@Talk.Example. ",
            "ann.b@talk.example",
            "Ann.B@talk.example",
            id="the local part is shown as written",
        ),
        pytest.param(
            "ann+news@x.example",
            "ann+news@x.example",
            "ann+news@x.example",
            id="a sub-address stays",
        ),
        pytest.param(
            "a.n.n@gmail.com",
            "a.n.n@gmail.com",
            "a.n.n@gmail.com",
            id="dots of a provider stay",
        ),
        pytest.param(
            "!#$%&'*+/=?^_`{|}~-@x.example",
            "!#$%&'*+/=?^_`{|}~-@x.example",
            "!#$%&'*+/=?^_`{|}~-@x.example",
            id="all marks of atoms",
        ),
        pytest.param('"Ann"@x.example', "ann@x.example", "Ann@x.example", id="needless quotes"),
        pytest.param(
            '"\\a\\n\\n"@x.example',
            "ann@x.example",
            "ann@x.example",
            id="needless backslashes",
        ),
        pytest.param('"a b"@x.example', '"a b"@x.example', '"a b"@x.example', id="a quoted space"),
        pytest.param('"a..b"@x.example', '"a..b"@x.example', '"a..b"@x.example', id="quoted dots"),
        pytest.param(
            '"a\\"b\\\\"@x.example',
            '"a\\"b\\\\"@x.example',
            '"a\\"b\\\\"@x.example',
            id="what has to be quoted",
        ),
        pytest.param(
            '"a@b"@x.example',
            '"a@b"@x.example',
            '"a@b"@x.example',
            id="a quoted at sign",
        ),
        pytest.param(
            "Jörg@straße.example",
            "jörg@xn--strae-oqa.example",
            "Jörg@straße.example",
            id="beyond ASCII on both sides",
        ),
        pytest.param(
            "jo\u0308rg@x.example",
            "jörg@x.example",
            "jörg@x.example",
            id="a mark of its own",
        ),
        pytest.param(
            "ΣΑΣ@x.example",
            "σασ@x.example",
            "ΣΑΣ@x.example",
            id="sigma, whatever its place",
        ),
        pytest.param(
            "straße@x.example",
            "straße@x.example",
            "straße@x.example",
            id="a sharp s is no double s",
        ),
        pytest.param(
            "用户@例え.テスト", "用户@xn--r8jz45g.xn--zckzah", "用户@例え.テスト", id="Han"
        ),
        pytest.param("😀@x.example", "😀@x.example", "😀@x.example", id="an emoji before the sign"),
        pytest.param(
            "نامه\u200cای@x.example",
            "نامه\u200cای@x.example",
            "نامه\u200cای@x.example",
            id="a joiner where Persian has it",
        ),
        pytest.param(
            "1234567890@x.example",
            "1234567890@x.example",
            "1234567890@x.example",
            id="digits",
        ),
    ],
)
def test_an_address_has_one_form(text: str, normal: str, shown: str) -> None:
    read = email(text)
    assert (read.normal, read.shown) == (normal, shown)
    assert email(normal) == email(shown) == read


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "EMPTY", id="nothing"),
        pytest.param("anna", "SYNTAX", id="no sign"),
        pytest.param("@x.example", "SYNTAX", id="nothing before it"),
        pytest.param("anna@", "SYNTAX", id="nothing behind it"),
        pytest.param(".a@x.example", "SEPARATORS", id="a dot first"),
        pytest.param("a.@x.example", "SEPARATORS", id="a dot last"),
        pytest.param("a..b@x.example", "SEPARATORS", id="two dots"),
        pytest.param("a b@x.example", "CHARACTER", id="a space"),
        pytest.param("a[b@x.example", "CHARACTER", id="a bracket"),
        pytest.param("a\\b@x.example", "CHARACTER", id="a backslash"),
        pytest.param('a"b"@x.example', "CHARACTER", id="quotes within"),
        pytest.param('"a".b@x.example', "SYNTAX", id="quotes around a part (obsolete in RFC 5322)"),
        pytest.param('"a@x.example', "SYNTAX", id="quotes that do not end"),
        pytest.param('"a\\"@x.example', "SYNTAX", id="quotes that end in a backslash"),
        pytest.param('""@x.example', "SYNTAX", id="nothing in quotes"),
        pytest.param('"a\nb"@x.example', "CHARACTER", id="folding in quotes"),
        pytest.param("a\x00@x.example", "CHARACTER", id="a NUL"),
        pytest.param("a\x7f@x.example", "CHARACTER", id="a DEL"),
        pytest.param("a\u200bb@x.example", "CHARACTER", id="a space of no width"),
        pytest.param("a\u200db@x.example", "CHARACTER", id="a joiner where no script has it"),
        pytest.param("a\u202eb@x.example", "CHARACTER", id="an override of direction"),
        pytest.param("a\u00a0b@x.example", "CHARACTER", id="a space that does not break"),
        pytest.param("a\ud800b@x.example", "CHARACTER", id="half a surrogate pair"),
        pytest.param("a\ue000@x.example", "CHARACTER", id="for private use"),
        pytest.param("Anna <anna@x.example>", "DISPLAY_NAME", id="a name before it"),
        pytest.param("<anna@x.example>", "DISPLAY_NAME", id="in brackets"),
        pytest.param('"Anna, B" <anna@x.example>', "DISPLAY_NAME", id="a quoted name before it"),
        pytest.param("anna(home)@x.example", "COMMENT", id="a comment"),
        pytest.param("anna@x.example (Anna)", "LABEL", id="a comment behind it"),
        pytest.param("a@x.example,b@y.example", "SEVERAL", id="two with a comma"),
        pytest.param("a@b@x.example", "SEVERAL", id="two signs"),
        pytest.param("anna@localhost", "NOT_QUALIFIED", id="one label"),
        pytest.param("anna@192.0.2.1", "IP_ADDRESS", id="at an address"),
        pytest.param("anna@[192.0.2.1]", "IP_ADDRESS", id="at a literal"),
        pytest.param("anna@[IPv6:2001:db8::1]", "IP_ADDRESS", id="at a literal of IPv6"),
        pytest.param("anna@-x.example", "LABEL", id="a label that is none"),
        pytest.param("x" * 65 + "@x.example", "TOO_LONG", id="65 octets before the sign"),
        pytest.param("ü" * 33 + "@x.example", "TOO_LONG", id="66 octets of 33 letters"),
        pytest.param(
            "x" * 60 + "@" + ".".join(["y" * 60] * 3 + ["example.com"]),
            "TOO_LONG",
            id="255 octets in all",
        ),
        pytest.param("x" * 1_000_000 + "@x.example", "TOO_LONG", id="a million"),
    ],
)
def test_what_is_no_address_says_why_and_what_would_do(text: str, reason: str) -> None:
    flaw = read_email(text)
    assert isinstance(flaw, Flaw), flaw
    assert (flaw.reason, flaw.kind) == (FlawReason(reason), IdentifierKind.EMAIL)
    assert flaw.message
    assert flaw.remedy
    assert len(str(flaw)) < 500


def test_what_fits_just_so_is_taken() -> None:
    assert email("x" * 64 + "@x.example")
    assert email("x" * 60 + "@" + ".".join(["y" * 60] * 3 + ["y" * 10]))


def test_what_was_changed_is_told() -> None:
    assert email(' "Ann"@X.example').changes == (
        FormChange.SPACE,
        FormChange.QUOTES,
        FormChange.CASE,
    )
    assert email("anna@x.example").changes == ()
    assert email("jörg@x.example").notes == (IdentifierNote.NEEDS_SMTPUTF8,)
    assert email("anna@straße.example").notes == ()


LOCAL = st.text(max_size=12) | st.text(st.sampled_from('abAB.+"\\ @()üÜßΣςıİ\u0301😀'), max_size=12)


@given(LOCAL, st.booleans())
def test_a_normal_form_is_its_own_and_stays_within_bounds(local: str, in_quotes: bool) -> None:
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    read = read_email(f'"{escaped}"@x.example' if in_quotes else f"{local}@x.example")
    if not isinstance(read, Identifier):
        return
    assert email(read.normal) == read
    assert email(read.normal).normal == read.normal
    assert email(read.shown) == read
    assert email(unicodedata.normalize("NFD", read.shown)) == read
    written = read.normal.removesuffix("@x.example")
    assert len(written.encode()) <= MAX_LOCAL_OCTETS
    assert len(read.normal.encode()) <= MAX_OCTETS


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_says_why_not(text: str) -> None:
    assert isinstance(read_email(text), Identifier | Flaw)


@settings(max_examples=30)  # each is made in some ten milliseconds
@given(st.emails())
def test_what_an_rfc_5322_address_is_is_one_here(text: str) -> None:
    read = read_email(text)
    if isinstance(read, Flaw):  # bounds, and names for special uses of hypothesis's own
        assert read.reason in (FlawReason.TOO_LONG, FlawReason.LABEL, FlawReason.IP_ADDRESS)
