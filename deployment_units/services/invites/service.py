"""InviteService: the gRPC servicer of invitations in one unit.

What is asked for is kept before the directory is asked, and seen through at once; what dies on the
way is due again, and goes on (see `carrier`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from grpc import aio

from control_plane import faultpoints
from control_plane.errors import NotFound, PermissionDenied, Refused
from control_plane.identity.introductions import Introduction
from control_plane.identity.names import check_slug
from deployment_units.services.accounts.accounts import AccountLeaving, Accounts
from deployment_units.services.accounts.callers import Callers, introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.bring_budget import BringBudget
from deployment_units.services.conversations.press import NewPress
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.invites import kept
from deployment_units.services.invites.groups import Groups
from deployment_units.services.invites.invite import (
    MAKE_AGAIN_MS,
    RECEIVED,
    SENT,
    InviteRow,
    InviteState,
    invitation_of,
)
from deployment_units.services.invites.looking import InviteLooks
from deployment_units.services.invites.messages import invite_to_proto, token_of
from deployment_units.services.invites.notices import DomainNoticeMessages
from deployment_units.services.invites.requests import (
    identifier,
    invitation_id,
    lasts_ms,
    optional_identifier,
    page_of,
    request_id,
)
from deployment_units.services.invites.steps import NOT_OPEN, InviteSteps
from deployment_units.services.invites.wording import ACCEPT, DECLINE
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import invite_pb2 as pb
from homeport.api.communication.v1 import invite_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.InviteService"
_Context = aio.ServicerContext[Any, Any]
_DONE_AS = {
    InviteState.ACCEPTING: InviteState.ACCEPTED,
    InviteState.DECLINING: InviteState.DECLINED,
    InviteState.WITHDRAWING: InviteState.WITHDRAWN,
}


class NotOpen(Refused):
    """Something has come of it already."""

    reason = NOT_OPEN


class InviteService(pb_grpc.InviteServiceServicer):
    """Servicer of one unit, and a PressTaker. agenda: of the carrier; brings: of other units, None:
    as much as they like. wall_ms: Unix ms."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        callers: Callers,
        agenda: Agenda,
        steps: InviteSteps,
        looks: InviteLooks,
        groups: Groups,
        notices: DomainNoticeMessages,
        *,
        brings: BringBudget | None,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._callers = callers
        self._agenda = agenda
        self._steps = steps
        self._looks = looks
        self._groups = groups
        self._notices = notices
        self._brings = brings
        self._wall_ms = wall_ms

    async def CreateInvite(self, request: pb.CreateInviteRequest, context: _Context) -> pb.Invite:
        resident = self._changing(context)
        now_ms = self._wall_ms()
        fresh = InviteRow(
            side=SENT,
            id=invitation_of(resident.account, request_id(request.request_id)),
            uri=identifier(request.identifier),
            organisation=check_slug(request.organisation, "organisation"),
            group_id=check_slug(request.group, "group"),
            other="", state=InviteState.MAKING.value, due_ms=now_ms + MAKE_AGAIN_MS, tries=0,
            why="", words="", made_ms=now_ms, expires_ms=now_ms + lasts_ms(request),
            message=b"", said=0, press=b"", letter=0,
        )  # fmt: skip

        def add(db: sqlite3.Connection, owner: int) -> InviteRow:
            row = kept.add(db, owner, fresh, now_ms=now_ms)
            self._hint(owner, row)
            return row

        row = await self._accounts.change(resident, add)
        faultpoints.passing("invite.kept.after")
        return await self._seen_through(resident, row)

    async def WithdrawInvite(
        self, request: pb.WithdrawInviteRequest, context: _Context
    ) -> pb.Invite:
        resident = self._changing(context)
        name = invitation_id(request.invitation)
        return await self._wanted(resident, SENT, name, InviteState.WITHDRAWING)

    async def AcceptInvite(self, request: pb.AcceptInviteRequest, context: _Context) -> pb.Invite:
        return await self._answered(request, context, InviteState.ACCEPTING)

    async def DeclineInvite(self, request: pb.DeclineInviteRequest, context: _Context) -> pb.Invite:
        return await self._answered(request, context, InviteState.DECLINING)

    async def ListInvites(
        self, request: pb.ListInvitesRequest, context: _Context
    ) -> pb.ListInvitesResponse:
        resident = self._resident(context)
        size, before = page_of(request)
        found, more = self._accounts.read(resident, partial(kept.listed, before=before, most=size))
        now_ms = self._wall_ms()
        return pb.ListInvitesResponse(
            invites=[invite_to_proto(row, now_ms) for row in found],
            next_page_token=token_of(found[-1]) if more else "",
        )

    async def GetGroupConversation(
        self, request: pb.GetGroupConversationRequest, context: _Context
    ) -> pb.GetGroupConversationResponse:
        resident = self._changing(context)  # it costs as much: the directory is asked each time
        organisation = check_slug(request.organisation, "organisation")
        group = check_slug(request.group, "group")
        talk = await self._groups.talk(resident, organisation, group)
        return pb.GetGroupConversationResponse(conversation=talk.conversation, members=talk.members)

    async def DeliverInvite(
        self, request: pb.DeliverInviteRequest, context: _Context
    ) -> pb.DeliverInviteResponse:
        caller = self._callers.caller(context.invocation_metadata() or ())
        if not isinstance(caller, Introduction):
            raise PermissionDenied("show an introduction that names who invites, or answers")
        await self.look(caller, request)
        return pb.DeliverInviteResponse()

    async def DeliverDomainNotice(
        self, request: pb.DeliverDomainNoticeRequest, context: _Context
    ) -> pb.DeliverDomainNoticeResponse:
        caller = self._callers.caller(context.invocation_metadata() or ())
        # The control plane's own names neither unit nor viewer.
        if not isinstance(caller, Introduction) or caller.viewer or caller.from_unit:
            raise PermissionDenied("the control plane alone tells of domains")
        await self._notices.keep(introduced(caller), request)
        return pb.DeliverDomainNoticeResponse()

    async def look(self, bringer: Introduction, request: pb.DeliverInviteRequest) -> None:
        """DeliverInvite, for whoever shows the introduction. Raises as the contract says."""
        if not bringer.viewer:
            raise PermissionDenied("show an introduction that names who invites, or answers")
        name = invitation_id(request.invitation)
        address = optional_identifier(request.identifier)
        if self._brings is not None:
            self._brings.take(bringer)
        resident = introduced(bringer)
        if address:
            await self._looks.at_brought(resident, name, address, bringer.viewer)
        else:
            await self._looks.at_own(resident, name, bringer.viewer)

    def takes(self, db: sqlite3.Connection, owner: int, message: bytes, author: str) -> bool:
        """See PressTaker."""
        row = kept.of_message(db, owner, message)
        return row is not None and row.other == author

    def pressed(self, db: sqlite3.Connection, owner: int, message: bytes, press: NewPress) -> None:
        """See PressTaker. One that is not open any more says so by its next revision."""
        row = kept.of_message(db, owner, message)
        wanted = {ACCEPT: InviteState.ACCEPTING, DECLINE: InviteState.DECLINING}.get(press.action)
        if row is None or wanted is None or row.state != InviteState.OPEN:
            return
        changed = msgspec.structs.replace(
            row, state=wanted.value, due_ms=self._wall_ms(), tries=0, press=press.id
        )
        kept.put(db, owner, changed)
        self._hint(owner, changed)

    async def _answered(
        self,
        request: pb.AcceptInviteRequest | pb.DeclineInviteRequest,
        context: _Context,
        wanted: InviteState,
    ) -> pb.Invite:
        resident = self._changing(context)
        name = invitation_id(request.invitation)
        address = optional_identifier(request.identifier)
        there = self._accounts.read(
            resident, lambda db, owner: kept.find(db, owner, RECEIVED, name)
        )
        if there is None:
            if not address:
                raise NotFound(
                    "no such invitation was brought to this account; name the address that it "
                    "went to"
                )
            await self._looks.at_known(resident, name, address)
        return await self._wanted(resident, RECEIVED, name, wanted)

    async def _wanted(
        self, resident: Resident, side: str, name: str, wanted: InviteState
    ) -> pb.Invite:
        """Keeps it, and sees it through. Raises NotFound, NotOpen."""

        def keep(db: sqlite3.Connection, owner: int) -> InviteRow:
            row = kept.find(db, owner, side, name)
            if row is None:
                raise NotFound("the account has no such invitation")
            if row.state in (wanted, _DONE_AS[wanted]):
                return row
            if row.state != InviteState.OPEN:
                raise NotOpen(f"the invitation is {row.state}; look at your invitations")
            due_ms = self._wall_ms() + MAKE_AGAIN_MS
            row = msgspec.structs.replace(row, state=wanted.value, due_ms=due_ms, tries=0, words="")
            kept.put(db, owner, row)
            self._hint(owner, row)
            return row

        row = await self._accounts.change(resident, keep)
        faultpoints.passing("invite.kept.after")
        return await self._seen_through(resident, row)

    async def _seen_through(self, resident: Resident, row: InviteRow) -> pb.Invite:
        """What is asked for in a row, done now if it can be. Raises what refuses it."""
        owner = self._database.read(lambda db: owners.find(db, resident.tenant, resident.account))
        if owner is None:
            raise AccountLeaving
        if row.state == InviteState.MAKING or row.state in _DONE_AS:
            now = msgspec.structs.replace(row, due_ms=self._wall_ms())
            await self._steps.do(owner, now)
        after = self._database.read(lambda db: kept.find(db, owner.number, row.side, row.id))
        if after is None:
            raise AccountLeaving
        if after.due_ms is not None:
            self._agenda.add([(owner.number, after.due_ms)])
        return invite_to_proto(after, self._wall_ms())

    def _hint(self, owner: int, row: InviteRow) -> None:
        if row.due_ms is not None:
            self._agenda.hint(owner, row.due_ms)

    def _changing(self, context: _Context) -> Resident:
        return self._callers.changing(context.invocation_metadata() or ())

    def _resident(self, context: _Context) -> Resident:
        return self._callers.resident(context.invocation_metadata() or ())
