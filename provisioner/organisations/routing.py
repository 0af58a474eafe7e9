"""Where an invitation goes: to which of the accounts that have the address, or to a new one. Pure.

A domain's primary organisation has the invitations to its addresses: its member gets them, and
where it has none, a new account does, if it takes people by domain. Without one the only account
that has the address gets them. Wherever several could, the person chooses: nobody guesses. Each
answer names the rule that made it, and what that rule went by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from control_plane.identifiers.identifier import IdentifierKind
from provisioner.organisations.policy import Joining, OrganisationPolicy
from provisioner.organisations.responsible_domain import ResponsibleDomain


class InviteRule(StrEnum):
    """What decided. For programs; values never change."""

    EXPIRED = "EXPIRED"
    PRIMARY_MEMBER = "PRIMARY_MEMBER"
    SEVERAL_MEMBERS = "SEVERAL_MEMBERS"
    MEMBER_SUSPENDED = "MEMBER_SUSPENDED"
    JOINS_BY_DOMAIN = "JOINS_BY_DOMAIN"
    NOT_A_MEMBER = "NOT_A_MEMBER"
    ONLY_ACCOUNT = "ONLY_ACCOUNT"
    SEVERAL_ACCOUNTS = "SEVERAL_ACCOUNTS"
    ALL_SUSPENDED = "ALL_SUSPENDED"
    NO_ACCOUNT = "NO_ACCOUNT"
    NOBODY = "NOBODY"


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteReason:
    """One step of an explanation: the rule, which of its clauses held, and of what."""

    rule: str
    clause: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """What is routed. inviter: an account, which is never routed to; expires_ms: Unix ms."""

    kind: IdentifierKind
    inviter: str
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressedAccount:
    """An account that has the address. organisation: whose member it is; empty: nobody's. active:
    not suspended there."""

    account: str
    organisation: str = ""
    active: bool = True


Why = tuple[InviteReason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToAccount:
    """It goes to this account."""

    account: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose:
    """The person chooses which of these takes it."""

    accounts: tuple[str, ...]  # in order of their ids, at least one
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """It is for an account that is yet to be made; organisation: whose; empty: nobody's."""

    organisation: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRouted:
    """It goes nowhere."""

    rule: InviteRule
    why: Why


Route = ToAccount | Choose | NewAccount | NotRouted


def route(
    invite: Invite,
    accounts: Sequence[AddressedAccount],
    domain: ResponsibleDomain,
    organisations: Mapping[str, OrganisationPolicy],
    now_ms: int,
) -> Route:
    """accounts: all that have the address; domain: what speaks for it; organisations: policies of
    those that are there, by id, the domain's primary one among them if it is."""
    if now_ms >= invite.expires_ms:
        return _nowhere(InviteRule.EXPIRED, "EXPIRES", str(invite.expires_ms))
    invited = sorted(
        (one for one in accounts if one.account != invite.inviter), key=lambda one: one.account
    )
    primary = "" if domain.domain is None else domain.domain.primary
    policy = organisations.get(primary) if primary else None
    if policy is not None:
        return _to_primary(invited, domain, primary, policy)
    return _without_primary(invite, invited, _no_primary(domain, primary))


def _to_primary(
    accounts: Sequence[AddressedAccount],
    domain: ResponsibleDomain,
    primary: str,
    policy: OrganisationPolicy,
) -> Route:
    def why(rule: InviteRule) -> Why:
        return (
            InviteReason(rule=rule, clause="PRIMARY_ORGANISATION", value=primary),
            InviteReason(rule="RESPONSIBLE_DOMAIN", clause=domain.clause, value=domain.name),
        )

    members = [one for one in accounts if one.organisation == primary]
    active = [one.account for one in members if one.active]
    if len(active) == 1:
        return ToAccount(account=active[0], why=why(InviteRule.PRIMARY_MEMBER))
    if active:
        return Choose(accounts=tuple(active), why=why(InviteRule.SEVERAL_MEMBERS))
    if members:  # a new account would go round what suspended this one
        return NotRouted(rule=InviteRule.MEMBER_SUSPENDED, why=why(InviteRule.MEMBER_SUSPENDED))
    if policy.joining is Joining.BY_DOMAIN:
        return NewAccount(organisation=primary, why=why(InviteRule.JOINS_BY_DOMAIN))
    others = tuple(one.account for one in accounts if one.active)
    if others:
        return Choose(accounts=others, why=why(InviteRule.NOT_A_MEMBER))
    return NotRouted(rule=InviteRule.NOT_A_MEMBER, why=why(InviteRule.NOT_A_MEMBER))


def _without_primary(
    invite: Invite, accounts: Sequence[AddressedAccount], reason: InviteReason
) -> Route:
    def why(rule: InviteRule, clause: str) -> Why:
        return (InviteReason(rule=rule, clause=clause, value=str(len(accounts))), reason)

    active = tuple(one.account for one in accounts if one.active)
    if len(active) == 1:
        return ToAccount(account=active[0], why=why(InviteRule.ONLY_ACCOUNT, "ACTIVE_ACCOUNTS"))
    if active:
        return Choose(accounts=active, why=why(InviteRule.SEVERAL_ACCOUNTS, "ACTIVE_ACCOUNTS"))
    if accounts:
        return NotRouted(
            rule=InviteRule.ALL_SUSPENDED, why=why(InviteRule.ALL_SUSPENDED, "ACCOUNTS")
        )
    if invite.kind is IdentifierKind.HANDLE:  # which a new account would not have
        return NotRouted(rule=InviteRule.NOBODY, why=why(InviteRule.NOBODY, "ACCOUNTS"))
    return NewAccount(organisation="", why=why(InviteRule.NO_ACCOUNT, "ACCOUNTS"))


def _no_primary(domain: ResponsibleDomain, primary: str) -> InviteReason:
    """Why nobody is the primary organisation."""
    if domain.domain is None:
        return InviteReason(rule="RESPONSIBLE_DOMAIN", clause=domain.clause, value=domain.name)
    clause = "PRIMARY_GONE" if primary else "NO_PRIMARY"
    return InviteReason(rule="PRIMARY_ORGANISATION", clause=clause, value=primary or domain.name)


def _nowhere(rule: InviteRule, clause: str, value: str) -> NotRouted:
    return NotRouted(rule=rule, why=(InviteReason(rule=rule, clause=clause, value=value),))
