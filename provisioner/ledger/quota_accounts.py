"""QuotaAccounts: where a commit queue counts clients of tenants, besides at their units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from provisioner.ledger.account import Account
from provisioner.ledger.operations import Claim


class QuotaAccounts(Protocol):
    """Of one commit queue. `client_quotas` has it over a store."""

    counted: Mapping[bytes, str]  # by tenant; as long as it is empty, nothing is asked

    def account_of(self, assignment_key: bytes) -> Account | None:
        """Where a client of this key's tenant is counted; None: nowhere."""
        ...

    def wait(self, claim: Claim, account: Account) -> None:
        """Takes a claim for which there is no place in the grant. It holds no reservation."""
        ...

    def used(self, account: Account) -> None:
        """A batch has changed the usage."""
        ...
