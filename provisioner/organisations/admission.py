"""Whether an account may be in a group: both organisations are asked. Pure.

The group's organisation says whether guests of the account's may come, the account's whether its
members may go out, and what they have to have shown. `judge_acceptance` asks as well whether the
invitation goes to this account at all, as of now: what was right when somebody was invited may be
so no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioner.organisations.policy import OrganisationPolicy
from provisioner.organisations.routing import (
    Choose,
    InviteReason,
    NewAccount,
    NotRouted,
    Route,
    ToAccount,
    Why,
)


class AdmissionRule(StrEnum):
    """Why an account may not be in a group. For programs; values never change."""

    SUSPENDED = "SUSPENDED"
    INVITER_LEFT = "INVITER_LEFT"
    NO_GROUP = "NO_GROUP"
    GROUP_WITHOUT_GUESTS = "GROUP_WITHOUT_GUESTS"
    GUESTS_FORBIDDEN = "GUESTS_FORBIDDEN"
    VISITS_FORBIDDEN = "VISITS_FORBIDDEN"
    SINGLE_SIGN_ON = "SINGLE_SIGN_ON"
    TWO_FACTORS = "TWO_FACTORS"
    NOT_ADDRESSED = "NOT_ADDRESSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitedTo:
    """The group, and whose it is. guests: whether it takes any."""

    organisation: str
    group: str
    guests: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JoiningAccount:
    """Who is to be in it. single_sign_on, two_factors: what it has shown."""

    account: str
    organisation: str = ""
    active: bool = True
    single_sign_on: bool = False
    two_factors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """It may. joins: the organisation whose member it becomes by this; empty: none."""

    joins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdmitted:
    """It may not."""

    rule: str  # an AdmissionRule, or the rule by which an invitation goes nowhere
    why: Why


def admit(
    invited: InvitedTo, account: JoiningAccount, policies: Mapping[str, OrganisationPolicy]
) -> Admitted | NotAdmitted:
    """policies: of organisations that are there, by id."""
    own, theirs = policies.get(account.organisation), policies.get(invited.organisation)
    if theirs is None:
        return _refused(AdmissionRule.NO_GROUP, "ORGANISATION", invited.organisation)
    if not account.active:
        return _refused(AdmissionRule.SUSPENDED, "ORGANISATION", account.organisation)
    if account.organisation != invited.organisation:
        if not invited.guests:
            return _refused(AdmissionRule.GROUP_WITHOUT_GUESTS, "GROUP", invited.group)
        if not theirs.takes_guests_of(account.organisation):
            return _refused(
                AdmissionRule.GUESTS_FORBIDDEN, f"GUESTS_{theirs.guests.name}", invited.organisation
            )
        if own is not None and not own.lets_visit(invited.organisation):
            return _refused(
                AdmissionRule.VISITS_FORBIDDEN, f"VISITS_{own.visits.name}", account.organisation
            )
    if own is not None and own.single_sign_on and not account.single_sign_on:
        return _refused(AdmissionRule.SINGLE_SIGN_ON, "ORGANISATION", account.organisation)
    if own is not None and own.two_factors and not account.two_factors:
        return _refused(AdmissionRule.TWO_FACTORS, "ORGANISATION", account.organisation)
    return Admitted()


def judge_acceptance(
    route: Route,
    invited: InvitedTo,
    account: JoiningAccount,
    *,
    has_address: bool,
    policies: Mapping[str, OrganisationPolicy],
) -> Admitted | NotAdmitted:
    """Whether this account may accept an invitation that goes so now. has_address: whether it has
    proved the address. An account of no organisation that has it is a new account to the one that
    takes people by domain, and becomes its member."""
    match route:
        case NotRouted():
            return NotAdmitted(rule=route.rule, why=route.why)
        case ToAccount() if route.account == account.account:
            return admit(invited, account, policies)
        case Choose() if account.account in route.accounts:
            return admit(invited, account, policies)
        case NewAccount() if has_address and account.organisation in ("", route.organisation):
            member = JoiningAccount(
                account=account.account,
                organisation=route.organisation,
                active=account.active,
                single_sign_on=account.single_sign_on,
                two_factors=account.two_factors,
            )
            judged = admit(invited, member, policies)
            joins = route.organisation if account.organisation != route.organisation else ""
            return Admitted(joins=joins) if isinstance(judged, Admitted) else judged
    return _refused(AdmissionRule.NOT_ADDRESSED, "ACCOUNT", account.account, *route.why)


def _refused(rule: AdmissionRule, clause: str, value: str, *more: InviteReason) -> NotAdmitted:
    return NotAdmitted(rule=rule, why=(InviteReason(rule=rule, clause=clause, value=value), *more))
