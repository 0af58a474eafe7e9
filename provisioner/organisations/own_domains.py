"""OwnDomains: for which of its own addresses an account writes as somebody of an organisation's.

It is told of addresses that the account has, and of no others: which domains are proved is nobody
else's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.identifiers.identifier import Identifier, IdentifierKind
from provisioner.directory.accounts import AccountStore
from provisioner.organisations.actors import Actor, live_account
from provisioner.organisations.addressed import AddressedReader
from provisioner.organisations.reads import Reads


class OwnDomains:
    """Over a registrar's stores."""

    def __init__(self, reader: AddressedReader) -> None:
        self._reader = reader
        self._accounts: AccountStore = reader.registrar.accounts

    async def of(
        self, tenant: str, addresses: Sequence[Identifier], actor: Actor
    ) -> Sequence[Identifier]:
        """Those of the addresses that the actor has and a proved domain speaks for. Raises what
        check_home does; DataLoss, Unavailable."""
        await live_account(self._accounts, tenant, actor.account, actor.unit)
        reads, found = Reads(self._reader.registrar.claims), []
        for one in addresses:
            if one.kind is not IdentifierKind.EMAIL:
                continue
            addressed = await self._reader.read(reads, tenant, one)
            has = any(holder.account == actor.account for holder in addressed.accounts)
            if has and addressed.domain.domain is not None:
                found.append(one)
        return found
