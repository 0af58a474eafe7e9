"""What the methods of organisations, domains and invitations change, for the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from control_plane.audit.entry import Transactions
from control_plane.audit.objects import AuditedObject, Context
from control_plane.errors import NotFound
from homeport.api.directory.v1 import domain_pb2, organisation_pb2
from provisioner.api import domain_service, invitation_service, organisation_service
from provisioner.api.domain_service import DomainService
from provisioner.api.organisation_service import OrganisationService


def organisation_objects(
    organisations: OrganisationService, domains: DomainService
) -> Mapping[str, AuditedObject]:
    """By full method path. Objects are read as those methods show them that are for reading."""

    async def organisation(request: Any, context: Context) -> Message | None:
        asked = organisation_pb2.GetOrganisationRequest(
            tenant=request.tenant,
            account=request.account,
            home=request.home,
            organisation=request.organisation.organisation,
        )
        return await _or_none(organisations.GetOrganisation(asked, context))

    async def domain(request: Any, context: Context) -> Message | None:
        asked = domain_pb2.GetDomainRequest(
            tenant=request.tenant,
            account=request.account,
            home=request.home,
            organisation=request.organisation,
            domain=request.domain,
        )
        return await _or_none(domains.GetDomain(asked, context))

    of_domains = AuditedObject(
        kind="domain",
        transactions=Transactions.ONE,
        target=lambda request: request.domain,
        before=domain,
        after=lambda response: response if isinstance(response, domain_pb2.Domain) else None,
    )
    of_invitations = AuditedObject(
        kind="invitation",
        transactions=Transactions.ONE,
        target=lambda request: request.invitation,
        after=lambda response: None,
    )
    of_members = AuditedObject(
        kind="member",
        transactions=Transactions.ONE,
        target=_member,
        after=lambda response: response if isinstance(response, organisation_pb2.Member) else None,
    )
    return {
        f"/{organisation_service.NAME}/ApplyOrganisation": AuditedObject(
            kind="organisation",
            transactions=Transactions.ONE,
            target=lambda request: request.organisation.organisation,
            before=organisation,
        ),
        f"/{organisation_service.NAME}/ApplyGroup": AuditedObject(
            kind="group",
            transactions=Transactions.ONE,
            target=lambda request: f"{request.group.organisation}/{request.group.group}",
        ),
        **{
            f"/{organisation_service.NAME}/{name}": of_members
            for name in ("SetMember", "RemoveMember")
        },
        **{
            f"/{domain_service.NAME}/{name}": of_domains
            for name in (
                "ClaimDomain", "VerifyDomain", "SetPrimaryOrganisation", "OfferDomain",
                "AcceptDomain", "ReleaseDomain",
            )
        },
        **{
            f"/{invitation_service.NAME}/{name}": of_invitations
            for name in (
                "CreateInvitation", "AcceptInvitation", "DeclineInvitation", "WithdrawInvitation",
            )
        },
    }  # fmt: skip


async def _or_none(read: Any) -> Message | None:
    try:
        found: Message = await read
    except NotFound:
        return None
    return found


def _member(request: Any) -> str:
    member: Any = request.member
    name: str = member if isinstance(member, str) else member.account
    return name
