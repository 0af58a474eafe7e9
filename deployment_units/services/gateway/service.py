"""DeliveryService: the gRPC servicer of what became of messages, in one unit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from grpc import aio

from control_plane.errors import Exhausted, InvalidInput, NotFound, PermissionDenied
from control_plane.identity.introductions import Introduction
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers, introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.contacts import book
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.members import is_uri, read_member
from deployment_units.services.conversations.messages import handling_of
from deployment_units.services.conversations.requests import id_of, page_size_of
from deployment_units.services.gateway import account_rules, kept
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.delivery_messages import (
    delivery_to_proto,
    kept_at_once,
    plan_to_proto,
    receipts_of,
)
from deployment_units.services.gateway.message import SenderTraits
from deployment_units.services.gateway.receipts import take_receipts
from deployment_units.services.gateway.recipients import Recipients, routed_message
from deployment_units.services.gateway.records import NOTHING, decoded_record, encoded_record
from deployment_units.services.gateway.route import RoutePlan
from deployment_units.services.gateway.states import DeliveryState, driven_anew
from deployment_units.services.gateway.told import known_of
from homeport.api.communication.v1 import delivery_pb2 as pb
from homeport.api.communication.v1 import delivery_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.DeliveryService"
DEFAULT_PAGE, MOST_PAGE = 100, 1_000
COMPILED = Rate(per_s=1.0, burst=100.0)  # documents of rules, of one account
FOR_ONE = 4_096  # characters of one that cost as much as one does
MOST_ACCOUNTS = 50_000  # that are remembered
_NEWEST = 2**63 - 1
_NOWHERE = frozenset(
    {DeliveryState.KEPT, DeliveryState.ROUTED, DeliveryState.UNDELIVERABLE, DeliveryState.EXPIRED}
)
_Context = aio.ServicerContext[Any, Any]


class TooManyRules(Exhausted):
    """The account has had more rules compiled than it may."""

    reason = "TOO_MANY_RULES"


class DeliveryService(pb_grpc.DeliveryServiceServicer):
    """Servicer of one unit. wall_ms: Unix ms; clock: monotonic seconds; rate: see COMPILED."""

    def __init__(
        self,
        accounts: Accounts,
        callers: Callers,
        agenda: Agenda,
        recipients: Recipients,
        *,
        wall_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        rate: Rate = COMPILED,
    ) -> None:
        self._accounts = accounts
        self._callers = callers
        self._agenda = agenda
        self._recipients = recipients
        self._wall_ms = wall_ms
        self._clock = clock
        self._compiled = TokenBuckets(rate, most_keys=MOST_ACCOUNTS)

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, context: _Context
    ) -> pb.ListDeliveriesResponse:
        resident = self._callers.resident(context.invocation_metadata() or ())
        size = page_size_of(request.page_size, usual=DEFAULT_PAGE, most=MOST_PAGE)
        if request.message:
            wanted = id_of(request.message, "message")
            found = self._accounts.read(
                resident, lambda db, owner: _of(db, owner, resident.account, wanted)
            )
            if request.open:
                found = [one for one in found if one.HasField("next_time")]
            return pb.ListDeliveriesResponse(deliveries=found)

        def page(db: sqlite3.Connection, owner: int) -> tuple[list[pb.Delivery], bool]:
            rows, more = kept.listed(
                db,
                owner,
                before=min(request.before or _NEWEST, _NEWEST),
                most=size,
                waiting_only=request.open,
            )
            ids = conversations.ids_at(db, owner, {row.position for row in rows})
            return [
                delivery_to_proto(*ids[row.position], row) for row in rows if row.position in ids
            ], more

        found, more = self._accounts.read(resident, page)
        return pb.ListDeliveriesResponse(deliveries=found, more=more)

    async def Redrive(self, request: pb.RedriveRequest, context: _Context) -> pb.RedriveResponse:
        resident = self._callers.changing(context.invocation_metadata() or ())
        wanted = id_of(request.message, "message")
        recipient = read_member(request.recipient, "recipient")

        def redrive(db: sqlite3.Connection, owner: int) -> bool:
            message = conversations.find(db, owner, wanted, bringer=resident.account)
            row = message and kept.find(db, owner, message.position, recipient)
            if row is None:
                raise NotFound("the account has no such message for that recipient")
            # What its unit has told something of is there, whatever became of it then.
            if row.told or known_of(row.record, row.told).state not in _NOWHERE:
                return False
            now_ms = self._wall_ms()
            changed = msgspec.structs.replace(row, due_ms=now_ms, tries=0)
            if row.due_ms is None:  # it had ended: anew
                anew = driven_anew(decoded_record(row.record)) if is_uri(recipient) else NOTHING
                changed = msgspec.structs.replace(
                    changed, plan="", record=encoded_record(anew), words=""
                )
            kept.put(db, owner, changed)
            if not is_uri(recipient):  # what was sent before it goes before it
                kept.release_line(db, owner, recipient, now_ms)
            self._agenda.hint(owner, now_ms)
            return True

        return pb.RedriveResponse(redriven=await self._accounts.change(resident, redrive))

    async def GetRules(self, request: pb.GetRulesRequest, context: _Context) -> pb.GetRulesResponse:
        resident = self._callers.resident(context.invocation_metadata() or ())
        found = self._accounts.read(resident, account_rules.find)
        return pb.GetRulesResponse(revision=found.revision, document=found.document)

    async def ApplyRules(
        self, request: pb.ApplyRulesRequest, context: _Context
    ) -> pb.ApplyRulesResponse:
        resident = self._callers.changing(context.invocation_metadata() or ())
        await self._prepare(resident, request.document)
        kept_now = await self._accounts.change(
            resident,
            lambda db, owner: account_rules.apply(
                db, owner, request.document, revision=request.revision
            ),
        )
        return pb.ApplyRulesResponse(revision=kept_now.revision)

    async def ExplainRoute(
        self, request: pb.ExplainRouteRequest, context: _Context
    ) -> pb.ExplainRouteResponse:
        resident = self._callers.resident(context.invocation_metadata() or ())
        sender = read_member(request.sender, "sender")
        handling = handling_of(request.handling)
        now_ms = self._wall_ms()
        with suppress(InvalidInput):  # of another version: the built-in rules decide
            rules = self._accounts.read(resident, account_rules.find)
            await self._prepare(resident, rules.document)

        def plan(db: sqlite3.Connection, owner: int) -> RoutePlan:
            traits = SenderTraits(identifier=sender, contact=book.knows(db, owner, sender))
            routed = routed_message(handling, request.size_bytes, traits)
            return self._recipients.plan_for(
                db, owner, resident.tenant, resident.account, routed, sender, now_ms
            )

        return plan_to_proto(self._accounts.read(resident, plan))

    async def _prepare(self, resident: Resident, document: str) -> None:
        """Compiles rules where they are not known. Raises InvalidInput, TooManyRules."""
        if self._recipients.is_ready(document):
            return
        cost = 1.0 + len(document) / FOR_ONE
        if wait_s := self._compiled.take((resident.tenant, resident.account), self._clock(), cost):
            raise TooManyRules(
                "this account has applied too many rules; wait", retry_after_s=wait_s
            )
        await self._recipients.prepare(document)

    async def Receipt(self, request: pb.ReceiptRequest, context: _Context) -> pb.ReceiptResponse:
        caller = self._callers.caller(context.invocation_metadata() or ())
        if not isinstance(caller, Introduction):
            raise PermissionDenied("show an introduction that names who had the messages")
        await self.hear(caller, request)
        return pb.ReceiptResponse()

    async def hear(self, teller: Introduction, request: pb.ReceiptRequest) -> None:
        """Receipt, for whoever shows the introduction. Raises as the contract says."""
        if not teller.viewer:
            raise PermissionDenied("show an introduction that names who had the messages")
        told = receipts_of(request)
        await self._accounts.change(
            introduced(teller),
            lambda db, owner: take_receipts(db, owner, teller.account, teller.viewer, told),
        )


def _of(db: sqlite3.Connection, owner: int, account: str, wanted: bytes) -> list[pb.Delivery]:
    """Deliveries of one message of the account's, to each member. Raises NotFound."""
    message = conversations.find(db, owner, wanted, bringer=account)
    if message is None:
        raise NotFound("the account has sent no such message")
    rows = {row.recipient: row for row in kept.of_message(db, owner, message.position)}
    members = conversations.members_of(db, owner, message.conversation) or ()
    return [
        delivery_to_proto(message.id, message.conversation, rows[one])
        if one in rows
        else kept_at_once(message, one)
        for one in members
        if one != message.sender
    ]
