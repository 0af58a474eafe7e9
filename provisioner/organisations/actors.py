"""Who changes an organisation: one of its owners, through its home, or an operator.

Whoever is no owner is told what is told of an organisation that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import NotFound
from control_plane.printable import quoted
from control_plane.store.port import KeyValue
from provisioner.directory.accounts import (
    AccountStore,
    AccountView,
    ActingUnit,
    check_home,
    view_account,
)
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.organisations.records import Organisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """account empty: an operator, who may do all that owners may. unit: that acts for the account;
    None: an operator does, for this account."""

    account: str = ""
    unit: ActingUnit | None = None

    @property
    def is_operator(self) -> bool:
        return self.unit is None

    def owns(self, organisation: Organisation) -> bool:
        """Whether it may change it."""
        return self.is_operator or self.account in organisation.owners


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAccount:
    """An account that is there, as it was read."""

    view: AccountView
    home: AssignmentRecord

    @property
    def home_pair(self) -> KeyValue | None:
        return self.view.home_pair


async def live_account(
    accounts: AccountStore, tenant: str, account: str, unit: ActingUnit | None
) -> LiveAccount:
    """Raises NotFound, ClaimNotAllowed as check_home does; Unavailable."""
    view = await view_account(accounts, tenant, account)
    return LiveAccount(view=view, home=check_home(view, unit))


def no_organisation(organisation_id: str) -> NotFound:
    """Of one that is not there, and of one that is not the actor's."""
    return NotFound(f"there is no organisation {quoted(organisation_id)} here that you may look at")
