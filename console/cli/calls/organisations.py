"""Calls about organisations, their domains, and invitations."""

from __future__ import annotations

from typing import Any

from console.cli.calls.channel import Calls
from console.cli.profile import Target
from homeport.api.directory.v1 import directory_pb2, domain_pb2_grpc, invitation_pb2_grpc
from homeport.api.directory.v1 import domain_pb2 as domain_pb
from homeport.api.directory.v1 import invitation_pb2 as invitation_pb
from homeport.api.directory.v1 import organisation_pb2 as pb
from homeport.api.directory.v1 import organisation_pb2_grpc as pb_grpc

DNS_S = 30.0  # name servers are asked within the call


class OrganisationCalls(Calls):
    """For the target's tenant, as an operator. A context manager, like all of them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._tenant = target.tenant

    def apply(self, wanted: pb.Organisation) -> pb.Organisation:
        """Makes it, or changes the one of its revision."""
        request = pb.ApplyOrganisationRequest(tenant=self._tenant, organisation=wanted)
        found: pb.Organisation = self._ask("ApplyOrganisation", request)
        return found

    def get(self, organisation: str) -> pb.Organisation:
        request = pb.GetOrganisationRequest(tenant=self._tenant, organisation=organisation)
        found: pb.Organisation = self._ask("GetOrganisation", request)
        return found

    def all(self) -> list[pb.Organisation]:
        """The tenant's, page after page."""
        found: list[pb.Organisation] = []
        token = ""
        while True:
            request = pb.ListOrganisationsRequest(tenant=self._tenant, page_token=token)
            page: pb.ListOrganisationsResponse = self._ask("ListOrganisations", request)
            found += page.organisations
            token = page.next_page_token
            if not token:
                return found

    def set_member(self, member: pb.Member) -> pb.Member:
        request = pb.SetMemberRequest(tenant=self._tenant, member=member)
        found: pb.Member = self._ask("SetMember", request)
        return found

    def remove_member(self, organisation: str, account: str) -> bool:
        """Whether it was one."""
        request = pb.RemoveMemberRequest(
            tenant=self._tenant, organisation=organisation, member=account
        )
        removed: bool = self._ask("RemoveMember", request).removed
        return removed

    def apply_group(self, organisation: str, group: str, *, guests: bool) -> pb.Group:
        request = pb.ApplyGroupRequest(
            tenant=self._tenant,
            group=pb.Group(organisation=organisation, group=group, guests=guests),
        )
        found: pb.Group = self._ask("ApplyGroup", request)
        return found

    def domain(self, method: str, organisation: str, domain: str, **more: Any) -> Any:
        """A method of DomainService about one domain."""
        made = getattr(domain_pb, f"{method}Request")
        request = made(tenant=self._tenant, organisation=organisation, domain=domain, **more)
        return self._call(domain_pb2_grpc.DomainServiceStub, method, request, DNS_S)

    def domains(self, organisation: str) -> list[domain_pb.Domain]:
        request = domain_pb.ListDomainsRequest(tenant=self._tenant, organisation=organisation)
        found = self._call(domain_pb2_grpc.DomainServiceStub, "ListDomains", request, None)
        return list(found.domains)

    def route(self, organisation: str, group: str, uri: str) -> invitation_pb.Route:
        """Where an invitation would go."""
        request = invitation_pb.RouteInvitationRequest(
            tenant=self._tenant,
            organisation=organisation,
            group=group,
            identifier=directory_pb2.Identifier(uri=uri),
        )
        stub = invitation_pb2_grpc.InvitationServiceStub
        found: invitation_pb.Route = self._call(stub, "RouteInvitation", request, None)
        return found

    def _ask(self, method: str, request: object) -> Any:
        return self._call(pb_grpc.OrganisationServiceStub, method, request, None)
