"""Names over HTTP as tests use them: the door on a loopback port, over a directory whose store is a
model, and one unit with accounts that answers as its real service does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.serving.peers import Proxies, parse_networks
from control_plane.store.port import Put, Txn
from deployment_units.services.accounts.accounts import StaleEpoch
from homeport.api.communication.v1 import profile_pb2 as pb
from provisioner.api.directory_door import DirectoryDoor
from provisioner.api.ticket_viewers import TicketViewers
from provisioner.directory.budgets import LookupBudgets
from provisioner.directory.contact_lookups import ContactLookups
from provisioner.directory.holdings import Holdings
from provisioner.directory.public_hosts import PublicHosts
from provisioner.directory.public_profiles import PublicProfiles
from provisioner.directory.replica import ReadReplica
from provisioner.directory.residence import Residence
from provisioner.directory.resolving import Resolver, clients_that_left, itself
from provisioner.directory.seen_profile import SeenIdentifier, SeenProfile
from provisioner.ledger.assignment_encoding import encode_assignment
from tests.support.account_units import AccountUnit, account_unit, an_issuer
from tests.support.directory_servers import DirectoryServer, request
from tests.support.fakes.call_context import FakeContext
from tests.support.fakes.network_store import NetworkStore

TENANT = "talk"
HOST = "talk.example"
HOSTS = {HOST: TENANT, "www.talk.example": TENANT, "other.example": "other"}
WRITE_AT = "https://app.talk.example/write?to={handle}"


class Answer:
    """What came back. headers: without the date."""

    def __init__(self, response: Any, body: bytes) -> None:
        self.status: int = response.status
        self.headers = {k.lower(): v for k, v in response.headers.items() if k.lower() != "date"}
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    def whole(self) -> tuple[int, dict[str, str], bytes]:
        return self.status, self.headers, self.body


class Pages:
    """now: monotonic and wall seconds, as one. away: the unit does not answer."""

    def __init__(self, unit: AccountUnit, store: NetworkStore, proxies: str = "") -> None:
        self.unit = unit
        self.store = store
        self.server = DirectoryServer(store, clock=self)
        self.away = False
        self.reads = 0
        self.gone: set[str] = set()
        self.slept: list[float] = []
        self.claims = claims = ReadReplica(store, keys.DIRECTORY, itself)
        self.homes = homes = ReadReplica(
            store, keys.WHO_LEFT, clients_that_left, keeps_absent=False
        )
        self.budgets = LookupBudgets(clock=self)
        self.resolver = Resolver(
            claims,
            homes,
            self.server.registrar,
            self.budgets,
            secrets=lambda: self.server.secrets,
            endpoint_of=lambda unit_id: f"{unit_id}.example:443",
            introductions=IntroductionIssuer(unit.issuer),
            wall=self,
            contacts=ContactLookups(self, sleep=self._slept),
        )
        holdings = Holdings(self.server.registrar, secrets=lambda: self.server.secrets)
        self.profiles = PublicProfiles(self.resolver, holdings, self, clock=self)
        self.door = DirectoryDoor(
            PublicHosts(HOSTS),
            self.profiles,
            TicketViewers(unit.issuer, self.resolver, wall=self),
            Proxies(parse_networks([proxies] if proxies else [])),
            write_at=WRITE_AT,
            clock=self,
        )
        self.url = URL()
        self._session: ClientSession | None = None

    def __call__(self) -> float:
        return self.unit.now

    async def read(self, residence: Residence) -> SeenProfile | None:
        """See ProfileReader."""
        self.reads += 1
        if self.away:
            raise Unavailable("this unit does not answer")
        if residence.unit_id in self.gone:
            return None
        call = FakeContext(residence.introduction)
        try:
            found = await self.unit.profiles.GetProfile(pb.GetProfileRequest(), call)
        except StaleEpoch:
            return None
        return SeenProfile(
            name=found.name,
            identifiers=tuple(
                SeenIdentifier(uri=one.uri, shown=one.shown, label=one.label, proved=one.proved)
                for one in found.identifiers
            ),
            vcard=found.vcard,
        )

    async def close(self) -> None:
        """See ProfileReader."""

    async def _slept(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def home(self, account: str, epoch: int = 1) -> None:
        """The account lives in the unit."""
        value = encode_assignment(self.unit.unit_id, epoch, 1_000, "", first_ms=1_000)
        await self.store.commit(Txn(then=[Put(keys.assignment(TENANT, account), value)]))

    async def claim(self, account: str, handle: str) -> None:
        await self.server.handles.claim(TENANT, account, handle, None, request=request())

    async def prove(self, account: str, text: str, *, findable: bool) -> None:
        identifier = read_any(text)
        assert isinstance(identifier, Identifier)
        proofs = self.server.proofs
        await proofs.begin(TENANT, account, identifier, None, request=request())
        code = self.server.box.last()
        await proofs.finish(
            TENANT, account, identifier, code, None, request=request(), findable=findable
        )

    async def get(
        self, target: str, *, host: str = HOST, method: str = "GET", **headers: str
    ) -> Answer:
        """target: as it is sent."""
        assert self._session is not None
        url = URL(f"{self.url}{target}", encoded=True)
        given = {"Host": host, **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with self._session.request(method, url, headers=given) as response:
            return Answer(response, await response.read())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Pages]:
        application = web.Application(middlewares=[self.door.middleware])
        self.door.add_routes(application.router)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = URL(f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            # An idle connection may be closed by now: each request has its own.
            async with ClientSession(
                connector=TCPConnector(limit=8), timeout=ClientTimeout(total=30)
            ) as self._session:
                yield self
        finally:
            await runner.cleanup()


@asynccontextmanager
async def pages_there(folder: Path, proxies: str = "") -> AsyncIterator[Pages]:
    """Pages over an empty directory, and a unit `u` with nobody in it."""
    async with account_unit(folder / "u", "u", an_issuer()) as unit:
        store = NetworkStore()
        async with Pages(unit, store, proxies).serving() as pages:
            yield pages
