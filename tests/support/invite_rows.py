"""Where invitations go, once more: rows of conditions, the first that holds decides.

Written from the text of the reference alone, as a table of facts, to judge the other one by. It
knows nothing of domains and accounts but what `Facts` counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Facts:
    """What there is to go by. primary: there is a primary organisation, and its domain counts."""

    expired: bool
    primary: bool
    by_domain: bool  # the primary organisation takes people by domain
    members: int  # active accounts in it
    suspended_members: int
    active: int  # accounts, wherever
    suspended: int
    handle: bool  # the invitation is to a handle


class Row(NamedTuple):
    holds: Callable[[Facts], bool]
    outcome: str
    rule: str


ROWS = (
    Row(lambda f: f.expired, "refused", "EXPIRED"),
    Row(lambda f: f.primary and f.members == 1, "member", "PRIMARY_MEMBER"),
    Row(lambda f: f.primary and f.members > 1, "choose members", "SEVERAL_MEMBERS"),
    Row(lambda f: f.primary and f.suspended_members > 0, "refused", "MEMBER_SUSPENDED"),
    Row(lambda f: f.primary and f.by_domain, "new in primary", "JOINS_BY_DOMAIN"),
    Row(lambda f: f.primary and f.active > 0, "choose all", "NOT_A_MEMBER"),
    Row(lambda f: f.primary, "refused", "NOT_A_MEMBER"),
    Row(lambda f: f.active > 1, "choose all", "SEVERAL_ACCOUNTS"),
    Row(lambda f: f.active == 1, "the one", "ONLY_ACCOUNT"),
    Row(lambda f: f.suspended > 0, "refused", "ALL_SUSPENDED"),
    Row(lambda f: f.handle, "refused", "NOBODY"),
    Row(lambda f: True, "new", "NO_ACCOUNT"),
)


def decided(facts: Facts) -> Row:
    """The row that speaks."""
    return next(row for row in ROWS if row.holds(facts))
