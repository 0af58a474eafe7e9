"""SharingService: the gRPC methods of sharing policies and consents, each a map in, a use case, a
map out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from grpc import aio

from control_plane.auth.roles import Role
from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.offloading.port import Offload
from control_plane.printable import quoted
from control_plane.serving.server import Service
from data_sharing.api.callers import Callers, Party
from data_sharing.api.consent_messages import AskedConsent, asked_consent, consent_to_proto
from data_sharing.api.pages import row_of, size_of
from data_sharing.api.read_turns import ReadTurns
from data_sharing.api.sharing_task import READ
from data_sharing.database import Database
from data_sharing.decisions import sharing_tables
from data_sharing.decisions.sharing_registry import SharingRegistry
from data_sharing.platforms.messages import timestamp
from data_sharing.registry.access import origin
from data_sharing.registry.catalogue import Catalogue
from data_sharing.sharing.policy import FeedPolicy
from homeport.api.datasharing.v1 import sharing_pb2 as pb
from homeport.api.datasharing.v1 import sharing_pb2_grpc as pb_grpc

NAME = "homeport.api.datasharing.v1.SharingService"
MAX_DOCUMENT_BYTES = 1 << 20
DAY_MS = 86_400_000
BY_ITSELF = "by the user, with its own ticket"  # how a consent was given

Context: TypeAlias = aio.ServicerContext[Any, Any]


class SharingService(pb_grpc.SharingServiceServicer):
    """Servicer of homeport.api.datasharing.v1.SharingService."""

    def __init__(
        self,
        sharing: SharingRegistry,
        database: Database,
        catalogue: Callable[[], Catalogue],
        offload: Offload,
        callers: Callers,
        turns: ReadTurns,
    ) -> None:
        self._turns = turns
        self._sharing, self._database = sharing, database
        self._catalogue, self._offload = catalogue, offload
        self._callers = callers

    def service(self) -> Service:
        return Service(
            add=pb_grpc.add_SharingServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ApplySharing(
        self, request: pb.ApplySharingRequest, context: Context
    ) -> pb.ApplySharingResponse:
        whose = self._callers.of_context(context, request.tenant)
        if len(request.document.encode()) > MAX_DOCUMENT_BYTES:
            raise InvalidInput(
                "document", f"the document has more than {MAX_DOCUMENT_BYTES:,} bytes"
            )
        encoded = await self._offload.offload(
            READ, request.document, tenant=whose.tenant, subject="document"
        )
        policies = msgspec.json.decode(encoded, type=list[FeedPolicy])
        for one in policies:
            self._check_producer(whose, one.feed)
        if not request.dry_run:
            await self._sharing.apply(whose.tenant, policies)
        kept = {one.feed: one for one in self._policies(whose.tenant)}
        return pb.ApplySharingResponse(
            policies=[
                kept[one.feed] if not request.dry_run else _policy(whose.tenant, one)
                for one in policies
            ]
        )

    async def ListSharing(
        self, request: pb.ListSharingRequest, context: Context
    ) -> pb.ListSharingResponse:
        tenant = self._callers.of_context(context, request.tenant).tenant
        async with self._turns.turn(tenant):
            return pb.ListSharingResponse(policies=self._policies(tenant))

    async def RemoveSharing(
        self, request: pb.RemoveSharingRequest, context: Context
    ) -> pb.SharingPolicy:
        whose = self._callers.of_context(context, request.tenant)
        self._check_producer(whose, request.feed)
        return _policy(whose.tenant, await self._sharing.remove(whose.tenant, request.feed))

    async def GiveConsent(self, request: pb.GiveConsentRequest, context: Context) -> pb.Consent:
        tenant = self._callers.of_context(context, request.tenant).tenant
        asked = asked_consent(request, subject=request.subject, evidence=request.evidence)
        return await self._give(tenant, asked)

    async def WithdrawConsent(
        self, request: pb.WithdrawConsentRequest, context: Context
    ) -> pb.Consent:
        tenant = self._callers.of_context(context, request.tenant).tenant
        return consent_to_proto(
            await self._sharing.withdraw(tenant, request.subject, request.consent_id)
        )

    async def ListConsents(
        self, request: pb.ListConsentsRequest, context: Context
    ) -> pb.ListConsentsResponse:
        whose = self._callers.of_context(context, request.tenant)
        if not request.subject and not whose.caller.may(Role.VIEWER):
            raise InvalidInput("subject", "subject is missing: say whose consents")
        async with self._turns.turn(whose.tenant):
            return self._page(request, whose.tenant, request.subject)

    async def ListOwnConsents(
        self, request: pb.ListOwnConsentsRequest, context: Context
    ) -> pb.ListConsentsResponse:
        tenant, user = self._callers.user_of_context(context, request.tenant)
        async with self._turns.turn(tenant):
            return self._page(request, tenant, user)

    async def GiveOwnConsent(
        self, request: pb.GiveOwnConsentRequest, context: Context
    ) -> pb.Consent:
        tenant, user = self._callers.user_of_context(context, request.tenant)
        return await self._give(tenant, asked_consent(request, subject=user, evidence=BY_ITSELF))

    async def WithdrawOwnConsent(
        self, request: pb.WithdrawOwnConsentRequest, context: Context
    ) -> pb.Consent:
        tenant, user = self._callers.user_of_context(context, request.tenant)
        return consent_to_proto(await self._sharing.withdraw(tenant, user, request.consent_id))

    async def _give(self, tenant: str, asked: AskedConsent) -> pb.Consent:
        return consent_to_proto(
            await self._sharing.give(
                tenant,
                subject=asked.subject,
                consumer=asked.consumer,
                purpose=asked.purpose,
                feed=asked.feed,
                fields=asked.fields,
                evidence=asked.evidence,
            )
        )

    def _page(
        self,
        request: pb.ListConsentsRequest | pb.ListOwnConsentsRequest,
        tenant: str,
        subject: str,
    ) -> pb.ListConsentsResponse:
        """subject empty: of all users."""
        size, before = size_of(request.page_size), row_of(request.page_token)
        found = self._database.read(
            lambda db: sharing_tables.consent_page(
                db, tenant, before, size + 1, subject=subject, withdrawn=request.with_withdrawn
            )
        )
        more = str(found[size - 1][0]) if len(found) > size else ""
        return pb.ListConsentsResponse(
            consents=[consent_to_proto(one) for _, one in found[:size]], next_page_token=more
        )

    async def ListSharedReads(
        self, request: pb.ListSharedReadsRequest, context: Context
    ) -> pb.ListSharedReadsResponse:
        tenant = self._callers.of_context(context, request.tenant).tenant
        size = size_of(request.page_size)
        after = (request.from_time.ToMilliseconds() // DAY_MS, "", "", "", "")
        if request.page_token:
            after = _after(request.page_token)
        async with self._turns.turn(tenant):
            found = self._database.read(
                lambda db: sharing_tables.read_page(db, tenant, after, size + 1)
            )
        return pb.ListSharedReadsResponse(
            reads=[
                pb.SharedRead(
                    day=timestamp(name.day * DAY_MS), feed=name.feed, reader=name.reader,
                    purpose=name.purpose, field=name.field, events=events,
                )
                for name, events in found[:size]
            ],
            next_page_token=msgspec.json.encode(found[size - 1][0][1:]).decode()
            if len(found) > size
            else "",
        )  # fmt: skip

    def own_consent(self, context: Context, tenant: str, consent_id: str) -> pb.Consent | None:
        """One consent of the caller's; None: it has none of that id."""
        owner, user = self._callers.user_of_context(context, tenant)
        found = self.consent(context, owner, consent_id)
        return found if found is not None and found.subject == user else None

    def consent(self, context: Context, tenant: str, consent_id: str) -> pb.Consent | None:
        """One consent; None: the tenant has none of that id."""
        owner = self._callers.of_context(context, tenant).tenant
        found = self._database.read(lambda db: sharing_tables.consent(db, owner, consent_id))
        return None if found is None else consent_to_proto(found)

    def policies(self, context: Context, tenant: str) -> list[pb.SharingPolicy]:
        """Those in force, by feed."""
        return self._policies(self._callers.of_context(context, tenant).tenant)

    def _policies(self, tenant: str) -> list[pb.SharingPolicy]:
        rows = self._database.read(lambda db: sharing_tables.policies_of_tenant(db, tenant))
        return [_policy(tenant, one.policy, one.applied_ms) for one in rows]

    def _check_producer(self, whose: Party, feed: str) -> None:
        """An application governs its own feeds alone. Raises PermissionDenied."""
        if whose.application and whose.application != origin(
            self._catalogue(), tenant=whose.tenant, feed=feed
        ):
            raise PermissionDenied(f"{whose.application} does not produce {quoted(feed)}")


def _policy(tenant: str, policy: FeedPolicy, applied_ms: int | None = None) -> pb.SharingPolicy:
    return pb.SharingPolicy(
        tenant=tenant,
        feed=policy.feed,
        spec=msgspec.json.encode(policy).decode(),
        apply_time=None if applied_ms is None else timestamp(applied_ms),
    )


def _after(page_token: str) -> tuple[int, str, str, str, str]:
    """Behind which row a page begins. Raises InvalidInput."""
    try:
        found = msgspec.json.decode(page_token, type=tuple[int, str, str, str, str])
        if abs(found[0]) < 1 << 40:
            return found
    except msgspec.DecodeError:
        pass
    raise InvalidInput("page_token", "page_token is none that was given here")
