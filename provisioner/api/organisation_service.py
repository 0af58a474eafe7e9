"""OrganisationService: organisations, their members and groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id, check_slug, is_slug
from control_plane.serving.server import Service
from homeport.api.directory.v1 import organisation_pb2 as pb
from homeport.api.directory.v1 import organisation_pb2_grpc as pb_grpc
from provisioner.api.organisation_callers import OrganisationCallers, slug_of
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.organisations.actors import Actor
from provisioner.organisations.organisations import PAGE, HeldOrganisation, Organisations
from provisioner.organisations.policy import (
    MOST_LISTED,
    Joining,
    Openness,
    OrganisationPolicy,
)
from provisioner.organisations.records import MOST_OWNERS, Group, Membership, Organisation

NAME = "homeport.api.directory.v1.OrganisationService"
MOST_NAME = 128  # characters


class OrganisationService(pb_grpc.OrganisationServiceServicer):
    """Servicer of homeport.api.directory.v1. budgets: of organisations and groups that accounts
    make; now_ms(): Unix ms."""

    def __init__(
        self,
        organisations: Organisations,
        callers: OrganisationCallers,
        budgets: ClaimBudgets,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._organisations = organisations
        self._callers = callers
        self._budgets = budgets
        self._now_ms = now_ms

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_OrganisationServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ApplyOrganisation(
        self, request: pb.ApplyOrganisationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Organisation:
        tenant, actor = self._callers.tenant(request), self._callers.actor(request, context)
        name = check_slug(request.organisation.organisation, "organisation.organisation")
        wanted = _organisation(request.organisation)
        if request.organisation.revision:
            held = await self._organisations.apply(
                tenant, name, wanted, actor, revision=request.organisation.revision
            )
        else:
            self._take(tenant, actor)
            held = await self._organisations.create(
                tenant, name, wanted, actor, now_ms=self._now_ms()
            )
        return _to_proto(held)

    async def GetOrganisation(
        self, request: pb.GetOrganisationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Organisation:
        tenant, actor = self._callers.tenant(request), self._callers.actor(request, context)
        name = slug_of(request, "organisation")
        return _to_proto(await self._organisations.get(tenant, name, actor))

    async def ListOrganisations(
        self, request: pb.ListOrganisationsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListOrganisationsResponse:
        tenant, size = self._callers.tenant(request), request.page_size or PAGE
        if not 0 < size <= PAGE:
            raise InvalidInput("page_size", f"page_size is {size}; it must be 1 to {PAGE}")
        if request.page_token and not is_slug(request.page_token):
            raise InvalidInput("page_token", "page_token is none that a page before brought")
        page = await self._organisations.page(tenant, request.page_token, size)
        return pb.ListOrganisationsResponse(
            organisations=map(_to_proto, page),
            next_page_token=page[-1].id if len(page) == size else "",
        )

    async def SetMember(
        self, request: pb.SetMemberRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Member:
        tenant, actor = self._callers.tenant(request), self._callers.actor(request, context)
        account = check_client_id(request.member.account, "member.account")
        name = check_slug(request.member.organisation, "member.organisation")
        wanted = Membership(
            organisation=name,
            active=request.member.active,
            single_sign_on=request.member.single_sign_on,
            two_factors=request.member.two_factors,
        )
        found = await self._organisations.set_member(
            tenant, name, account, actor, wanted, now_ms=self._now_ms()
        )
        return _member_to_proto(account, found)

    async def RemoveMember(
        self, request: pb.RemoveMemberRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RemoveMemberResponse:
        tenant, actor = self._callers.tenant(request), self._callers.actor(request, context)
        removed = await self._organisations.remove_member(
            tenant, slug_of(request, "organisation"), check_client_id(request.member, "member"),
            actor,
        )  # fmt: skip
        return pb.RemoveMemberResponse(removed=removed)

    async def GetMember(
        self, request: pb.GetMemberRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Member:
        tenant = self._callers.tenant(request)
        actor = self._callers.actor_with_account(request, context)
        found = await self._organisations.membership(tenant, actor.account, actor)
        return _member_to_proto(actor.account, found)

    def _take(self, tenant: str, actor: Actor) -> None:
        """Raises TooManyClaims."""
        if not actor.is_operator:
            self._budgets.take(tenant, actor.account)

    async def ApplyGroup(
        self, request: pb.ApplyGroupRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Group:
        tenant, actor = self._callers.tenant(request), self._callers.actor(request, context)
        name = check_slug(request.group.organisation, "group.organisation")
        group = check_slug(request.group.group, "group.group")
        self._take(tenant, actor)
        revision = await self._organisations.apply_group(
            tenant, name, group, Group(guests=request.group.guests), actor
        )
        return pb.Group(
            organisation=name, group=group, guests=request.group.guests, revision=revision
        )


_JOINING = {
    pb.JOINING_UNSPECIFIED: Joining.BY_OWNER,
    pb.JOINING_OWNER: Joining.BY_OWNER,
    pb.JOINING_DOMAIN: Joining.BY_DOMAIN,
}
_OPENNESS = {
    pb.OPENNESS_UNSPECIFIED: Openness.ANYBODY,
    pb.OPENNESS_ANYBODY: Openness.ANYBODY,
    pb.OPENNESS_LISTED: Openness.LISTED,
    pb.OPENNESS_NOBODY: Openness.NOBODY,
}


def _organisation(message: pb.Organisation) -> Organisation:
    """Raises InvalidInput."""
    name = message.name.strip()
    if not name or len(name) > MOST_NAME or not name.isprintable():
        raise InvalidInput(
            "organisation.name",
            f"organisation.name has 1 to {MOST_NAME} characters that can be printed",
        )
    if len(message.owners) > MOST_OWNERS:
        raise InvalidInput(
            "organisation.owners",
            f"organisation.owners names {len(message.owners)} accounts; at most {MOST_OWNERS}",
        )
    owners = [check_client_id(one, "organisation.owners") for one in message.owners]
    policy = message.policy
    if policy.joining not in _JOINING:
        raise InvalidInput("organisation.policy.joining", "joining is none of the contract's")
    return Organisation(
        name=name,
        owners=tuple(dict.fromkeys(owners)),
        policy=OrganisationPolicy(
            joining=_JOINING[policy.joining],
            guests=_openness(policy.guests, "guests"),
            guests_of=_listed(policy.guests_of, "guests_of"),
            visits=_openness(policy.visits, "visits"),
            visits_to=_listed(policy.visits_to, "visits_to"),
            single_sign_on=policy.single_sign_on,
            two_factors=policy.two_factors,
        ),
    )


def _openness(number: pb.Openness.ValueType, field: str) -> Openness:
    found = _OPENNESS.get(number)
    if found is None:
        raise InvalidInput(f"organisation.policy.{field}", f"{field} is none of the contract's")
    return found


def _listed(names: Sequence[str], field: str) -> tuple[str, ...]:
    if len(names) > MOST_LISTED:
        raise InvalidInput(
            f"organisation.policy.{field}", f"{field} names {len(names)}; at most {MOST_LISTED}"
        )
    return tuple(dict.fromkeys(check_slug(one, f"organisation.policy.{field}") for one in names))


def _to_proto(held: HeldOrganisation) -> pb.Organisation:
    policy = held.organisation.policy
    return pb.Organisation(
        organisation=held.id,
        name=held.organisation.name,
        owners=held.organisation.owners,
        policy=pb.OrganisationPolicy(
            joining=pb.Joining.Value(f"JOINING_{policy.joining.value.upper()}"),
            guests=pb.Openness.Value(f"OPENNESS_{policy.guests.value.upper()}"),
            guests_of=policy.guests_of,
            visits=pb.Openness.Value(f"OPENNESS_{policy.visits.value.upper()}"),
            visits_to=policy.visits_to,
            single_sign_on=policy.single_sign_on,
            two_factors=policy.two_factors,
        ),
        revision=held.revision,
    )


def _member_to_proto(account: str, found: Membership | None) -> pb.Member:
    if found is None:
        return pb.Member(account=account)
    return pb.Member(
        account=account,
        organisation=found.organisation,
        active=found.active,
        single_sign_on=found.single_sign_on,
        two_factors=found.two_factors,
    )
