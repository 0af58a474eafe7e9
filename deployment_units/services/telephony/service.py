"""TelephonyService: the gRPC servicer of calls, links and what is kept of calls in one unit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from grpc import aio

from control_plane.errors import Exhausted, InvalidInput, NotFound, PermissionDenied, Refused
from control_plane.identity.introductions import Introduction
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers, introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.telephony import kept, records
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.allocation import PoolEmpty, allocate
from deployment_units.services.telephony.call_messages import (
    call_to_proto,
    contact_of,
    end_of,
    kind_of,
    link_to_proto,
    number_of,
    page_of,
    record_of,
    refusal_number,
)
from deployment_units.services.telephony.dialling import EmergencyDialled, classify, refusal_of
from deployment_units.services.telephony.port import CallKind, RefusedCause
from deployment_units.services.telephony.port import Refused as NothingPassed
from deployment_units.services.telephony.routing import CallAsked
from deployment_units.services.telephony.trace import traced
from deployment_units.services.telephony.unit_numbers import UnitNumbers
from homeport.api.communication.v1 import telephony_pb2 as pb
from homeport.api.communication.v1 import telephony_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.TelephonyService"
BROUGHT = Rate(per_s=200.0, burst=2_000.0)  # calls and what became of them, of one unit
TO_ACCOUNT = Rate(per_s=10.0, burst=200.0)  # the same, of one unit to one account
LINKING = Rate(per_s=0.1, burst=200.0)  # links that an account makes: each asks the directory
_Context = aio.ServicerContext[Any, Any]


class NoTechnicalNumber(Exhausted):
    """All technical numbers stand for somebody towards the account."""

    reason = "POOL_EMPTY"


class NoVirtualNumber(Refused):
    """The account has no number to be shown by."""

    reason = "NO_VIRTUAL_NUMBER"


class OwnNumber(Refused):
    """An account is no contact of its own."""

    reason = "OWN_NUMBER"


class TelephonyService(pb_grpc.TelephonyServiceServicer):
    """Servicer of one unit. wall_ms: Unix ms; clock: monotonic seconds."""

    def __init__(
        self,
        accounts: Accounts,
        callers: Callers,
        calls: AccountCalls,
        numbers: UnitNumbers,
        *,
        wall_ms: Callable[[], int],
        clock: Callable[[], float],
        brought: Rate = BROUGHT,
        to_account: Rate = TO_ACCOUNT,
        linking: Rate = LINKING,
    ) -> None:
        self._accounts = accounts
        self._callers = callers
        self._calls = calls
        self._numbers = numbers
        self._wall_ms = wall_ms
        self._clock = clock
        self._units, self._to_accounts = TokenBuckets(brought), TokenBuckets(to_account)
        self._linking = TokenBuckets(linking)

    async def Route(self, request: pb.RouteCallRequest, context: _Context) -> pb.RouteCallResponse:
        resident = self._brought(context)
        asked = CallAsked(
            caller=number_of(request.caller, "caller") if request.caller else None,
            dialled=number_of(request.dialled, "dialled"),
            kind=kind_of(request.kind),
        )
        found = await self._calls.route(resident, asked)
        if isinstance(found, RefusedCause):
            return pb.RouteCallResponse(refused=refusal_number(found))
        return pb.RouteCallResponse(
            leg=pb.CallLeg(
                target=found.target,
                shown=found.shown or "",
                record=found.record,
                limit=Duration(seconds=found.limit_s),
            )
        )

    async def Report(
        self, request: pb.ReportCallRequest, context: _Context
    ) -> pb.ReportCallResponse:
        resident, record = self._brought(context), record_of(request.record)
        at_ms = request.time.ToMilliseconds()
        if request.stage == pb.CALL_STAGE_BEGAN:
            known = await self._calls.began(resident, record, at_ms)
        elif request.stage == pb.CALL_STAGE_ANSWERED:
            known = await self._calls.answered(resident, record, at_ms)
        elif request.stage == pb.CALL_STAGE_ENDED:
            known = await self._calls.ended(resident, record, at_ms, end_of(request.end))
        else:
            raise InvalidInput("stage", "stage is none of the contract's, or missing")
        if not known:
            raise NotFound("the account has no such record, or not any more")
        return pb.ReportCallResponse()

    async def LinkContact(
        self, request: pb.LinkContactRequest, context: _Context
    ) -> pb.ContactLink:
        resident = self._resident(context)
        contact = contact_of(request.contact, request.region)
        wait_s = self._linking.take((resident.tenant, resident.account), self._clock())
        if wait_s:
            raise Exhausted("too many contacts were linked; wait", retry_after_s=wait_s)
        ours = await self._numbers.ask(resident, [contact])
        numbers = self._numbers.of_tenant(resident.tenant)
        cause = refusal_of(contact, countries=numbers.countries, ours=ours)
        if cause is not None:
            raise InvalidInput("contact", _WHY[cause])
        now_ms = self._wall_ms()

        def link(db: sqlite3.Connection, owner: int) -> kept.LinkRow:
            own = kept.user(db, owner)
            if not own.virtual:
                raise NoVirtualNumber("the account has no virtual number; an operator assigns one")
            if contact in own.own:
                raise OwnNumber("this is the account's own number")
            table = kept.whole_table(db, owner, resident.account, now_ms=now_ms)
            found = allocate(resident.account, contact, table, numbers.technical)
            if isinstance(found, PoolEmpty):
                raise NoTechnicalNumber(
                    "no technical number is free for this account; take links back, or have an "
                    "operator add some"
                )
            if (resident.account, found) not in table.links:
                row = kept.LinkRow(
                    technical=found, contact=contact, made_by=kept.BY_ACCOUNT,
                    since_ms=now_ms, last_ms=None,
                )  # fmt: skip
                kept.add_link(db, owner, row, now_ms=now_ms)
            kept.adopt(db, owner, found)
            return kept.link_of(db, owner, found)

        return link_to_proto(await self._accounts.change(resident, link))

    async def UnlinkContact(
        self, request: pb.UnlinkContactRequest, context: _Context
    ) -> pb.UnlinkContactResponse:
        resident, number = self._changing(context), number_of(request.number, "number")
        now_ms = self._wall_ms()
        gone = await self._accounts.change(
            resident, lambda db, owner: kept.take_back(db, owner, number, now_ms=now_ms)
        )
        return pb.UnlinkContactResponse(unlinked=gone)

    async def ListLinks(
        self, request: pb.ListLinksRequest, context: _Context
    ) -> pb.ListLinksResponse:
        resident, size = self._resident(context), page_of(request.page_size)
        after = number_of(request.page_token, "page_token") if request.page_token else ""
        await self._numbers.refresh(resident)

        def read(db: sqlite3.Connection, owner: int) -> pb.ListLinksResponse:
            page, own = kept.links(db, owner, after, size), kept.user(db, owner)
            return pb.ListLinksResponse(
                links=map(link_to_proto, page),
                next_page_token=page[-1].technical if len(page) == size else "",
                virtual=own.virtual,
                own=own.own,
                strangers=_STRANGERS[kept.strangers(db, owner)],
            )

        return self._accounts.read(resident, read)

    async def ListCalls(
        self, request: pb.ListCallsRequest, context: _Context
    ) -> pb.ListCallsResponse:
        resident, size = self._resident(context), page_of(request.page_size)
        before = b""
        if request.page_token:
            try:
                before = record_of(bytes.fromhex(request.page_token[:64]))
            except ValueError:
                raise InvalidInput("page_token", "page_token is none of ListCalls") from None
        page = self._accounts.read(
            resident, lambda db, owner: records.page(db, owner, before, size)
        )
        return pb.ListCallsResponse(
            calls=map(call_to_proto, page),
            next_page_token=page[-1].id.hex() if len(page) == size else "",
        )

    async def TraceCall(
        self, request: pb.TraceCallRequest, context: _Context
    ) -> pb.TraceCallResponse:
        resident = self._resident(context)
        caller = number_of(request.caller, "caller") if request.caller else None
        dialled = classify(request.dialled, request.region)
        if isinstance(dialled, EmergencyDialled | NothingPassed):
            return traced(dialled)
        await self._numbers.refresh(resident)
        asked = CallAsked(caller=caller, dialled=dialled.e164, kind=CallKind.CALL)
        return traced(self._calls.trace(resident, asked))

    async def SetStrangers(
        self, request: pb.SetStrangersRequest, context: _Context
    ) -> pb.SetStrangersResponse:
        resident = self._changing(context)
        wanted = next(
            (name for name, number in _STRANGERS.items() if number == request.strangers), None
        )
        if wanted is None:
            raise InvalidInput("strangers", "strangers is STRANGERS_LINKED or STRANGERS_ANONYMOUS")
        await self._accounts.change(
            resident, lambda db, owner: kept.set_strangers(db, owner, wanted)
        )
        return pb.SetStrangersResponse()

    async def SetRinging(
        self, request: pb.SetRingingRequest, context: _Context
    ) -> pb.SetRingingResponse:
        resident = self._changing(context)
        number = number_of(request.number, "number") if request.number else ""
        await self._accounts.change(resident, lambda db, owner: kept.set_rings(db, owner, number))
        return pb.SetRingingResponse()

    def _changing(self, context: _Context) -> Resident:
        return self._callers.changing(context.invocation_metadata() or ())

    def _resident(self, context: _Context) -> Resident:
        return self._callers.resident(context.invocation_metadata() or ())

    def _brought(self, context: _Context) -> Resident:
        """Whose call another unit brings. Raises as Callers.caller, PermissionDenied, Exhausted."""
        caller = self._callers.caller(context.invocation_metadata() or ())
        if not isinstance(caller, Introduction) or caller.viewer or not caller.from_unit:
            raise PermissionDenied("show an introduction of a unit, for nobody in particular")
        now = self._clock()
        wait_s = self._units.take(caller.from_unit, now) or self._to_accounts.take(
            (caller.from_unit, caller.tenant, caller.account), now
        )
        if wait_s:
            raise Exhausted("this unit brings too many calls; wait", retry_after_s=wait_s)
        return introduced(caller)


_STRANGERS = {
    kept.LINKED: pb.STRANGERS_LINKED,
    kept.ANONYMOUS: pb.STRANGERS_ANONYMOUS,
}
_WHY = {
    RefusedCause.LOOP: "contact is a number of ours: calls to it would come back",
    RefusedCause.NOT_ORDINARY: "contact is no fixed, mobile or VoIP number in use",
    RefusedCause.COUNTRY: "contact is in a country to which no calls are made here",
}
