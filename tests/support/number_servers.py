"""A server's telephone numbers over a store, with a resolver of the homes of accounts."""

from __future__ import annotations

import random
from typing import Any

from control_plane import keys
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from provisioner.directory.accounts import SharedAccountStore
from provisioner.directory.budgets import LookupBudgets
from provisioner.directory.replica import ReadReplica
from provisioner.directory.resolving import Resolver, clients_that_left, itself
from provisioner.numbers.call_homes import CallHomes
from provisioner.numbers.pools import NumberPools
from provisioner.numbers.records import NumberKind
from tests.support.directory_servers import TENANT, DirectoryServer, request

RING = KeyRing(epochs=(new_epoch(1, now=0.0, random=random.Random(2).randbytes),))
VIRTUAL, TECHNICAL = NumberKind.VIRTUAL, NumberKind.TECHNICAL
POOL = "people"


def number(last: int) -> str:
    """One of those that are kept for fiction; last: 0 to 999."""
    return f"+442079460{last:03}"


class NumberServer:
    """One server's. store: with everything; issuer: of introductions."""

    def __init__(
        self,
        store: Any,
        directory: DirectoryServer | None = None,
        issuer: TicketIssuer | None = None,
    ) -> None:
        self.store = store
        self.directory = directory or DirectoryServer(store)
        self.clock = self.directory.clock
        accounts = SharedAccountStore(store)
        self.pools = NumberPools(store, accounts, wall=self.clock)
        self.claims = ReadReplica(store, keys.DIRECTORY, itself)
        self.residences = ReadReplica(store, keys.WHO_LEFT, clients_that_left, keeps_absent=False)
        self.resolver = Resolver(
            self.claims,
            self.residences,
            self.directory.registrar,
            LookupBudgets(clock=self.clock),
            secrets=lambda: self.directory.secrets,
            endpoint_of=lambda unit: f"{unit}.example:443",
            introductions=IntroductionIssuer(issuer or TicketIssuer(RING)),
            wall=self.clock,
        )
        self.homes = CallHomes(store, accounts, self.resolver)

    async def virtual(self, *last: int, tenant: str = TENANT, pool: str = POOL) -> int:
        return await self.pools.add(tenant, pool, VIRTUAL, [number(one) for one in last])

    async def technical(self, *last: int, tenant: str = TENANT) -> int:
        return await self.pools.add(tenant, "technical", TECHNICAL, [number(one) for one in last])

    async def proved(self, account: str, uri: str) -> Identifier:
        """Has an account prove a telephone, which nobody finds it by."""
        named = read_any(uri)
        assert isinstance(named, Identifier)
        proofs = self.directory.proofs
        await proofs.begin(TENANT, account, named, None, request=request())
        code = self.directory.box.last()
        await proofs.finish(TENANT, account, named, code, None, request=request(), findable=False)
        return named
