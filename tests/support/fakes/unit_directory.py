"""UnitDirectoryFake: the directory as a unit asks it, in the process: its real service over a model
of the store. Its codes are kept, and what is done can go unheard."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from control_plane import keys
from control_plane.errors import OutcomeUnknown, Unavailable
from control_plane.identity.tickets import TicketIssuer
from control_plane.store.port import Get, Put, Txn
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import RESOLVE, DirectoryMethod
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api.directory_service import DirectoryService
from provisioner.api.lookup_calls import residence_to_proto
from provisioner.api.number_service import NumberService
from provisioner.api.organisation_callers import OrganisationCallers
from provisioner.directory.budgets import Asker
from provisioner.directory.holdings import Holdings
from provisioner.ledger.assignment_encoding import encode_assignment
from tests.support.directory_servers import Clock, DirectoryServer
from tests.support.fakes.network_store import NetworkStore
from tests.support.number_servers import NumberServer


class DirectoryThere:
    """A directory that several units ask. box: codes that were sent; clock: by which it goes;
    numbers: telephone numbers of tenants. issuer: of introductions to units."""

    def __init__(self, issuer: TicketIssuer | None = None) -> None:
        self.store = NetworkStore()
        self.clock = Clock()
        self.server = DirectoryServer(self.store, clock=self.clock)
        self.box = self.server.box
        secrets = self.server.secrets
        directory: Any = SimpleNamespace(
            resolver=None,
            handles=self.server.handles,
            proofs=self.server.proofs,
            proved=self.server.proved,
            holdings=Holdings(self.server.registrar, secrets=lambda: secrets),
        )
        fleet_view: Any = SimpleNamespace(
            tenant_or_raise=lambda name: SimpleNamespace(id=name), endpoint_of=lambda unit: ""
        )
        self.streams: set[asyncio.Event] = set()
        ids = itertools.count(1)
        self.service = DirectoryService(
            directory,
            fleet_view,
            SimpleNamespace(),
            SimpleNamespace(),
            new_id=lambda: f"d{next(ids)}",
        )
        self.numbers = NumberServer(self.store, self.server, issuer)
        asking: Any = OrganisationCallers(fleet_view, SimpleNamespace())
        self.services: dict[str, Any] = {
            "DirectoryService": self.service,
            "NumberService": NumberService(
                self.numbers.pools, self.numbers.homes, asking, clock=self.clock
            ),
        }

    async def move(self, tenant: str, account: str, unit_id: str, epoch: int) -> None:
        """The account is at home there from now on."""
        value = encode_assignment(unit_id, epoch, 1_000, "", first_ms=1_000)
        await self.store.commit(Txn(then=[Put(keys.assignment(tenant, account), value)]))

    @contextmanager
    def changes(self):
        """An event that each call of a unit sets."""
        changed = asyncio.Event()
        self.streams.add(changed)
        try:
            yield changed
        finally:
            self.streams.discard(changed)

    def changed(self) -> None:
        """Wakes the streams."""
        for one in self.streams:
            one.set()

    async def at_home(self, resident: Resident, unit_id: str) -> None:
        """So is one that has no home yet."""
        read = Txn(then=[Get(keys.assignment(resident.tenant, resident.account))])
        if not (await self.store.commit(read)).results[0]:
            await self.move(resident.tenant, resident.account, unit_id, resident.epoch)


class UnitDirectoryFake:
    """One unit's. away: nothing is done, and that is known; deaf: what is done is not heard, of so
    many calls; deafened: nor is it of a method of this name, or of everything; asked: the methods,
    in order. streams_away: none can be had, and those that stand end; watched: accounts whose
    streams began, in order; watching: how many stand."""

    def __init__(self, unit_id: str, there: DirectoryThere | None = None) -> None:
        self.unit_id = unit_id
        self.there = there or DirectoryThere()
        self.away = False
        self.deaf = 0
        self.deafened = ""
        self.asked: list[str] = []
        self.streams_away = False
        self.watched: list[str] = []
        self.watching = 0
        self._dropped = 0

    def drop_streams(self) -> None:
        """Those that stand end; others may begin."""
        self._dropped += 1
        self.there.changed()

    async def watch(self, resident: Resident) -> AsyncGenerator[pb.GetAccountResponse, None]:
        """See AccountStreams."""
        if self.streams_away:
            raise Unavailable("the directory takes no streams; watch again")
        request = pb.GetAccountRequest(tenant=resident.tenant, account=resident.account)
        request.home.unit_id, request.home.epoch = self.unit_id, resident.epoch
        await self.there.at_home(resident, self.unit_id)
        self.watched.append(resident.account)
        self.watching += 1
        before = self._dropped
        try:
            with self.there.changes() as changed:
                while not self.streams_away and before == self._dropped:
                    changed.clear()
                    yield await self.there.service.GetAccount(request, None)
                    await changed.wait()
                raise Unavailable("the directory ended the stream; watch again")
        finally:
            self.watching -= 1

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        """See UnitDirectory."""
        self.asked.append(method.name)
        if self.away:
            raise Unavailable("the directory does not answer; try again")
        if resident.account:
            await self.there.at_home(resident, self.unit_id)
        whole = type(request)()
        whole.CopyFrom(request)
        whole.tenant = resident.tenant
        if "account" in whole.DESCRIPTOR.fields_by_name:
            whole.account = resident.account
        whole.home.unit_id, whole.home.epoch = self.unit_id, resident.epoch
        if method is RESOLVE:
            return await self._resolved(resident, request)
        answer = await getattr(self.there.services[method.service], method.name)(whole, None)
        if method.changes:
            self.there.changed()
        if self.deaf:
            self.deaf -= 1
            raise OutcomeUnknown("nobody answered in time")
        if self.deafened in (method.name, "everything"):
            raise OutcomeUnknown("nobody answered in time")
        return answer

    async def _resolved(self, resident: Resident, request: Any) -> pb.ResolveResponse:
        """Of an account by its id."""
        asker = Asker(tenant=resident.tenant, viewer=resident.account, unit_id=self.unit_id)
        found = await self.there.numbers.resolver.resolve_account(request.account, asker)
        return pb.ResolveResponse(residences=map(residence_to_proto, found.residences))
