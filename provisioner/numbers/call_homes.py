"""CallHomes: what units ask for calls: whose one is, and which numbers an account has.

A virtual number belongs to an account. A technical one does not: who dials it is found by its own
number, as the account that has proved that in the tenant of the technical one. Nobody else is found
by a telephone number here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane import keys
from control_plane.errors import NotFound
from control_plane.identifiers.identifier import Identifier
from control_plane.store.port import Store
from provisioner.directory.accounts import AccountStore, ActingUnit, view_account
from provisioner.directory.budgets import Asker
from provisioner.directory.claim_rules import same_life
from provisioner.directory.residence import Residence
from provisioner.directory.resolving import Resolver
from provisioner.numbers.records import (
    AccountNumberBook,
    NumberKind,
    NumberRecord,
    NumberTenant,
    TenantNumberBook,
)
from provisioner.organisations.actors import live_account
from provisioner.organisations.reads import Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountNumbers:
    """See the contract."""

    virtual: Sequence[str]
    technical: Sequence[str]
    countries: Sequence[str]
    ours: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHome:
    """Whose call one is."""

    tenant: str
    residence: Residence


class CallHomes:
    """Over the store of claims. Every method raises Unavailable, DataLoss."""

    def __init__(self, store: Store, accounts: AccountStore, resolver: Resolver) -> None:
        self._store = store
        self._accounts = accounts
        self._resolver = resolver

    async def numbers(
        self, tenant: str, account: str, unit: ActingUnit | None, asked: Sequence[str]
    ) -> AccountNumbers:
        """Of an account that is at home with who acts for it. asked: E.164. Raises NotFound,
        ClaimNotAllowed."""
        member = await live_account(self._accounts, tenant, account, unit)
        reads = Reads(self._store)
        book = await reads.get(keys.account_numbers(tenant, account), AccountNumberBook)
        of_tenant = await reads.get(keys.tenant_number_book(tenant), TenantNumberBook)
        if book is None or not same_life(book.life_ms, member.home.first_ms):
            book = AccountNumberBook()
        ours = [one for one in asked if await self._tenant_of(reads, one) is not None]
        of_tenant = of_tenant or TenantNumberBook()
        return AccountNumbers(
            virtual=book.numbers,
            technical=of_tenant.technical,
            countries=[one for one in of_tenant.countries if one],
            ours=ours,
        )

    async def find(
        self, tenant: str, caller: Identifier | None, dialled: str, unit_id: str
    ) -> CallHome:
        """tenant: that the number has to be of; empty: whichever. caller: its number; None:
        withheld. dialled: E.164. unit_id: who asks, and is introduced. Raises NotFound,
        Exhausted."""
        reads = Reads(self._store)
        of = await self._tenant_of(reads, dialled)
        if of is None or tenant not in ("", of):
            raise _nobody()
        record = await reads.get(keys.tenant_number(of, dialled), NumberRecord)
        asker = Asker(tenant=of, unit_id=unit_id)
        if record is None:
            raise _nobody()
        if record.kind is NumberKind.TECHNICAL:
            if caller is None:
                raise _nobody()
            found = await self._resolver.resolve(caller, asker)
        else:
            await self._check_holder(of, record)
            found = await self._resolver.resolve_account(record.account, asker)
        return CallHome(tenant=of, residence=found.residences[0])

    async def _check_holder(self, tenant: str, record: NumberRecord) -> None:
        """Raises NotFound where the client is gone that the number was assigned to."""
        if not record.account:
            raise _nobody()
        view = await view_account(self._accounts, tenant, record.account)
        if not view.has(record.life_ms):
            raise _nobody()

    async def _tenant_of(self, reads: Reads, number: str) -> str | None:
        owner = await reads.get(keys.number(number), NumberTenant)
        if owner is None:
            return None
        key = keys.tenant_number(owner.tenant, number)
        return None if await reads.get(key, NumberRecord) is None else owner.tenant


def _nobody() -> NotFound:
    return NotFound("nobody is reached by this number")
