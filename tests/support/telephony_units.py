"""Units with telephony that share one directory with numbers.

Their peers are each other's servicers, called with what a unit would send.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from control_plane.backoff import Backoff
from control_plane.errors import Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.profiles.names import NameState
from deployment_units.services.state.port import read_state, replace_state
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.call_messages import KINDS, end_number, refusal_of
from deployment_units.services.telephony.call_peers import CallReport, CallUnit
from deployment_units.services.telephony.call_reports import CallReports
from deployment_units.services.telephony.directory_call_homes import DirectoryCallHomes
from deployment_units.services.telephony.grpc_call_peers import STAGES
from deployment_units.services.telephony.port import (
    CallKind,
    CallRoute,
    IncomingCall,
    Leg,
    Refused,
    RefusedCause,
)
from deployment_units.services.telephony.records import CallLimits
from deployment_units.services.telephony.routing import CallAsked, Routed
from deployment_units.services.telephony.service import TelephonyService
from deployment_units.services.telephony.unit_calls import UnitCalls
from deployment_units.services.telephony.unit_numbers import UnitNumbers
from homeport.api.communication.v1 import telephony_pb2 as pb
from tests.support.account_units import NOW, TENANT, AccountUnit, an_issuer
from tests.support.fakes.call_context import FakeContext
from tests.support.fakes.unit_directory import DirectoryThere
from tests.support.number_servers import POOL, number

P1, P2, P3 = number(301), number(302), number(303)
V, V2 = number(1), number(2)
T, T2, T3 = number(101), number(102), number(103)


class PeerCalls:
    """CallPeers among these units. away: units that answer nobody."""

    def __init__(self) -> None:
        self.units: dict[str, CallsUnit] = {}
        self.away: set[str] = set()

    async def route(self, home: CallUnit, asked: CallAsked) -> Routed | RefusedCause:
        message = pb.RouteCallRequest(
            caller=asked.caller or "", dialled=asked.dialled, kind=KINDS[asked.kind]
        )
        found = await self._there(home).Route(message, FakeContext(home.introduction))
        if found.WhichOneof("outcome") == "refused":
            return refusal_of(found.refused)
        leg = found.leg
        return Routed(
            target=leg.target, shown=leg.shown or None, record=leg.record, limit_s=leg.limit.seconds
        )

    async def report(self, home: CallUnit, report: CallReport) -> None:
        message = pb.ReportCallRequest(record=report.record, stage=STAGES[report.stage])
        if report.cause is not None:
            message.end = end_number(report.cause)
        message.time.FromMilliseconds(report.at_ms)
        await self._there(home).Report(message, FakeContext(home.introduction))

    def _there(self, home: CallUnit) -> Any:
        unit_id = home.endpoint.partition(".")[0]
        if unit_id in self.away:
            raise Unavailable("nobody answers there")
        return self.units[unit_id].telephony


class TelephonyParts(NamedTuple):
    """Of one unit. service: takes contexts of tests, too."""

    numbers: UnitNumbers
    calls: AccountCalls
    service: Any


def telephony_of(unit: AccountUnit, limits: CallLimits | None = None) -> TelephonyParts:
    """Stands on what the unit keeps."""
    numbers = UnitNumbers(unit.database, unit.accounts, unit.directory, wall_ms=unit.wall_ms)
    calls = AccountCalls(
        unit.accounts, numbers, wall_ms=unit.wall_ms, limits=limits,
        random=random.Random(unit.unit_id).randbytes,
    )  # fmt: skip
    service = TelephonyService(
        unit.accounts, unit.callers, calls, numbers,
        wall_ms=unit.wall_ms, clock=lambda: unit.now,
    )  # fmt: skip
    return TelephonyParts(numbers, calls, service)


class CallsUnit(AccountUnit):
    """A unit with telephony."""

    def __init__(
        self,
        unit_id: str,
        folder: Path,
        there: DirectoryThere,
        issuer: Any,
        peers: PeerCalls,
        limits: CallLimits | None,
    ) -> None:
        super().__init__(unit_id, folder, issuer)
        self.directory.there = there
        peers.units[unit_id] = self
        parts = telephony_of(self, limits)
        self.numbers, self.calls, self.telephony = parts.numbers, parts.calls, parts.service
        self.call_homes = DirectoryCallHomes(
            unit_id, self.directory, self.callers.introduction, clock=lambda: self.now
        )
        self.reports = CallReports(
            self.calls, self.call_homes, peers, clock=lambda: self.now, jitter=lambda: 1.0,
            again=Backoff(first_s=1.0, most_s=8.0),
        )  # fmt: skip
        self.routing = UnitCalls(
            self.database, self.calls, self.numbers, self.call_homes, peers, self.reports
        )

    async def call(
        self, caller: str | None, dialled: str, kind: CallKind = CallKind.CALL, region: str = "GB"
    ) -> CallRoute:
        """Comes in here."""
        return await self.routing.route(
            IncomingCall(caller=caller, dialled=dialled, kind=kind, trunk="trunk", region=region)
        )

    async def link(self, account: str, contact: str, epoch: int = 1) -> pb.ContactLink:
        made: pb.ContactLink = await self.telephony.LinkContact(
            pb.LinkContactRequest(contact=contact), self.by_ticket(account, epoch)
        )
        return made

    async def links(self, account: str, epoch: int = 1) -> pb.ListLinksResponse:
        context = self.by_ticket(account, epoch)
        found: pb.ListLinksResponse = await self.telephony.ListLinks(pb.ListLinksRequest(), context)
        return found

    async def listed(self, account: str, epoch: int = 1) -> list[pb.Call]:
        found = await self.telephony.ListCalls(
            pb.ListCallsRequest(), self.by_ticket(account, epoch)
        )
        return list(found.calls)


class CallUnits:
    """london and stockholm. Anna lives in london, has proved P1 and is shown as V."""

    def __init__(self, london: CallsUnit, stockholm: CallsUnit, peers: PeerCalls) -> None:
        self.london = london
        self.stockholm = stockholm
        self.peers = peers
        self.there = london.directory.there

    def later(self, seconds: float) -> None:
        """Time passes, everywhere."""
        for clock in (self.london, self.stockholm, self.there.clock):
            clock.now += seconds

    async def settle(
        self, account: str, phone: str, virtual: str, *, unit: CallsUnit | None = None
    ) -> None:
        """Gives an account its home, a proved telephone and a virtual number."""
        at = unit or self.london
        await self.there.move(TENANT, account, at.unit_id, 1)
        await self.there.numbers.proved(account, f"tel:{phone}")
        resident = Resident(tenant=TENANT, account=account, epoch=1)
        await at.accounts.change(
            resident,
            lambda db, owner: db.execute(
                "INSERT OR REPLACE INTO identifiers VALUES (?, ?, 'tel', ?, '', ?, ?, NULL, 0)",
                (owner, f"tel:{phone}", phone, at.wall_ms(), NameState.HELD.value),
            ),
        )
        await self.there.numbers.pools.assign(TENANT, account, POOL, virtual)

    async def move(self, account: str, source: CallsUnit, target: CallsUnit, epoch: int) -> None:
        """The account moves with its state, and is at home there at this epoch."""
        stream = await read_state(source.state, TENANT, account)
        await replace_state(target.state, TENANT, account, epoch, stream)
        await self.there.move(TENANT, account, target.unit_id, epoch)
        await source.state.forget(TENANT, account, epoch)


@asynccontextmanager
async def call_units(folder: Path, *, limits: CallLimits | None = None) -> AsyncIterator[CallUnits]:
    issuer = an_issuer(NOW)
    there, peers = DirectoryThere(issuer), PeerCalls()
    async with AsyncExitStack() as stack:
        made = []
        for unit_id in ("london", "stockholm"):
            unit = CallsUnit(unit_id, folder / unit_id, there, issuer, peers, limits)
            stack.push_async_callback(unit.database.close)
            made.append(unit)
        units = CallUnits(made[0], made[1], peers)
        await there.numbers.virtual(1, 2, 3)
        await there.numbers.technical(101, 102, 103)
        await units.settle("anna", P1, V)
        yield units


def leg(found: CallRoute) -> tuple[str, str | None]:
    """Who is rung, and shown."""
    assert isinstance(found, Leg), found
    return found.target, found.shown


def refused(found: CallRoute) -> RefusedCause:
    """Why nothing is passed on."""
    assert isinstance(found, Refused), found
    return found.cause
