"""Who a certificate names: SPIFFE IDs, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.serving.peer_identity import (
    PeerIdentity,
    identity_in,
    identity_of_certificate,
    parse_peer_identity,
)
from tests.support.certificates import Authority, self_signed

SEGMENT = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True).filter(
    lambda text: text not in (".", "..")
)


@pytest.mark.parametrize(
    ("uri", "trust_domain", "kind", "names"),
    [
        ("spiffe://example.net/unit/berlin-1", "example.net", "unit", ("berlin-1",)),
        ("spiffe://example.net/platform/city/roof", "example.net", "platform", ("city", "roof")),
        ("spiffe://example.net/client/shop/A_b.C-1", "example.net", "client", ("shop", "A_b.C-1")),
        ("spiffe://example.net", "example.net", "", ()),
        ("SPIFFE://Example.NET/unit/Berlin", "example.net", "unit", ("Berlin",)),
        ("spiffe://a_b/x", "a_b", "x", ()),
    ],
)
def test_an_identity_is_read(
    uri: str, trust_domain: str, kind: str, names: tuple[str, ...]
) -> None:
    identity = parse_peer_identity([uri])
    assert identity is not None
    assert (identity.trust_domain, identity.kind, identity.names) == (trust_domain, kind, names)


@pytest.mark.parametrize(
    "uris",
    [
        pytest.param([], id="none"),
        pytest.param(["spiffe://a/b", "spiffe://a/c"], id="two of them"),
        pytest.param(["spiffe://a/b", "https://a/b"], id="another URI beside it"),
        pytest.param(["https://example.net/unit/a"], id="another scheme"),
        pytest.param(["spiffe:///unit/a"], id="no trust domain"),
        pytest.param(["spiffe://example.net/"], id="an empty segment alone"),
        pytest.param(["spiffe://example.net/unit/"], id="a slash at the end"),
        pytest.param(["spiffe://example.net/unit//a"], id="an empty segment"),
        pytest.param(["spiffe://example.net/unit/../operator/root"], id="dots that climb"),
        pytest.param(["spiffe://example.net/./unit/a"], id="a dot"),
        pytest.param(["spiffe://example.net/unit/a%2Fb"], id="percent-encoding"),
        pytest.param(["spiffe://example.net/unit/ä"], id="a letter beyond ASCII"),
        pytest.param(["spiffe://example.net/unit/ſ"], id="a letter that folds into ASCII"),
        pytest.param(["spiffe://example.net/unit/a?x=1"], id="a query"),
        pytest.param(["spiffe://example.net/unit/a#x"], id="a fragment"),
        pytest.param(["spiffe://user@example.net/unit/a"], id="user information"),
        pytest.param(["spiffe://example.net:8081/unit/a"], id="a port"),
        pytest.param([" spiffe://example.net/unit/a"], id="a space before it"),
        pytest.param(["spiffe://example.net/unit/a\n"], id="a line break after it"),
        pytest.param([f"spiffe://{'a' * 256}/unit/a"], id="a trust domain of 256 bytes"),
        pytest.param([f"spiffe://example.net/{'a' * 2_048}"], id="more than 2,048 bytes"),
    ],
)
def test_what_is_no_identity_names_nobody(uris: list[str]) -> None:
    assert parse_peer_identity(uris) is None


@given(
    st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True),
    st.lists(SEGMENT, max_size=6).map(tuple),
)
def test_an_identity_is_what_its_uri_says(trust_domain: str, path: tuple[str, ...]) -> None:
    identity = PeerIdentity(trust_domain=trust_domain, path=path)
    assert parse_peer_identity([str(identity)]) == identity


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_an_identity_that_says_the_same_or_none(domain: str, path: str) -> None:
    uri = f"spiffe://{domain}/{path}"
    identity = parse_peer_identity([uri])
    assert identity is None or str(identity).lower() == uri.lower()


def test_the_identity_of_a_certificate_is_its_uri() -> None:
    certificate, _ = Authority.new().issue(uris=["spiffe://example.net/unit/a"], names=["a.test"])
    assert str(identity_of_certificate(certificate)) == "spiffe://example.net/unit/a"
    assert str(identity_in({"x509_pem_cert": [certificate]})) == "spiffe://example.net/unit/a"


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param(self_signed()[0], id="a CA's, without a URI"),
        pytest.param(Authority.new(uris=["spiffe://example.net/unit/a"]).certificate, id="a CA's"),
        pytest.param(
            Authority.new().issue(uris=["spiffe://a/unit/a", "spiffe://a/unit/b"])[0],
            id="of two identities",
        ),
        pytest.param(Authority.new().issue(names=["spiffe"])[0], id="of a host"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="none"),
        pytest.param(b"x" * 70_000, id="too long"),
    ],
)
def test_a_certificate_that_names_nobody(certificate: bytes) -> None:
    assert identity_of_certificate(certificate) is None


def test_without_a_certificate_there_is_no_identity() -> None:
    assert identity_in({}) is None
