"""Servers that keys are spread over, in one process: PartitionCalls as they are, in front of
servicers that note what they are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from grpc import aio

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.interceptor import AccessInterceptor
from control_plane.auth.method_access import access_of_services
from control_plane.auth.open_calls import OpenCalls
from control_plane.errors import NotFound, ServiceError
from control_plane.serving.errors_to_status import ErrorsToStatus
from data_sharing.api.callers import Callers
from data_sharing.api.other_partitions import OtherPartitions
from data_sharing.api.partition_calls import MADE_ID, PartitionCalls
from data_sharing.replication.partition_map import PartitionMap
from data_sharing.wiring.server import SERVICES
from homeport.api.datasharing.v1 import registry_pb2 as registry
from homeport.api.datasharing.v1 import registry_pb2_grpc as registry_grpc
from homeport.api.datasharing.v1 import rule_pb2 as rules
from homeport.api.datasharing.v1 import rule_pb2_grpc as rules_grpc
from homeport.api.datasharing.v1 import sharing_pb2 as sharing
from homeport.api.datasharing.v1 import sharing_pb2_grpc as sharing_grpc
from tests.support.credentials import authenticator_of, tokens_of


class Known(PartitionMap):
    """One whose leases are what the test says."""

    def __init__(self, count: int, number: int, servers: list[str]) -> None:
        super().__init__([None] * count, number, lambda tenant, key, count: 0)  # type: ignore[list-item]
        self._servers = servers

    async def look(self) -> None:
        """Nothing."""


class Place(
    sharing_grpc.SharingServiceServicer,
    rules_grpc.RuleServiceServicer,
    registry_grpc.ApplicationRegistryServicer,
):
    """What one partition has. fails: raised by the next call; refuses: submissions; before: each
    call waits for it."""

    def __init__(self) -> None:
        self.policies: set[str] = set()
        self.documents: list[str] = []
        self.consents: list[str] = []
        self.versions = ["3", "2", "1"]  # of an application, the current one first
        self.fails: ServiceError | None = None
        self.refuses = False
        self.before: Callable[[], Any] | None = None

    async def _begin(self) -> None:
        if self.before is not None:
            await self.before()
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error

    async def ApplyRules(self, request, context):
        await self._begin()
        self.documents.append(request.document)
        return rules.ApplyRulesResponse()

    async def RemoveSharing(self, request, context):
        await self._begin()
        if request.feed not in self.policies:
            raise NotFound("no policy")
        self.policies.remove(request.feed)
        return sharing.SharingPolicy(feed=request.feed)

    async def GiveConsent(self, request, context):
        await self._begin()
        self.consents.append(MADE_ID.get() or "k-" + "0" * 20)
        return sharing.Consent(consent_id=self.consents[-1])

    async def GiveOwnConsent(self, request, context):
        return await self.GiveConsent(request, context)

    async def RollbackApplication(self, request, context):
        await self._begin()
        wanted = request.version or self.versions[1]
        if self.versions[0] != wanted:
            self.versions = [wanted, self.versions[0]]
        return registry.Application(version=wanted)

    async def SubmitApplication(self, request_iterator, context):
        async for _ in request_iterator:
            pass
        await self._begin()
        answer = registry.SubmitApplicationResponse()
        if self.refuses:
            answer.refused.faults.add(message="it breaks a rule")
        else:
            answer.accepted.version = "1"
        return answer


class JoinedPlaces:
    """The places, and a channel to the server of each."""

    def __init__(self, places: list[Place]) -> None:
        self.places = places
        self.servers: list[str] = [""] * len(places)  # that all of them know, by partition
        self.channels: list[aio.Channel] = []


@asynccontextmanager
async def joined_places(
    count: int = 2, *, callers: Mapping[str, Caller] | None = None
) -> AsyncIterator[JoinedPlaces]:
    """callers: by token; None: no credentials are asked for."""
    made = JoinedPlaces([Place() for _ in range(count)])
    control = AccessControl(
        access_of_services(SERVICES),
        None if callers is None else authenticator_of(tokens_of(**callers)),
    )
    async with AsyncExitStack() as stack:
        for number, place in enumerate(made.places):
            known = Known(count, number, made.servers)
            others = OtherPartitions(known, aio.insecure_channel, is_open=control.open)
            stack.push_async_callback(others.close)
            calls = PartitionCalls(others, Callers(control), artifact_bytes=1 << 20)
            access = AccessInterceptor(control, OpenCalls(control))
            server = aio.server(interceptors=[ErrorsToStatus(), access, calls])
            sharing_grpc.add_SharingServiceServicer_to_server(place, server)
            rules_grpc.add_RuleServiceServicer_to_server(place, server)
            registry_grpc.add_ApplicationRegistryServicer_to_server(place, server)
            made.servers[number] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            await server.start()
            stack.push_async_callback(server.stop, None)
            channel = aio.insecure_channel(made.servers[number])
            stack.push_async_callback(channel.close)
            made.channels.append(channel)
        yield made
