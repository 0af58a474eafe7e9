"""InvitationService: invitations to groups, where they go, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id
from control_plane.serving.server import Service
from homeport.api.directory.v1 import invitation_pb2 as pb
from homeport.api.directory.v1 import invitation_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.lookup_calls import read_identifier
from provisioner.api.organisation_callers import OrganisationCallers, slug_of
from provisioner.organisations.actors import Actor
from provisioner.organisations.group_members import PAGE, GroupMembers
from provisioner.organisations.invitation_outcomes import RoutedInvitation
from provisioner.organisations.invitations import Invitations
from provisioner.organisations.records import Invitation
from provisioner.organisations.routing import Choose, NewAccount, NotRouted, Route, ToAccount

NAME = "homeport.api.directory.v1.InvitationService"
INVITE_S, LEAST_INVITE_S, MOST_INVITE_S = 7 * 86_400.0, 60.0, 30 * 86_400.0
LEAST_ID = 16


class InvitationService(pb_grpc.InvitationServiceServicer):
    """Servicer of homeport.api.directory.v1."""

    def __init__(
        self, invitations: Invitations, members: GroupMembers, callers: OrganisationCallers
    ) -> None:
        self._invitations = invitations
        self._members = members
        self._callers = callers

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_InvitationServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def RouteInvitation(
        self, request: pb.RouteInvitationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Route:
        routed = await self._invitations.route(
            self._callers.tenant(request),
            slug_of(request, "organisation"),
            slug_of(request, "group"),
            read_identifier(request.identifier),
            Actor(),
        )
        return _route_to_proto(routed, Actor())

    async def CreateInvitation(
        self, request: pb.CreateInvitationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.CreateInvitationResponse:
        tenant, actor = self._callers.tenant(request), self._callers.actor(request, context)
        lasts_s = mapping.given_seconds(request, "ttl")
        lasts_s = INVITE_S if lasts_s is None else lasts_s
        if not LEAST_INVITE_S <= lasts_s <= MOST_INVITE_S:
            raise InvalidInput("ttl", f"ttl is {lasts_s:g} s; it must be 60 s to 30 days")
        made = await self._invitations.create(
            tenant,
            _invitation_id(request),
            slug_of(request, "organisation"),
            slug_of(request, "group"),
            read_identifier(request.identifier),
            actor,
            lasts_s=lasts_s,
        )
        return pb.CreateInvitationResponse(
            invitation=_to_proto(made.id, made.invitation),
            route=_route_to_proto(made, actor) if actor.is_operator else None,
        )

    async def AcceptInvitation(
        self, request: pb.AcceptInvitationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Invitation:
        tenant, name = self._callers.tenant(request), _invitation_id(request)
        actor = self._callers.actor_with_account(request, context)
        address = read_identifier(request.identifier)
        return _to_proto(name, await self._invitations.accept(tenant, name, address, actor))

    async def DeclineInvitation(
        self, request: pb.DeclineInvitationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Invitation:
        tenant, name = self._callers.tenant(request), _invitation_id(request)
        actor = self._callers.actor_with_account(request, context)
        address = read_identifier(request.identifier)
        return _to_proto(name, await self._invitations.decline(tenant, name, address, actor))

    async def WithdrawInvitation(
        self, request: pb.WithdrawInvitationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Invitation:
        tenant, name = self._callers.tenant(request), _invitation_id(request)
        actor = self._callers.actor(request, context)
        return _to_proto(name, await self._invitations.withdraw(tenant, name, actor))

    async def GetInvitation(
        self, request: pb.GetInvitationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.GetInvitationResponse:
        tenant, name = self._callers.tenant(request), _invitation_id(request)
        actor = self._callers.actor(request, context)
        if not request.HasField("identifier"):
            found = await self._invitations.get(tenant, name, actor)
            return pb.GetInvitationResponse(invitation=_to_proto(name, found))
        address = read_identifier(request.identifier)
        seen = await self._invitations.seen(tenant, name, address, actor)
        return pb.GetInvitationResponse(
            invitation=_to_proto(name, seen.invitation), route=_route_to_proto(seen, actor)
        )

    async def FindInvited(
        self, request: pb.FindInvitedRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.FindInvitedResponse:
        tenant, name = self._callers.tenant(request), _invitation_id(request)
        actor = self._callers.actor_with_account(request, context)
        address = read_identifier(request.identifier)
        found = await self._invitations.invited(tenant, name, address, actor)
        outcome, accounts = _outcome(found)
        return pb.FindInvitedResponse(outcome=outcome, accounts=accounts)

    async def ListGroupMembers(
        self, request: pb.ListGroupMembersRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListGroupMembersResponse:
        tenant, size = self._callers.tenant(request), request.page_size or PAGE
        if not 1 <= size <= PAGE:
            raise InvalidInput("page_size", f"page_size is {size}; it must be 1 to {PAGE}")
        after = request.page_token
        page = await self._members.page(
            tenant,
            slug_of(request, "organisation"),
            slug_of(request, "group"),
            self._callers.actor(request, context),
            after=check_client_id(after, "page_token") if after else "",
            limit=size,
        )
        return pb.ListGroupMembersResponse(accounts=page.accounts, next_page_token=page.after)


def _invitation_id(request: Any) -> str:
    name = slug_of(request, "invitation")
    if len(name) < LEAST_ID:
        raise InvalidInput(
            "invitation",
            f"invitation is an id of {LEAST_ID} to 63 of a-z 0-9 '-' '.', drawn at random",
        )
    return name


def _to_proto(name: str, found: Invitation) -> pb.Invitation:
    return pb.Invitation(
        invitation=name,
        state=pb.InvitationState.Value(f"INVITATION_STATE_{found.state.value.upper()}"),
        inviter=found.inviter,
        organisation=found.organisation,
        group=found.group,
        account=found.account,
        expire_time=mapping.timestamp(found.expires_ms / 1_000),
        end_time=mapping.timestamp(found.ended_ms / 1_000) if found.ended_ms else None,
        judged_by={key: revision for key, revision in found.judged_by.items() if _is_told(key)},
    )


def _is_told(name: str) -> bool:
    """Whether a revision is told to who is no operator: others' accounts are not."""
    return not name.startswith("account ")


def _route_to_proto(routed: RoutedInvitation, actor: Actor) -> pb.Route:
    found = pb.Route()
    found.outcome, accounts = _outcome(routed.route)
    if isinstance(routed.route, NewAccount):
        found.organisation = routed.route.organisation
    found.accounts.extend(one for one in accounts if actor.is_operator or one == actor.account)
    for one in routed.route.why:
        found.why.add(rule=one.rule, clause=one.clause, value=one.value)
    if actor.is_operator:
        found.judged_by.update(routed.judged_by)
    return found


def _outcome(route: Route) -> tuple[pb.RouteOutcome.ValueType, Sequence[str]]:
    """With the accounts that it goes to."""
    match route:
        case ToAccount(account=account):
            return pb.ROUTE_OUTCOME_ACCOUNT, (account,)
        case Choose(accounts=accounts):
            return pb.ROUTE_OUTCOME_CHOOSE, accounts
        case NewAccount():
            return pb.ROUTE_OUTCOME_NEW_ACCOUNT, ()
        case NotRouted():
            return pb.ROUTE_OUTCOME_REFUSED, ()
