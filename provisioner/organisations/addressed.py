"""AddressedReader: all that the route of an invitation is judged by, read with what it compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane import keys
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.identifiers.skeleton import stored_key
from control_plane.identity.pepper_ring import DirectorySecrets
from provisioner.directory.accounts import AccountView, view_account
from provisioner.directory.claim_rules import same_life
from provisioner.directory.claims import Holder
from provisioner.directory.registrar import Registrar
from provisioner.organisations.domain import Domain
from provisioner.organisations.policy import OrganisationPolicy
from provisioner.organisations.reads import Reads
from provisioner.organisations.records import Membership, Organisation
from provisioner.organisations.responsible_domain import (
    ResponsibleDomain,
    asked_domains,
    responsible_domain,
)
from provisioner.organisations.routing import AddressedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """Of one address. policies: of the organisations of its accounts and of its domain's primary
    one, by id."""

    accounts: Sequence[AddressedAccount]
    domain: ResponsibleDomain
    policies: dict[str, OrganisationPolicy]


class AddressedReader:
    """Over a registrar. secrets(): those of this server now."""

    def __init__(self, registrar: Registrar, *, secrets: Callable[[], DirectorySecrets]) -> None:
        self._registrar = registrar
        self._secrets = secrets

    @property
    def registrar(self) -> Registrar:
        return self._registrar

    def digests(self, tenant: str, address: Identifier) -> tuple[str, ...]:
        """Under which it may be kept, the current one first; of a handle its stored key."""
        if address.kind is IdentifierKind.HANDLE:
            return (stored_key(address.normal),)
        return self._secrets().digests.digests(tenant, address)

    async def read(self, reads: Reads, tenant: str, address: Identifier) -> Addressed:
        """Raises Unavailable; DataLoss."""
        holders = await self._holders(reads, tenant, address)
        domain = await self._domain(reads, tenant, address)
        accounts, organisations = [], [] if domain.domain is None else [domain.domain.primary]
        for holder in holders:
            member = await self.member(reads, tenant, holder.account, holder.life_ms)
            accounts.append(
                AddressedAccount(
                    account=holder.account,
                    organisation=member.organisation if member is not None else "",
                    active=member is None or member.active,
                )
            )
            organisations += [] if member is None else [member.organisation]
        policies = await self.policies(reads, tenant, organisations)
        return Addressed(accounts=accounts, domain=domain, policies=policies)

    async def member(
        self, reads: Reads, tenant: str, account: str, life_ms: int
    ) -> Membership | None:
        """Of the client of this life."""
        found = await reads.get(
            keys.membership(tenant, account), Membership, name=f"account {account}"
        )
        return found if found is not None and same_life(found.life_ms, life_ms) else None

    async def is_active_in(
        self, reads: Reads, tenant: str, account: str, life_ms: int, organisation: str
    ) -> bool:
        """Whether the client of this life is an active member of the organisation."""
        member = await self.member(reads, tenant, account, life_ms)
        return member is not None and member.active and member.organisation == organisation

    async def policies(
        self, reads: Reads, tenant: str, organisations: Sequence[str]
    ) -> dict[str, OrganisationPolicy]:
        """Of those that are there."""
        found = {}
        for one in dict.fromkeys(organisations):
            if not one:
                continue
            organisation = await reads.get(
                keys.organisation(tenant, one), Organisation, name=f"organisation {one}"
            )
            if organisation is not None:
                found[one] = organisation.policy
        return found

    async def view(self, tenant: str, account: str) -> AccountView:
        """Raises Unavailable."""
        return await view_account(self._registrar.accounts, tenant, account)

    async def _holders(self, reads: Reads, tenant: str, address: Identifier) -> list[Holder]:
        """Accounts that have the address, and are there."""
        found: dict[str, Holder] = {}
        for digest in self.digests(tenant, address):
            kind = address.kind.value
            key = keys.identifier_claim(tenant, kind, digest)
            if address.kind is IdentifierKind.HANDLE:
                key = keys.handle_claim(tenant, digest)
            pair, claim = await self._registrar.claim_at(key)
            reads.add(key, pair, name="address")
            if claim is None or (claim.handle and claim.handle != address.normal):
                continue
            for holder in claim.holders:
                found.setdefault(holder.account, holder)
        return [
            one for one in found.values()
            if (await self.view(tenant, one.account)).has(one.life_ms)
        ]  # fmt: skip

    async def _domain(self, reads: Reads, tenant: str, address: Identifier) -> ResponsibleDomain:
        if address.kind is not IdentifierKind.EMAIL:
            return responsible_domain(None, {})
        name = read_domain(address.normal.rpartition("@")[2])
        assert isinstance(name, Identifier)
        asked = asked_domains(name)
        await reads.read([keys.domain(tenant, one) for one in asked])
        known = {}
        for one in asked:
            domain = await reads.get(keys.domain(tenant, one), Domain, name=f"domain {one}")
            if domain is not None:
                known[one] = domain
        return responsible_domain(name, known)
