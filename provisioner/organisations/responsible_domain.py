"""Which domain speaks for an address: the nearest that is proved, and covers it. Pure.

A domain speaks for its own addresses, and for those of its sub-domains where its owner said so. A
public suffix is nobody's: no name at or above one is looked for. Providers of mail for everybody
are told apart for the explanation alone: what they have not proved is nobody's, as with anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from control_plane.identifiers.domains import public_suffix
from control_plane.identifiers.identifier import Identifier
from provisioner.organisations.domain import Domain

# Where everybody can have an address; what comes of their being left out here is another word in
# an explanation.
MAIL_PROVIDERS = frozenset({
    "aol.com", "fastmail.com", "free.fr", "gmail.com", "gmx.de", "gmx.net", "googlemail.com",
    "hotmail.com", "icloud.com", "laposte.net", "live.com", "mail.com", "mail.ru", "me.com",
    "msn.com", "naver.com", "orange.fr", "outlook.com", "posteo.de", "proton.me",
    "protonmail.com", "qq.com", "t-online.de", "web.de", "yahoo.co.jp", "yahoo.com", "yandex.ru",
    "zoho.com", "163.com", "126.com",
})  # fmt: skip

MOST_ASKED = 16  # names that are looked for; of a longer one itself and those next to the suffix


class DomainClause(StrEnum):
    """Why a domain speaks for an address, or none does. For programs; values never change."""

    ITS_OWN = "ITS_OWN"
    ANCESTOR = "ANCESTOR"
    NO_DOMAIN = "NO_DOMAIN"  # a handle or a number
    PUBLIC_SUFFIX = "PUBLIC_SUFFIX"
    MAIL_PROVIDER = "MAIL_PROVIDER"
    NOT_PROVED = "NOT_PROVED"
    LAPSED = "LAPSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsibleDomain:
    """name: in A-labels; domain None: none speaks for the address, and clause says why."""

    clause: DomainClause
    name: str = ""
    domain: Domain | None = None


def asked_domains(name: Identifier) -> tuple[str, ...]:
    """The names that may speak for addresses at this one, the nearest first, in A-labels: itself
    and what is above it, down to what somebody can register."""
    suffix = public_suffix(name)
    labels = name.normal.split(".")
    kept = len(labels) - len(suffix.split("."))
    places = [*range(min(1, kept)), *range(max(1, kept - MOST_ASKED + 1), kept)]
    return tuple(".".join(labels[place:]) for place in places)


def responsible_domain(name: Identifier | None, domains: Mapping[str, Domain]) -> ResponsibleDomain:
    """name: of the address, None: it has none; domains: what is known of `asked_domains`, by
    name."""
    if name is None:
        return ResponsibleDomain(clause=DomainClause.NO_DOMAIN)
    asked = asked_domains(name)
    if not asked:
        return ResponsibleDomain(clause=DomainClause.PUBLIC_SUFFIX, name=name.normal)
    lapsed = ""
    for one in asked:
        domain = domains.get(one)
        own = one == name.normal
        if domain is None or not (own or domain.covers_subdomains):
            continue
        if domain.routes:
            clause = DomainClause.ITS_OWN if own else DomainClause.ANCESTOR
            return ResponsibleDomain(clause=clause, name=one, domain=domain)
        lapsed = lapsed or one
    if lapsed:
        return ResponsibleDomain(clause=DomainClause.LAPSED, name=lapsed)
    provider = asked[-1] in MAIL_PROVIDERS
    clause = DomainClause.MAIL_PROVIDER if provider else DomainClause.NOT_PROVED
    return ResponsibleDomain(clause=clause, name=asked[-1] if provider else name.normal)
