"""DomainService: domains that organisations ask for, prove, hand over and give up."""

from __future__ import annotations

from typing import Any

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from control_plane.serving.server import Service
from homeport.api.directory.v1 import directory_pb2
from homeport.api.directory.v1 import domain_pb2 as pb
from homeport.api.directory.v1 import domain_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.lookup_calls import read_identifier
from provisioner.api.organisation_callers import OrganisationCallers, domain_text, slug_of
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.organisations.actors import Actor
from provisioner.organisations.challenges import challenge_name, challenge_value
from provisioner.organisations.domain_records import HeldDomain
from provisioner.organisations.domain_transfers import DomainTransfers
from provisioner.organisations.domains import Domains
from provisioner.organisations.own_domains import OwnDomains

MOST_OWN = 16  # addresses of one question
NAME = "homeport.api.directory.v1.DomainService"


class DomainService(pb_grpc.DomainServiceServicer):
    """Servicer of homeport.api.directory.v1. budgets: how often domains are looked at for an
    organisation."""

    def __init__(
        self,
        domains: Domains,
        transfers: DomainTransfers,
        own: OwnDomains,
        callers: OrganisationCallers,
        budgets: ClaimBudgets,
    ) -> None:
        self._domains = domains
        self._transfers = transfers
        self._own = own
        self._callers = callers
        self._budgets = budgets

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_DomainServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ClaimDomain(
        self, request: pb.ClaimDomainRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Domain:
        tenant, organisation, text, actor = self._asked(request, context)
        held = await self._domains.claim(
            tenant, organisation, text, actor, covers_subdomains=not request.only_itself
        )
        return _to_proto(held)

    async def FindOwnDomains(
        self, request: pb.FindOwnDomainsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.FindOwnDomainsResponse:
        tenant = self._callers.tenant(request)
        actor = self._callers.actor_with_account(request, context)
        if len(request.identifiers) > MOST_OWN:
            raise InvalidInput(
                "identifiers", f"{len(request.identifiers)} are named; at most {MOST_OWN}"
            )
        addresses = [read_identifier(one, "identifiers") for one in request.identifiers]
        found = await self._own.of(tenant, addresses, actor)
        return pb.FindOwnDomainsResponse(
            identifiers=[directory_pb2.Identifier(uri=one.uri) for one in found]
        )

    async def VerifyDomain(
        self, request: pb.VerifyDomainRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Domain:
        tenant, organisation, text, actor = self._asked(request, context)
        if not actor.is_operator:
            self._budgets.take(tenant, organisation)
        return _to_proto(await self._domains.verify(tenant, organisation, text, actor))

    async def GetDomain(
        self, request: pb.GetDomainRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Domain:
        tenant, organisation, text, actor = self._asked(request, context)
        return _to_proto(await self._domains.get(tenant, organisation, text, actor))

    async def ListDomains(
        self, request: pb.ListDomainsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListDomainsResponse:
        tenant, actor = self._callers.tenant(request), self._callers.actor(request, context)
        found = await self._domains.of(tenant, slug_of(request, "organisation"), actor)
        return pb.ListDomainsResponse(domains=map(_to_proto, found))

    async def SetPrimaryOrganisation(
        self, request: pb.SetPrimaryOrganisationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Domain:
        tenant, organisation, text, actor = self._asked(request, context)
        primary = check_slug(request.primary, "primary") if request.primary else ""
        return _to_proto(
            await self._transfers.set_primary(tenant, organisation, text, primary, actor)
        )

    async def OfferDomain(
        self, request: pb.OfferDomainRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Domain:
        tenant, organisation, text, actor = self._asked(request, context)
        to = check_slug(request.to, "to") if request.to else ""
        return _to_proto(await self._transfers.offer(tenant, organisation, text, to, actor))

    async def AcceptDomain(
        self, request: pb.AcceptDomainRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Domain:
        tenant, organisation, text, actor = self._asked(request, context)
        return _to_proto(await self._transfers.accept(tenant, organisation, text, actor))

    async def ReleaseDomain(
        self, request: pb.ReleaseDomainRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ReleaseDomainResponse:
        tenant, organisation, text, actor = self._asked(request, context)
        released = await self._domains.release(tenant, organisation, text, actor)
        return pb.ReleaseDomainResponse(released=released)

    def _asked(
        self, request: Any, context: aio.ServicerContext[Any, Any]
    ) -> tuple[str, str, str, Actor]:
        """Tenant, organisation, domain as it is written, and who asks. Raises NotFound,
        InvalidInput."""
        tenant = self._callers.tenant(request)
        organisation = slug_of(request, "organisation")
        return tenant, organisation, domain_text(request), self._callers.actor(request, context)


def _to_proto(held: HeldDomain) -> pb.Domain:
    found = pb.Domain(domain=held.name, revision=held.revision)
    pending, domain = held.pending, held.domain
    if pending is not None:
        found.state = pb.DOMAIN_STATE_PENDING
        found.covers_subdomains = pending.covers_subdomains
        found.record_name = challenge_name(held.name)
        found.record_value = challenge_value(pending.token)
        found.record_end_time.CopyFrom(mapping.timestamp(pending.expires_ms / 1_000))
    if domain is not None:
        found.state = pb.DomainState.Value(f"DOMAIN_STATE_{domain.state.value.upper()}")
        found.organisation, found.primary = domain.owner, domain.primary
        found.covers_subdomains = domain.covers_subdomains
        found.verify_time.CopyFrom(mapping.timestamp(domain.verified_ms / 1_000))
        found.check_time.CopyFrom(mapping.timestamp(domain.checked_ms / 1_000))
        found.failures = domain.failures
        found.rival = domain.rival.organisation if domain.rival is not None else ""
        if domain.offer is not None:
            found.offered_to = domain.offer.to
            found.offer_end_time.CopyFrom(mapping.timestamp(domain.offer.until_ms / 1_000))
    return found
