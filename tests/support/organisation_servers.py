"""A server's organisations over fakes: what tests of organisations, domains and invitations use."""

from __future__ import annotations

from typing import Any

from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from control_plane.store.port import Txn, TxnResult
from control_plane.store.shared_lease import SharedLease
from provisioner.directory.accounts import ActingUnit, SharedAccountStore
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.organisations.actors import Actor
from provisioner.organisations.addressed import AddressedReader
from provisioner.organisations.domain import Domain
from provisioner.organisations.domain_checks import DomainChecks
from provisioner.organisations.domain_records import DomainRecords
from provisioner.organisations.domain_transfers import DomainTransfers
from provisioner.organisations.domains import Domains
from provisioner.organisations.invitations import Invitations
from provisioner.organisations.organisations import Organisations
from provisioner.organisations.policy import OrganisationPolicy
from provisioner.organisations.records import Group, Membership, Organisation
from tests.support.directory_servers import TENANT, DirectoryServer, FakeSession, homes, request
from tests.support.fakes.challenges import ChallengeTable
from tests.support.fakes.network_store import NetworkStore

OPERATOR = Actor()
BEN = "mailto:ben@contoso.example"
DAY_S = 86_400.0


def of(account: str) -> Actor:
    """An account that acts through its home."""
    return Actor(account=account, unit=ActingUnit(unit_id="london", epoch=1))


def address(text: str) -> Identifier:
    read = read_any(text)
    assert isinstance(read, Identifier)
    return read


class InterruptedStore:
    """A store in which something happens before the n-th transaction, n from 1; 0: never."""

    def __init__(self, inner: NetworkStore) -> None:
        self.inner = inner
        self.before = 0
        self.happens: Any = None
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def get(self, key: bytes) -> Any:
        await self._passed()
        return await self.inner.get(key)

    async def commit(self, txn: Txn, **more: Any) -> TxnResult:
        await self._passed()
        return await self.inner.commit(txn, **more)

    async def _passed(self) -> None:
        self.count += 1
        if self.count == self.before and self.happens is not None:
            happens, self.happens = self.happens, None
            await happens()


class OrganisationServer:
    """One server's. store: with everything."""

    def __init__(self, store: Any = None, *, session: FakeSession | None = None) -> None:
        self.store = store or NetworkStore()
        self.directory = DirectoryServer(self.store, session=session)
        self.clock = self.directory.clock
        self.dns = ChallengeTable()
        accounts = SharedAccountStore(self.store)
        self.organisations = Organisations(self.store, accounts)
        self.records = DomainRecords(self.organisations, wall=self.clock)
        numbers = iter(range(1, 1_000))
        self.domains = Domains(
            self.records, self.dns, random=lambda n: next(numbers).to_bytes(n, "big")
        )
        self.transfers = DomainTransfers(self.records)
        self.checks = DomainChecks(
            self.records, self.dns, session=lambda: self.directory.session, jitter=lambda: 0.5
        )
        self.reader = AddressedReader(
            self.directory.registrar, secrets=lambda: self.directory.secrets
        )
        self.invitations = Invitations(
            self.reader,
            lease=SharedLease(self.store, lasts_s=30 * DAY_S, shared_s=DAY_S, clock=self.clock),
            budgets=ClaimBudgets(clock=self.clock),
            wall=self.clock,
        )

    async def organisation(self, name: str, *owners: str, **policy: Any) -> None:
        """One with this policy, whose owners are its members."""
        await homes(self.store, *owners)
        wanted = Organisation(name=name, owners=owners, policy=OrganisationPolicy(**policy))
        await self.organisations.create(TENANT, name, wanted, OPERATOR, now_ms=1)
        for owner in owners:
            await self.member(name, owner)

    async def policy(self, name: str, **policy: Any) -> int:
        """Gives it another one; the revision."""
        held = await self.organisations.get(TENANT, name, OPERATOR)
        wanted = Organisation(
            name=name, owners=held.organisation.owners, policy=OrganisationPolicy(**policy)
        )
        changed = await self.organisations.apply(
            TENANT, name, wanted, OPERATOR, revision=held.revision
        )
        return changed.revision

    async def member(self, name: str, account: str, **shown: Any) -> None:
        await self.organisations.set_member(
            TENANT, name, account, OPERATOR, Membership(organisation=name, **shown), now_ms=1
        )

    async def group(self, name: str, group: str, *, guests: bool = True) -> None:
        await self.organisations.apply_group(TENANT, name, group, Group(guests=guests), OPERATOR)

    async def proved(self, account: str, uri: str) -> None:
        """Has an account prove an address."""
        proofs, name = self.directory.proofs, address(uri)
        await proofs.begin(TENANT, account, name, None, request=request())
        await proofs.finish(
            TENANT, account, name, self.directory.box.last(), None,
            request=request(), findable=False,
        )  # fmt: skip

    async def domain(self, name: str, domain: str, *, primary: bool = True) -> Domain:
        """Has an organisation prove a domain."""
        held = await self.domains.claim(TENANT, name, domain, OPERATOR, covers_subdomains=True)
        assert held.pending is not None
        self.dns.publish(held.name, held.pending.token)
        held = await self.domains.verify(TENANT, name, domain, OPERATOR)
        if primary:
            held = await self.transfers.set_primary(TENANT, name, domain, name, OPERATOR)
        assert held.domain is not None
        return held.domain

    async def scenario(self) -> None:
        """Anna of Contoso may invite to the group `launch`; Ben has an account at Contoso and one
        at Fabrikam, both with one address, whose domain is Contoso's."""
        await self.organisation("contoso", "anna")
        await self.organisation("fabrikam", "mallory")
        await homes(self.store, "ben-contoso", "ben-fabrikam")
        for name in ("contoso", "fabrikam"):
            await self.proved(f"ben-{name}", BEN)
            await self.member(name, f"ben-{name}")
        await self.group("contoso", "launch")
        await self.domain("contoso", "contoso.example")
