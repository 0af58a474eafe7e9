"""DirectoryService: who has which name, and where their accounts are at home."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from grpc import aio

from control_plane.auth.roles import Role
from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id
from control_plane.quotas.limits import Quota
from control_plane.serving.calls import HotForSome, HotMethod
from control_plane.serving.server import Service
from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.account_mapping import account_to_proto
from provisioner.api.account_watches import AccountWatches
from provisioner.api.callers import Callers
from provisioner.api.lookup_calls import acting_home, read_identifier
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claims import MAX_REQUEST_ID
from provisioner.directory.directory import Directory
from provisioner.directory.first_claims import Told
from provisioner.directory.holdings import MOST_KNOWN
from provisioner.directory.offers import MAX_OFFER
from provisioner.fleet_view import FleetView

NAME = "homeport.api.directory.v1.DirectoryService"
QUOTAS = {f"/{NAME}/WatchAccount": Quota.WATCHES}
"""What methods count as that do not count themselves."""
OFFER_S, LEAST_OFFER_S, MOST_OFFER_S = 7 * 86_400.0, 60.0, 30 * 86_400.0
_REQUEST_ID = re.compile(r"[\x21-\x7e]*\Z")


class DirectoryService(pb_grpc.DirectoryServiceServicer):
    """Servicer of homeport.api.directory.v1, but for Resolve. new_id: of a request that brings
    none."""

    def __init__(
        self,
        directory: Directory,
        fleet_view: FleetView,
        callers: Callers,
        watches: AccountWatches,
        *,
        new_id: Callable[[], str],
    ) -> None:
        self._directory = directory
        self._fleet_view = fleet_view
        self._callers = callers
        self._watches = watches
        self._new_id = new_id

    def service(self, resolve: HotMethod, claim: HotForSome) -> Service:
        """What control_plane.serving needs to serve it. resolve: Resolve; claim: ClaimHandle, for
        those whom it takes."""
        return Service(
            add=pb_grpc.add_DirectoryServiceServicer_to_server,
            servicer=self,
            name=NAME,
            hot={"Resolve": resolve},
            hot_for_some={"ClaimHandle": claim},
        )

    async def ClaimHandle(
        self, request: pb.ClaimHandleRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ClaimHandleResponse:
        return await self.claim_handle(request, free=self._free(context, Role.OPERATOR))

    async def claim_handle(
        self, request: pb.ClaimHandleRequest, *, free: Callable[[], bool]
    ) -> pb.ClaimHandleResponse:
        """ClaimHandle, of a caller that was checked. free(): whether it need not say for which unit
        it acts. Raises as the contract says."""
        tenant, account, acting = self._acts(request, free)
        held = await self._directory.handles.claim(
            tenant,
            account,
            request.handle,
            acting,
            request=self._request_id(request),
            rename=request.rename,
        )
        return pb.ClaimHandleResponse(handle=held.handle, revision=held.revision)

    def begin_claim(
        self,
        request: pb.ClaimHandleRequest,
        *,
        free: Callable[[], bool],
        within_s: float,
        told: Told,
    ) -> bool:
        """Begins the same for an account's home, without a task of its own: see FirstClaims. False:
        nothing was done."""
        claims = self._directory.first_claims
        if claims is None:
            return False
        tenant, account, acting = self._acts(request, free)
        if acting is None:
            return False
        claims.begin(
            tenant,
            account,
            request.handle,
            acting,
            request=self._request_id(request),
            rename=request.rename,
            within_s=within_s,
            told=told,
        )
        return True

    async def ReleaseHandle(
        self, request: pb.ReleaseHandleRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ReleaseHandleResponse:
        tenant, account, acting = self._acts(request, self._free(context, Role.OPERATOR))
        released = await self._directory.handles.release(
            tenant, account, request.handle, acting, request=self._request_id(request)
        )
        return pb.ReleaseHandleResponse(released=released)

    async def OfferHandle(
        self, request: pb.OfferHandleRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.OfferHandleResponse:
        tenant, account, acting = self._acts(request, self._free(context, Role.OPERATOR))
        to = check_client_id(request.to_account, "to_account")
        lasts_s = mapping.given_seconds(request, "ttl")
        lasts_s = OFFER_S if lasts_s is None else lasts_s
        if not LEAST_OFFER_S <= lasts_s <= MOST_OFFER_S:
            raise InvalidInput("ttl", f"ttl is {lasts_s:g} s; it must be 60 s to 30 days")
        offer, until_ms = await self._directory.handles.offer(
            tenant, account, request.handle, to, acting, lasts_s=lasts_s
        )
        return pb.OfferHandleResponse(offer=offer, expire_time=mapping.timestamp(until_ms / 1_000))

    async def AcceptHandle(
        self, request: pb.AcceptHandleRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.AcceptHandleResponse:
        tenant, account, acting = self._acts(request, self._free(context, Role.OPERATOR))
        if len(request.offer) > MAX_OFFER:
            raise InvalidInput("offer", f"offer has more than {MAX_OFFER:,} characters")
        held = await self._directory.handles.accept(
            tenant,
            account,
            request.offer,
            acting,
            request=self._request_id(request),
            rename=request.rename,
        )
        return pb.AcceptHandleResponse(handle=held.handle, revision=held.revision)

    async def BeginProof(
        self, request: pb.BeginProofRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.BeginProofResponse:
        tenant, account, acting = self._acts(request, self._free(context, Role.OPERATOR))
        begun = await self._directory.proofs.begin(
            tenant,
            account,
            read_identifier(request.identifier),
            acting,
            request=self._request_id(request),
        )
        return pb.BeginProofResponse(
            channel=begun.channel,
            expire_time=mapping.timestamp(begun.expires_ms / 1_000),
            tries_left=begun.tries_left,
        )

    async def FinishProof(
        self, request: pb.FinishProofRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.FinishProofResponse:
        tenant, account, acting = self._acts(request, self._free(context, Role.OPERATOR))
        proved = await self._directory.proofs.finish(
            tenant,
            account,
            read_identifier(request.identifier),
            request.code,
            acting,
            request=self._request_id(request),
            findable=request.findable,
        )
        until_ms = proved.contested_until_ms
        return pb.FinishProofResponse(
            kind=proved.kind,
            digest=proved.digest,
            contest_end_time=mapping.timestamp(until_ms / 1_000) if until_ms else None,
            revision=proved.revision,
        )

    async def ReleaseIdentifier(
        self, request: pb.ReleaseIdentifierRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ReleaseIdentifierResponse:
        tenant, account, acting = self._acts(request, self._free(context, Role.OPERATOR))
        released = await self._directory.proved.release(
            tenant,
            account,
            read_identifier(request.identifier),
            acting,
            request=self._request_id(request),
        )
        return pb.ReleaseIdentifierResponse(released=released)

    async def GetAccount(
        self, request: pb.GetAccountRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.GetAccountResponse:
        tenant = self._fleet_view.tenant_or_raise(request.tenant).id
        account = check_client_id(request.account, "account")
        acting = acting_home(request.home, free=self._free(context, Role.VIEWER))
        if len(request.known) > MOST_KNOWN:
            raise InvalidInput(
                "known", f"known names {len(request.known)} identifiers; at most {MOST_KNOWN}"
            )
        known = [read_identifier(one, f"known[{n}].uri") for n, one in enumerate(request.known)]
        found = await self._directory.holdings.of(tenant, account, acting, known)
        return account_to_proto(found, self._fleet_view.endpoint_of)

    async def WatchAccount(
        self, request: pb.WatchAccountRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchAccountResponse]:
        tenant, account, acting = self._acts(request, self._free(context, Role.VIEWER))
        async with aclosing(self._watches.follow(tenant, account, acting)) as told:
            async for one in told:
                yield one

    def _acts(self, request: Any, free: Callable[[], bool]) -> tuple[str, str, ActingUnit | None]:
        """Tenant and account of a request, and who acts for it. Raises NotFound, InvalidInput."""
        tenant = self._fleet_view.tenant_or_raise(request.tenant)
        account = check_client_id(request.account, "account")
        return tenant.id, account, acting_home(request.home, free=free)

    def _free(self, context: aio.ServicerContext[Any, Any], role: Role) -> Callable[[], bool]:
        """Whether the caller has the role that need not say for which unit it acts."""
        return lambda: self._callers.of_context(context).may(role)

    def _request_id(self, request: Any) -> str:
        given: str = request.request_id
        if len(given) > MAX_REQUEST_ID or not _REQUEST_ID.match(given):
            raise InvalidInput(
                "request_id",
                f"request_id has up to {MAX_REQUEST_ID} printable characters of ASCII, no spaces",
            )
        return given or self._new_id()
