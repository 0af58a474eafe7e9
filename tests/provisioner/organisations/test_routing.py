"""Where invitations go: all combinations, judged by rows written apart; and what is no row."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from typing import NamedTuple

from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from provisioner.organisations.domain import Domain, DomainState, Rival
from provisioner.organisations.policy import Joining, OrganisationPolicy
from provisioner.organisations.responsible_domain import responsible_domain
from provisioner.organisations.routing import (
    AddressedAccount,
    Choose,
    Invite,
    InviteRule,
    NewAccount,
    NotRouted,
    Route,
    ToAccount,
    route,
)
from tests.support.invite_rows import Facts, decided

NOW = 1_800_000_000_000
ORGANISATIONS = ("contoso", "fabrikam", "")
KINDS = tuple(product(ORGANISATIONS, (True, False)))  # organisation, active
PRIMARIES = ("", "contoso", "gone")  # the last is of an organisation that is not there
# How a domain stands, and whether invitations to its addresses are routed by it.
STATES = {
    "nobody's": False,
    "pending": False,
    "verified": True,
    "lapsing": True,
    "lapsed": False,
    "contested": True,
    "above": True,
    "above, without sub-domains": False,
}


class Case(NamedTuple):
    accounts: tuple[AddressedAccount, ...]
    primary: str
    joining: Joining
    state: str


def cases() -> Iterator[Case]:
    """Each multiset of up to three accounts, with each primary organisation, policy and state."""
    for count in range(4):
        for kinds in combinations_with_replacement(KINDS, count):
            accounts = tuple(
                AddressedAccount(account=f"ben-{place}", organisation=organisation, active=active)
                for place, (organisation, active) in enumerate(kinds)
            )
            for primary, joining, state in product(PRIMARIES, Joining, STATES):
                yield Case(accounts, primary, joining, state)


def name(text: str) -> Identifier:
    read = read_domain(text)
    assert isinstance(read, Identifier)
    return read


def domains_of(case: Case) -> dict[str, Domain]:
    """What is known of the domains that may speak for dev.contoso.example."""
    if case.state in ("nobody's", "pending"):  # what is pending is no domain yet
        return {}
    proof = DomainState(case.state) if case.state in ("lapsing", "lapsed") else DomainState.VERIFIED
    contested = case.state == "contested"
    domain = Domain(
        owner="contoso",
        token="t",
        primary=case.primary,
        proof=proof,
        covers_subdomains=case.state != "above, without sub-domains",
        rival=Rival(organisation="fabrikam", token="u", since_ms=NOW) if contested else None,
    )
    return {("" if "above" in case.state else "dev.") + "contoso.example": domain}


def routed(case: Case, *, expires_ms: int = NOW + 1) -> Route:
    invite = Invite(kind=IdentifierKind.EMAIL, inviter="anna", expires_ms=expires_ms)
    policies = {
        "contoso": OrganisationPolicy(joining=case.joining), "fabrikam": OrganisationPolicy(),
    }  # fmt: skip
    found = responsible_domain(name("dev.contoso.example"), domains_of(case))
    return route(invite, case.accounts, found, policies, NOW)


def facts_of(case: Case) -> Facts:
    active = [one for one in case.accounts if one.active]
    members = [one for one in case.accounts if one.organisation == "contoso"]
    return Facts(
        expired=False,
        primary=case.primary == "contoso" and STATES[case.state],
        by_domain=case.joining is Joining.BY_DOMAIN,
        members=sum(one.active for one in members),
        suspended_members=sum(not one.active for one in members),
        active=len(active),
        suspended=len(case.accounts) - len(active),
        handle=False,
    )


def wanted_of(case: Case) -> tuple[str, object]:
    """The outcome that the rows give: which rule, and whom."""
    row = decided(facts_of(case))
    active = [one for one in case.accounts if one.active]
    members = [one.account for one in active if one.organisation == "contoso"]
    outcomes: dict[str, object] = {
        "refused": None,
        "member": members[:1],
        "choose members": members,
        "choose all": [one.account for one in active],
        "the one": [one.account for one in active],
        "new in primary": "contoso",
        "new": "",
    }
    return row.rule, outcomes[row.outcome]


def told(found: Route) -> tuple[str, object]:
    rule = found.why[0].rule
    match found:
        case ToAccount():
            return rule, [found.account]
        case Choose():
            return rule, list(found.accounts)
        case NewAccount():
            return rule, found.organisation
        case NotRouted():
            assert found.rule == rule
            return rule, None


def test_every_combination_goes_where_the_rows_say():
    every = list(cases())
    assert len(every) == 4_032
    wrong = [case for case in every if told(routed(case)) != wanted_of(case)]
    assert wrong == []


def test_one_outcome_is_one_class():
    """A choice is never of nobody, and one account is chosen from only where it is no member."""
    for case in cases():
        found = routed(case)
        if isinstance(found, Choose):
            assert found.accounts
            assert len(found.accounts) > 1 or found.why[0].rule == InviteRule.NOT_A_MEMBER


def test_the_order_of_accounts_means_nothing():
    rng = random.Random(5)
    for case in cases():
        mixed = list(case.accounts)
        rng.shuffle(mixed)
        assert routed(case._replace(accounts=tuple(mixed))) == routed(case)


def test_an_invitation_that_has_ended_goes_nowhere():
    for case in list(cases())[::97]:
        found = routed(case, expires_ms=NOW)
        assert isinstance(found, NotRouted)
        assert found.rule is InviteRule.EXPIRED


def test_whoever_invites_is_not_invited_by_it():
    """Somebody's own second account has the same address; theirs that invites is passed over."""
    invite = Invite(kind=IdentifierKind.EMAIL, inviter="ben-0", expires_ms=NOW + 1)
    accounts = [AddressedAccount(account="ben-0"), AddressedAccount(account="ben-1")]
    found = route(invite, accounts, responsible_domain(None, {}), {}, NOW)
    assert isinstance(found, ToAccount)
    assert found.account == "ben-1"


def test_a_handle_that_nobody_has_makes_no_account():
    nobody = responsible_domain(None, {})
    kinds = {
        kind: route(Invite(kind=kind, inviter="", expires_ms=NOW + 1), [], nobody, {}, NOW)
        for kind in (IdentifierKind.HANDLE, IdentifierKind.PHONE)
    }
    assert isinstance(kinds[IdentifierKind.HANDLE], NotRouted)
    assert isinstance(kinds[IdentifierKind.PHONE], NewAccount)
