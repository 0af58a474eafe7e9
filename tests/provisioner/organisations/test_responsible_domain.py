"""Which domain speaks for an address, and why none does."""

from __future__ import annotations

import pytest

from control_plane.identifiers.domains import public_suffix, read_domain
from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw, Identifier
from provisioner.organisations.domain import Domain, DomainState
from provisioner.organisations.responsible_domain import (
    DomainClause,
    asked_domains,
    responsible_domain,
)

OWN = Domain(owner="contoso", token="t")
NARROW = Domain(owner="contoso", token="t", covers_subdomains=False)
LAPSED = Domain(owner="contoso", token="t", proof=DomainState.LAPSED)
OTHER = Domain(owner="fabrikam", token="u")


def name(text: str) -> Identifier:
    read = read_domain(text)
    assert isinstance(read, Identifier)
    return read


@pytest.mark.parametrize(
    ("asked", "domains", "clause", "responsible"),
    [
        pytest.param("CONTOSO.example", {"contoso.example": OWN}, "ITS_OWN", "contoso.example",
                     id="capitals mean nothing"),
        pytest.param("a.b.contoso.example", {"contoso.example": OWN}, "ANCESTOR",
                     "contoso.example", id="sub-domains are covered"),
        pytest.param("a.contoso.example", {"contoso.example": NARROW}, "NOT_PROVED",
                     "a.contoso.example", id="unless its owner said otherwise"),
        pytest.param("contoso.example", {"contoso.example": NARROW}, "ITS_OWN", "contoso.example",
                     id="its own addresses are its own"),
        pytest.param("a.contoso.example", {"contoso.example": OWN, "a.contoso.example": OTHER},
                     "ITS_OWN", "a.contoso.example", id="a sub-domain with another owner"),
        pytest.param("x.a.contoso.example", {"contoso.example": OWN, "a.contoso.example": OTHER},
                     "ANCESTOR", "a.contoso.example", id="the nearest of two"),
        pytest.param("x.a.contoso.example", {"contoso.example": OWN, "a.contoso.example": NARROW},
                     "ANCESTOR", "contoso.example", id="the nearest that covers it"),
        pytest.param("x.contoso.example", {"x.contoso.example": LAPSED, "contoso.example": OWN},
                     "ANCESTOR", "contoso.example", id="what has lapsed is passed over"),
        pytest.param("contoso.example", {"contoso.example": LAPSED}, "LAPSED", "contoso.example",
                     id="only one that has lapsed"),
        pytest.param("gmail.com", {}, "MAIL_PROVIDER", "gmail.com", id="a provider of mail"),
        pytest.param("gmail.com", {"gmail.com": OWN}, "ITS_OWN", "gmail.com",
                     id="a provider that has proved its domain"),
        pytest.param("co.uk", {"co.uk": OWN}, "PUBLIC_SUFFIX", "co.uk", id="a public suffix"),
        pytest.param("contoso.co.uk", {"co.uk": OWN, "uk": OWN}, "NOT_PROVED", "contoso.co.uk",
                     id="nothing at or above a public suffix is asked"),
        pytest.param("contoso.github.io", {"github.io": OWN}, "NOT_PROVED", "contoso.github.io",
                     id="a private suffix is one"),
        pytest.param("straße.example", {"xn--strae-oqa.example": OWN}, "ITS_OWN",
                     "xn--strae-oqa.example", id="in A-labels"),
    ],
)  # fmt: skip
def test_who_speaks_for_an_address(asked, domains, clause, responsible):
    found = responsible_domain(name(asked), domains)
    assert (found.clause, found.name) == (DomainClause(clause), responsible)
    assert (found.domain is None) == (clause not in ("ITS_OWN", "ANCESTOR"))


def test_what_has_no_domain_has_none_that_speaks_for_it():
    assert responsible_domain(None, {}).clause is DomainClause.NO_DOMAIN


@pytest.mark.parametrize("text", ["ben@[192.0.2.1]", "ben@192.0.2.1", "ben@example"])
def test_an_address_at_a_host_is_none(text):
    assert isinstance(read_email(text), Flaw)


@pytest.mark.parametrize("text", ['"ben@gmail.com"@contoso.example', '"a b"@CONTOSO.example'])
def test_quoted_local_parts_do_not_name_the_domain(text):
    read = read_email(text)
    assert isinstance(read, Identifier)
    assert asked_domains(name(read.normal.rpartition("@")[2])) == ("contoso.example", "example")[:1]


@pytest.mark.parametrize("text", ["a.b.contoso.co.uk", "食狮.公司.cn", "x.kobe.jp", "www.ck"])
def test_names_that_are_asked_are_above_no_suffix(text):
    asked = asked_domains(name(text))
    suffix = public_suffix(name(text))
    assert all(one.endswith("." + suffix) for one in asked)
    assert list(asked) == sorted(asked, key=len, reverse=True)
