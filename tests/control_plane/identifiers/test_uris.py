"""Any identifier from one text: URIs of all schemes, and what people type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.identifier import (
    MAX_TEXT,
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
)
from control_plane.identifiers.uris import read_any, read_as, read_uri

OWN = frozenset({"talk.example"})


def uri(text: str) -> Identifier:
    read = read_uri(text, own_hosts=OWN)
    assert isinstance(read, Identifier), read
    return read


@pytest.mark.parametrize(
    ("text", "kind", "normal"),
    [
        pytest.param("@Anna", "handle", "anna", id="a handle"),
        pytest.param("@anna@talk.example", "handle", "anna", id="a handle with our host"),
        pytest.param("acct:Anna@TALK.example", "handle", "anna", id="an account at our host"),
        pytest.param("@Anna@else.example", "acct", "Anna@else.example", id="at another host"),
        pytest.param("ACCT:anna@Else.example", "acct", "anna@else.example", id="acct: in capitals"),
        # RFC 7565, 4: an account that is named by an address of another host.
        pytest.param(
            "acct:juliet%40capulet.example@shoppingsite.example",
            "acct",
            "juliet%40capulet.example@shoppingsite.example",
            id="an address as the user part",
        ),
        pytest.param("acct:%61nna@e.example", "acct", "anna@e.example", id="a needless encoding"),
        pytest.param("acct:j%c3%b6rg@e.example", "acct", "j%C3%B6rg@e.example", id="small hex"),
        pytest.param("acct:jörg@e.example", "acct", "j%C3%B6rg@e.example", id="not encoded"),
        # RFC 6068, 2 and 6.1.
        pytest.param("mailto:chris@example.com", "mailto", "chris@example.com", id="mailto:"),
        pytest.param(
            "mailto:gorby%25kremvax@example.com",
            "mailto",
            "gorby%kremvax@example.com",
            id="an encoded percent sign",
        ),
        pytest.param(
            "mailto:unlikely%3Faddress@example.com",
            "mailto",
            "unlikely?address@example.com",
            id="an encoded question mark",
        ),
        pytest.param(
            "mailto:%22not%40me%22@example.org", "mailto", '"not@me"@example.org', id="quoted"
        ),
        pytest.param("mailto:a@e.example?subject=hi", "mailto", "a@e.example", id="with a header"),
        # RFC 3966, 3, 5.1.1 and 6.
        pytest.param("tel:+1-201-555-0123", "tel", "+12015550123", id="tel: with separators"),
        pytest.param("TEL:+1.201.555.0123", "tel", "+12015550123", id="other separators"),
        pytest.param("tel:+(44)20 7946 0018", "tel", "+442079460018", id="spaces and brackets"),
        pytest.param(
            "tel:+442079460018;npdi;rn=+441;verstat=No", "tel", "+442079460018", id="of a carrier"
        ),
        # RFC 3261, 19.1.4, and 10.3 for what is left out.
        pytest.param(
            "sip:%61lice@atlanta.com;transport=TCP", "sip", "alice@atlanta.com", id="escaped"
        ),
        pytest.param(
            "sip:alice@AtLanTa.CoM;Transport=tcp", "sip", "alice@atlanta.com", id="host in capitals"
        ),
        pytest.param("sip:carol@chicago.com", "sip", "carol@chicago.com", id="without parameters"),
        pytest.param("sip:carol@chicago.com;newparam=5", "sip", "carol@chicago.com", id="with one"),
        pytest.param("sip:ALICE@AtLanTa.CoM", "sip", "ALICE@atlanta.com", id="a user in capitals"),
        pytest.param("sip:bob@biloxi.com:5060", "sip", "bob@biloxi.com:5060", id="a port"),
        pytest.param("sips:bob@biloxi.com?to=x", "sips", "bob@biloxi.com", id="sips: and headers"),
        pytest.param("sip:a%2Bb@x.example", "sip", "a+b@x.example", id="a plus, encoded"),
        pytest.param("sip:a%40b@x.example", "sip", "a%40b@x.example", id="an at sign, encoded"),
        pytest.param(
            "sip:+1-212-555-0123;Ext=1@gw.example;user=phone",
            "sip",
            "+12125550123;ext=1@gw.example",
            id="a telephone number",
        ),
        pytest.param(
            "sip:+1-212-555-0123@gw.example", "sip", "+1-212-555-0123@gw.example", id="no phone"
        ),
        # RFC 5122, 2.7, and RFC 7622, 3.
        pytest.param(
            "xmpp:Juliet@Example.com/balcony", "xmpp", "juliet@example.com", id="a resource"
        ),
        pytest.param("xmpp:romeo@example.net?message;x=y", "xmpp", "romeo@example.net", id="query"),
        pytest.param(
            "xmpp:nasty!%23$%25()*+,-.;=%3F%5B%5C%5D%5E_%60%7B%7C%7D~node@example.com",
            "xmpp",
            "nasty!#$%()*+,-.;=?[\\]^_`{|}~node@example.com",
            id="all that may be in a node",
        ),
        pytest.param(
            "xmpp:ji%C5%99i@%C4%8Dechy.example/v%20Praze",
            "xmpp",
            "jiři@xn--echy-fua.example",
            id="a node and a host outside ASCII",
        ),
    ],
)
def test_a_uri_names_one_identifier_and_reads_again(text: str, kind: str, normal: str) -> None:
    read = uri(text)
    assert (read.kind.value, read.normal) == (kind, normal)
    assert uri(read.uri) == read
    assert uri(read.uri).uri == read.uri
    assert read.uri.isascii() or read.kind is IdentifierKind.HANDLE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", id="a port that is written"),
        pytest.param("sip:bob@biloxi.com", "sips:bob@biloxi.com", id="sips is not sip"),
        pytest.param("sip:ALICE@a.com", "sip:alice@a.com", id="case of a user"),
        pytest.param("acct:anna@e.example", "mailto:anna@e.example", id="an account is no mailbox"),
        pytest.param("xmpp:anna@e.example", "mailto:anna@e.example", id="nor is a JID"),
        pytest.param("tel:+12015550123", "sip:+12015550123@e.example", id="nor a number at a host"),
    ],
)
def test_what_differs_in_kind_or_in_what_counts_is_two(one: str, other: str) -> None:
    assert uri(one) != uri(other)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "SCHEME", id="nothing"),
        pytest.param("anna@e.example", "SCHEME", id="no scheme"),
        pytest.param("https://talk.example/@anna", "SCHEME", id="a page"),
        pytest.param("urn:x:y", "SCHEME", id="a name of something else"),
        pytest.param("@" + "a" * MAX_TEXT, "TOO_LONG", id="long"),
        pytest.param("acct:anna", "NO_USER", id="an account without a host"),
        pytest.param("acct:@e.example", "NO_USER", id="an account of nobody"),
        pytest.param("acct:a%0Ab@e.example", "PERCENT", id="a line feed, encoded"),
        pytest.param("acct:a%E2%80%AEb@e.example", "PERCENT", id="an override, encoded"),
        pytest.param("acct:%41@192.0.2.1", "IP_ADDRESS", id="an account at an address"),
        pytest.param("acct:" + "%C3%BC" * 50 + "@e.example", "TOO_LONG", id="a long user part"),
        pytest.param("mailto:a@e.example,b@e.example", "SEVERAL", id="two recipients"),
        pytest.param("mailto:a@e.example?cc=b@e.example", "SEVERAL", id="a copy"),
        pytest.param("mailto:?to=a@e.example", "SEVERAL", id="the recipient as a header"),
        pytest.param("mailto:", "EMPTY", id="no recipient"),
        pytest.param("mailto:a%zz@e.example", "PERCENT", id="no hexadecimal digits"),
        pytest.param("mailto:a%ff@e.example", "PERCENT", id="no UTF-8"),
        pytest.param("tel:7042;phone-context=example.com", "LOCAL_NUMBER", id="local, of a domain"),
        pytest.param("tel:863-1234;phone-context=+1-914-555", "LOCAL_NUMBER", id="of a prefix"),
        pytest.param("tel:02079460018", "LOCAL_NUMBER", id="national"),
        pytest.param("tel:+442079460018;EXT=12", "EXTENSION", id="an extension"),
        pytest.param("tel:+442079460018;isub=1411", "EXTENSION", id="a sub-address"),
        pytest.param("tel:+442079460018;m-x", "PARAMETER", id="has to be understood"),
        pytest.param("sip:biloxi.com", "NO_USER", id="a host alone"),
        pytest.param("sip:@biloxi.com", "NO_USER", id="nobody"),
        pytest.param("sip:alice:secretword@atlanta.com", "SECRET", id="a password"),
        pytest.param("sip:alice@192.0.2.4", "IP_ADDRESS", id="at an address"),
        pytest.param("sip:alice@[2001:db8::1]:5060", "IP_ADDRESS", id="at one of IPv6"),
        pytest.param("sip:alice@atlanta.com:0", "SYNTAX", id="no port"),
        pytest.param("sip:alice@atlanta.com:99999", "SYNTAX", id="above all ports"),
        pytest.param("sip:" + "a" * 256 + "@e.example", "TOO_LONG", id="a long user"),
        pytest.param("sip:%@e.example", "PERCENT", id="a percent sign alone"),
        pytest.param("xmpp:example.com", "NO_USER", id="a server"),
        pytest.param("xmpp://guest@e.example/a@e.example", "SYNTAX", id="with an authority"),
        pytest.param("xmpp:a%20b@e.example", "CHARACTER", id="a space"),
        pytest.param("xmpp:a%22b@e.example", "CHARACTER", id="a quotation mark"),
        pytest.param("xmpp:henry%E2%85%A3@e.example", "CHARACTER", id="a Roman numeral"),
        pytest.param("xmpp:" + "a" * 1_100 + "@e.example", "TOO_LONG", id="a long local part"),
    ],
)
def test_what_names_nobody_says_why_and_what_would_do(text: str, reason: str) -> None:
    flaw = read_uri(text, own_hosts=OWN)
    assert isinstance(flaw, Flaw), flaw
    assert flaw.reason == FlawReason(reason)
    assert flaw.message
    assert flaw.remedy
    assert "secretword" not in str(flaw)


@pytest.mark.parametrize(
    ("text", "region", "kind"),
    [
        pytest.param("anna", None, "handle", id="a word"),
        pytest.param("anna.smith", None, "handle", id="a dot, and no top-level domain"),
        pytest.param("contoso.co.uk", None, "domain", id="a domain"),
        pytest.param("talk.example", None, "domain", id="a domain for examples"),
        pytest.param("食狮.公司.cn", None, "domain", id="a domain outside ASCII"),
        pytest.param("Ann@Talk.example", None, "mailto", id="an address"),
        pytest.param("020 7946 0018", "GB", "tel", id="a national number"),
        pytest.param("+44 20 7946 0018", None, "tel", id="a number"),
        pytest.param("sip:a@b.example", None, "sip", id="a URI"),
        pytest.param("@anna.com", None, "handle", id="a handle says so"),
    ],
)
def test_the_kind_is_told_by_looks(text: str, region: str | None, kind: str) -> None:
    read = read_any(text, region=region)
    assert isinstance(read, Identifier), read
    assert read.kind.value == kind


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.1", "IP_ADDRESS"),
        ("2001:db8::1", "IP_ADDRESS"),
        ("020 7946 0018", "NEEDS_REGION"),
        ("https://talk.example/@anna", "SCHEME"),
        ("urn:x", "SCHEME"),
        ("x" * (MAX_TEXT + 1), "TOO_LONG"),
        ("", "EMPTY"),
    ],
)
def test_what_looks_like_nothing_is_refused_for_what_it_is(text: str, reason: str) -> None:
    flaw = read_any(text)
    assert isinstance(flaw, Flaw), flaw
    assert flaw.reason == FlawReason(reason)


@pytest.mark.parametrize(
    ("kind", "text", "normal"),
    [
        ("handle", "anna.com", "anna.com"),
        ("mailto", "mailto:A@e.example", "a@e.example"),
        ("mailto", "A@e.example", "a@e.example"),
        ("tel", "020 7946 0018", "+442079460018"),
        ("domain", "anna.smith", "anna.smith"),
        ("sip", "a@e.example", "a@e.example"),
        ("xmpp", "A@e.example", "a@e.example"),
        ("acct", "a@e.example", "a@e.example"),
    ],
)
def test_a_text_is_read_as_one_kind(kind: str, text: str, normal: str) -> None:
    read = read_as(IdentifierKind(kind), text, region="GB")
    assert isinstance(read, Identifier), read
    assert (read.kind.value, read.normal) == (kind, normal)


def test_what_was_changed_is_told() -> None:
    assert uri("acct:Anna@talk.example").changes == (
        FormChange.SCHEME,
        FormChange.OWN_HOST,
        FormChange.CASE,
    )
    assert uri("xmpp:A@e.example/r").changes == (FormChange.CASE, FormChange.RESOURCE)
    assert FormChange.PARAMETERS in uri("sip:a@e.example;x=y").changes
    assert FormChange.PARAMETERS in uri("mailto:a@e.example?subject=x").changes


SCHEMES = st.sampled_from(["@", "acct:", "mailto:", "tel:", "sip:", "sips:", "xmpp:", ""])
WORDS = st.text(max_size=8) | st.text(st.sampled_from("abAB01%+-._~;:/?#&=@\"' éß"), max_size=10)
HOSTS = st.sampled_from(
    ["", "@e.example", "@Straße.de", "@talk.example", "@e.example:5060;user=phone"]
)


@given(SCHEMES, WORDS, HOSTS)
def test_every_normal_form_is_its_own(scheme: str, word: str, host: str) -> None:
    read = read_any(f"{scheme}{word}{host}", own_hosts=OWN)
    if isinstance(read, Flaw) or read.kind is IdentifierKind.DOMAIN:
        return
    again = uri(read.uri)
    assert again == read
    assert again.uri == read.uri
    assert set(again.changes) <= {FormChange.SCHEME}


@given(st.text(max_size=60))
def test_any_text_is_an_identifier_or_says_why_not(text: str) -> None:
    assert isinstance(read_any(text, region="GB"), Identifier | Flaw)
    assert isinstance(read_uri(text), Identifier | Flaw)
