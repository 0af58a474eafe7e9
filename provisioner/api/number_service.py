"""NumberService: telephone numbers of tenants, and whose call one is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from grpc import aio

from control_plane.errors import Exhausted, InvalidInput, NotFound
from control_plane.identifiers.identifier import Flaw, Identifier
from control_plane.identifiers.phones import read_phone
from control_plane.identity.names import check_client_id, check_slug
from control_plane.printable import quoted
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from control_plane.serving.server import Service
from homeport.api.directory.v1 import number_pb2 as pb
from homeport.api.directory.v1 import number_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.lookup_calls import residence_to_proto
from provisioner.api.organisation_callers import OrganisationCallers, slug_of
from provisioner.numbers.call_homes import CallHomes
from provisioner.numbers.pools import MOST_AT_ONCE, PAGE, HeldNumber, NumberPools
from provisioner.numbers.records import NumberKind

NAME = "homeport.api.directory.v1.NumberService"
MOST_ASKED = 16
FOUND = Rate(per_s=200.0, burst=4_000.0)  # calls whose home a unit asks for
MISSED = 20.0  # times what one costs that finds somebody: telephones are not to be walked through
_KINDS = {
    pb.NUMBER_KIND_VIRTUAL: NumberKind.VIRTUAL,
    pb.NUMBER_KIND_TECHNICAL: NumberKind.TECHNICAL,
}
_Context = aio.ServicerContext[Any, Any]


class NumberService(pb_grpc.NumberServiceServicer):
    """Servicer of homeport.api.directory.v1. clock: monotonic seconds; rate: of FindCallHome, of
    one unit."""

    def __init__(
        self,
        pools: NumberPools,
        homes: CallHomes,
        callers: OrganisationCallers,
        *,
        clock: Callable[[], float],
        rate: Rate = FOUND,
    ) -> None:
        self._pools = pools
        self._homes = homes
        self._callers = callers
        self._clock = clock
        self._units = TokenBuckets(rate)

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_NumberServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def AddNumbers(
        self, request: pb.AddNumbersRequest, context: _Context
    ) -> pb.AddNumbersResponse:
        tenant, pool = self._callers.tenant(request), slug_of(request, "pool")
        kind = _KINDS.get(request.kind)
        if kind is None:
            raise InvalidInput("kind", "kind is NUMBER_KIND_VIRTUAL or NUMBER_KIND_TECHNICAL")
        numbers = _numbers(request.numbers, "numbers", MOST_AT_ONCE)
        if not numbers:
            raise InvalidInput("numbers", f"numbers is empty; name 1 to {MOST_AT_ONCE}")
        return pb.AddNumbersResponse(added=await self._pools.add(tenant, pool, kind, numbers))

    async def AssignNumber(self, request: pb.AssignNumberRequest, context: _Context) -> pb.Number:
        tenant, pool = self._callers.tenant(request), slug_of(request, "pool")
        account = check_client_id(request.account, "account")
        number = _number(request.number, "number").normal if request.number else ""
        return self._to_proto(await self._pools.assign(tenant, account, pool, number))

    async def ReleaseNumber(
        self, request: pb.ReleaseNumberRequest, context: _Context
    ) -> pb.ReleaseNumberResponse:
        tenant, number = self._callers.tenant(request), _number(request.number, "number").normal
        released = await self._pools.release(tenant, number, remove=request.remove)
        return pb.ReleaseNumberResponse(released=released)

    async def ListNumbers(
        self, request: pb.ListNumbersRequest, context: _Context
    ) -> pb.ListNumbersResponse:
        tenant, size = self._callers.tenant(request), request.page_size or PAGE
        if not 0 < size <= PAGE:
            raise InvalidInput("page_size", f"page_size is {size}; it must be 1 to {PAGE}")
        after = _number(request.page_token, "page_token").normal if request.page_token else ""
        page = await self._pools.page(tenant, after, size)
        return pb.ListNumbersResponse(
            numbers=map(self._to_proto, page),
            next_page_token=page[-1].number if len(page) == size else "",
        )

    async def GetAccountNumbers(
        self, request: pb.GetAccountNumbersRequest, context: _Context
    ) -> pb.AccountNumbers:
        tenant = self._callers.tenant(request)
        actor = self._callers.actor_with_account(request, context)
        asked = _numbers(request.asked, "asked", MOST_ASKED)
        found = await self._homes.numbers(tenant, actor.account, actor.unit, asked)
        return pb.AccountNumbers(
            virtual=found.virtual,
            technical=found.technical,
            countries=found.countries,
            ours=found.ours,
        )

    async def FindCallHome(self, request: pb.FindCallHomeRequest, context: _Context) -> pb.CallHome:
        unit = check_slug(request.home.unit_id, "home.unit_id")
        tenant = self._callers.tenant(request) if request.tenant else ""
        caller = _number(request.caller, "caller") if request.caller else None
        dialled = _number(request.dialled, "dialled").normal
        # As for one that finds nobody, so that guesses at once are counted like others.
        wait_s = self._units.take(unit, self._clock(), MISSED)
        if wait_s:
            raise Exhausted("this unit asks for too many calls; wait", retry_after_s=wait_s)
        cost = 1.0
        try:
            found = await self._homes.find(tenant, caller, dialled, unit)
        except NotFound:
            cost = MISSED
            raise
        finally:
            self._units.give_back(unit, MISSED - cost)
        return pb.CallHome(tenant=found.tenant, residence=residence_to_proto(found.residence))

    def _to_proto(self, held: HeldNumber) -> pb.Number:
        one = held.record
        state = pb.NUMBER_STATE_FREE
        if one.kind is NumberKind.TECHNICAL:
            state = pb.NUMBER_STATE_TECHNICAL
        elif one.account:
            state = pb.NUMBER_STATE_ASSIGNED
        elif one.free_ms > self._pools.now_ms():
            state = pb.NUMBER_STATE_RESTING
        resting = state == pb.NUMBER_STATE_RESTING
        return pb.Number(
            number=held.number,
            pool=one.pool,
            kind=pb.NumberKind.Value(f"NUMBER_KIND_{one.kind.value.upper()}"),
            state=state,
            account=one.account,
            since=mapping.timestamp(one.since_ms / 1_000),
            free_time=mapping.timestamp(one.free_ms / 1_000) if resting else None,
        )


def _numbers(texts: Iterable[str], field: str, most: int) -> list[str]:
    """Each once. Raises InvalidInput."""
    given = list(texts)
    if len(given) > most:
        raise InvalidInput(field, f"{field} names {len(given)} numbers; at most {most}")
    return list(dict.fromkeys(_number(one, field).normal for one in given))


def _number(text: str, field: str) -> Identifier:
    """Raises InvalidInput for what is not E.164."""
    read = read_phone(text)
    if isinstance(read, Flaw):
        raise InvalidInput(field, f"{field}: {read}")
    if read.normal != text:
        raise InvalidInput(field, f"{field} is {quoted(text)}; write it in E.164, {read.normal}")
    return read
