"""ApplicationRegistry: the gRPC methods of the registry, each a map in, a use case, a map out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from grpc import aio

from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.identity.names import check_client_id, check_slug
from control_plane.serving.server import Service
from data_sharing.api.callers import Callers, Party
from data_sharing.api.cloudevent_message import timestamp
from data_sharing.api.read_turns import ReadTurns
from data_sharing.registry.addresses import Address, Addresses
from data_sharing.registry.answers import MESSAGES
from data_sharing.registry.catalogue import Version
from data_sharing.registry.registry import Registry
from homeport.api.datasharing.v1 import registry_pb2 as pb
from homeport.api.datasharing.v1 import registry_pb2_grpc as pb_grpc

NAME = "homeport.api.datasharing.v1.ApplicationRegistry"
PIECE_BYTES = 256 * 1024
MAX_ARTIFACT_BYTES = 64 << 20


class RegistryService(pb_grpc.ApplicationRegistryServicer):
    """Servicer of homeport.api.datasharing.v1.ApplicationRegistry."""

    def __init__(
        self,
        registry: Registry,
        addresses: Addresses,
        callers: Callers,
        turns: ReadTurns,
        *,
        max_artifact_bytes: int = MAX_ARTIFACT_BYTES,
    ) -> None:
        self._registry = registry
        self._addresses = addresses
        self._callers = callers
        self._turns = turns
        self._max_artifact_bytes = max_artifact_bytes

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_ApplicationRegistryServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def SubmitApplication(
        self,
        requests: AsyncIterator[pb.SubmitApplicationRequest],
        context: aio.ServicerContext[Any, Any],
    ) -> pb.SubmitApplicationResponse:
        head: pb.SubmissionHead | None = None
        party: Party | None = None
        content = bytearray()
        async for request in requests:
            if head is None or party is None:
                if request.WhichOneof("part") != "head":
                    raise InvalidInput("head", "the first message must be the head: the manifest")
                head = request.head
                # Before anything large comes in.
                party = self._callers.of_context(context, head.tenant)
                continue
            if request.WhichOneof("part") != "artifact":
                raise InvalidInput("head", "there is one head, and then pieces of the artifact")
            content += request.artifact
            if len(content) > self._max_artifact_bytes:
                raise InvalidInput(
                    "artifact", f"the artifact is larger than {self._max_artifact_bytes:,} bytes"
                )
        if head is None or party is None:
            raise InvalidInput("head", "nothing was submitted; send the manifest first")
        verdict = await self._registry.submit(
            head.manifest,
            bytes(content),
            tenant=party.tenant,
            application=party.application,
            dry_run=head.dry_run,
        )
        if verdict.version is not None:
            return pb.SubmitApplicationResponse(
                accepted=application_to_proto(verdict.version),
                existing=verdict.existing,
                warnings=verdict.warnings,
            )
        faults = [
            pb.Fault(path=one.path, message=one.message, consumer=one.consumer, field=one.field)
            for one in verdict.faults
        ]
        return pb.SubmitApplicationResponse(refused=pb.SubmissionFaults(faults=faults))

    async def ListApplications(
        self, request: pb.ListApplicationsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListApplicationsResponse:
        party = self._callers.of_context(context, request.tenant)
        async with self._turns.turn(party.tenant):
            found = self._registry.catalogue.applications(party.tenant)
            return pb.ListApplicationsResponse(
                applications=[
                    application_to_proto(one)
                    for one in found
                    if party.application in ("", one.manifest.application)
                ]
            )

    async def GetApplication(
        self, request: pb.GetApplicationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.GetApplicationResponse:
        party = self._party(context, request)
        async with self._turns.turn(party.tenant):
            found = self._registry.version(party.tenant, request.application, request.version)
            versions = self._registry.versions(party.tenant, request.application)
            return pb.GetApplicationResponse(
                application=application_to_proto(found),
                manifest=found.text,
                versions=[application_to_proto(one) for one in versions],
            )

    async def RollbackApplication(
        self, request: pb.RollbackApplicationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Application:
        party = self._party(context, request)
        done, warnings = await self._registry.rollback(
            party.tenant, request.application, request.version
        )
        answer = application_to_proto(done)
        answer.warnings.extend(warnings)
        return answer

    async def DeprecateApplication(
        self, request: pb.DeprecateApplicationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Application:
        party = self._party(context, request)
        if not request.version:
            raise InvalidInput("version", "version is missing: say which one is deprecated")
        done = await self._registry.deprecate(
            party.tenant, request.application, request.version, request.reason
        )
        return application_to_proto(done)

    async def AddressApplication(
        self, request: pb.AddressApplicationRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.AddressApplicationResponse:
        party = self._party(context, request)
        if not request.account:
            await self._addresses.remove(party.tenant, request.application)
            return pb.AddressApplicationResponse()
        account = check_client_id(request.account, "account")
        found = await self._addresses.put(party.tenant, request.application, account)
        return pb.AddressApplicationResponse(address=_address_to_proto(found))

    async def ListAddresses(
        self, request: pb.ListAddressesRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListAddressesResponse:
        party = self._callers.of_context(context, request.tenant)
        async with self._turns.turn(party.tenant):
            return pb.ListAddressesResponse(
                addresses=[
                    _address_to_proto(one)
                    for one in self._addresses.all_of(party.tenant)
                    if party.application in ("", MESSAGES, one.application)
                ]
            )

    def address_of(
        self, context: aio.ServicerContext[Any, Any], tenant: str, application: str
    ) -> pb.AddressApplicationResponse:
        """Which account answers for an application now; for the audit log."""
        party = self._callers.of_context(context, tenant)
        found = self._addresses.of(party.tenant, application)
        return pb.AddressApplicationResponse(address=_address_to_proto(found) if found else None)

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        party = self._party(context, request)
        async with self._turns.turn(party.tenant):
            found = self._registry.version(party.tenant, request.application, request.version)
        content = await self._registry.artifact(found)
        for start in range(0, len(content), PIECE_BYTES):
            yield pb.FetchArtifactResponse(content=content[start : start + PIECE_BYTES])

    def _party(self, context: aio.ServicerContext[Any, Any], request: Any) -> Party:
        """Who asks about `request.application`."""
        party = self._callers.of_context(context, request.tenant)
        check_slug(request.application, "application")
        if party.application not in ("", request.application):
            raise PermissionDenied(f"{party.caller.name} has to do with {party.application} alone")
        return party


def _address_to_proto(address: Address) -> pb.ApplicationAddress:
    return pb.ApplicationAddress(
        application=address.application,
        account=address.account,
        since_time=timestamp(address.since_ms),
    )


def application_to_proto(version: Version) -> pb.Application:
    """A version, without its manifest."""
    manifest = version.manifest
    return pb.Application(
        tenant=manifest.tenant,
        application=manifest.application,
        version=manifest.version,
        state=pb.VERSION_STATE_CURRENT if version.current else pb.VERSION_STATE_PAST,
        deprecation=version.deprecation,
        submit_time=timestamp(version.submitted_ms),
        artifact_sha256=version.artifact_sha256,
        artifact_size_bytes=version.artifact_size,
        produces=[one.type for one in manifest.produces],
        consumes=[one.feed for one in manifest.consumes],
        actions=[one.name for one in manifest.actions],
    )
