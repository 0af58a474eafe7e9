"""PlatformService: the server's end of the platforms' connections.

One stream per platform: reports come in, instructions and acknowledgements go out, and silence
for longer than the platform's TTL ends its presence. What is delivered to whom is the
dispatcher's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import msgspec
from grpc import aio

from control_plane.errors import Conflict, InvalidInput, Unavailable
from control_plane.identity.names import check_slug
from control_plane.serving.server import Service
from control_plane.serving.status import duration
from data_sharing.api.read_turns import ReadTurns
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.platform_sessions import PlatformFacts, PlatformSession
from data_sharing.platforms.messages import report_from_proto, timestamp
from data_sharing.registry.catalogue import Version
from data_sharing.replication.partition_map import OtherPartition, PartitionMap
from data_sharing.signing import SigningKey
from homeport.api.datasharing.v1 import platform_pb2 as pb
from homeport.api.datasharing.v1 import platform_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)

NAME = "homeport.api.datasharing.v1.PlatformService"
HELLO_S = 5.0
MOST_CAPACITY = 10_000
MOST_WANTED = 256
TOKENS_AT_ONCE = 64
NOT_GIVEN = "this platform was not given that instruction at that attempt; nothing was recorded"
_encode = msgspec.json.Encoder().encode

Context: TypeAlias = aio.ServicerContext[Any, Any]
FindVersion: TypeAlias = Callable[[str, str, str], Version | None]
"""(tenant, application, version or "" for the current one)."""
TenantOf: TypeAlias = Callable[[Context, str], str]
"""The tenant that a call is about, of the one it names ("": its caller's). Raises
PermissionDenied."""


class PlatformService(pb_grpc.PlatformServiceServicer):
    """See the module. wall_ms: Unix ms; needed: (application, version) that instructions of a
    tenant still wait for."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        key: SigningKey,
        find: FindVersion,
        *,
        turns: ReadTurns,
        tenant_of: TenantOf,
        needed: Callable[[str], set[tuple[str, str]]],
        wall_ms: Callable[[], int],
        partitions: PartitionMap | None = None,
    ) -> None:
        self._partitions = partitions
        self._turns = turns
        self._dispatcher = dispatcher
        self._key = key
        self._find = find
        self._tenant_of = tenant_of
        self._needed = needed
        self._wall_ms = wall_ms
        self._draining = asyncio.Event()

    def service(self) -> Service:
        return Service(
            add=pb_grpc.add_PlatformServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    def drain(self) -> None:
        """Platforms are told to connect elsewhere; streams end."""
        self._draining.set()
        for session in self._dispatcher.sessions:
            session.output_ready.set()

    def catalogue_changed(self) -> None:
        """Platforms hear of new versions of what they host."""
        for session in self._dispatcher.sessions:
            session.offers_due = True
            session.output_ready.set()

    async def Connect(
        self, requests: AsyncIterator[pb.ConnectRequest], context: Context
    ) -> AsyncIterator[pb.ConnectResponse]:
        if self._draining.is_set():
            raise Unavailable("this server is shutting down; try another one", retry_after_s=0.2)
        incoming = aiter(requests)
        session = self._open_session(await _first(incoming), context)
        reading = asyncio.create_task(self._read(incoming, session), name="platform reports")
        reading.add_done_callback(lambda _: session.end())
        interval_s = session.facts.ttl_s / 3
        try:
            welcome = pb.Welcome(interval=duration(interval_s))
            welcome.keys.add(key_id=self._key.key_id, public_key=self._key.public_bytes())
            yield pb.ConnectResponse(welcome=welcome, offers=self._offers(session))
            self._dispatcher.join(session)
            while not session.gone:
                session.output_ready.clear()
                yield self._next(session)
                if session.tokens or session.recorded or session.rejected:
                    continue
                if self._draining.is_set():
                    return
                await _wait_for_output(session, interval_s)
            if reading.done() and not reading.cancelled() and (failure := reading.exception()):
                raise failure
            if self._dispatcher.sessions.get(session.facts.tenant, session.facts.name) is not (
                session
            ):
                raise Conflict(f"a newer run of platform {session.facts.name} took over")
        finally:
            reading.cancel()
            self._dispatcher.leave(session)

    async def ListPlatforms(
        self, request: pb.ListPlatformsRequest, context: Context
    ) -> pb.ListPlatformsResponse:
        tenant = self._tenant_of(context, request.tenant)
        async with self._turns.turn(tenant):
            found = [one for one in self._dispatcher.sessions if one.facts.tenant == tenant]
            found.sort(key=lambda one: one.facts.name)
            return pb.ListPlatformsResponse(platforms=map(_platform, found))

    def _check_partition(self, hello: pb.Hello) -> None:
        """Raises InvalidInput for a platform that names no partition where there are several;
        OtherPartition where another server has its."""
        named = hello.partition if hello.HasField("partition") else None
        own, count = 0, 1
        if self._partitions is not None:
            own, count = self._partitions.number, self._partitions.count
        if named is None and count > 1:
            raise InvalidInput(
                "hello.partition",
                f"keys are spread over {count} partitions here, and a platform performs what is "
                f"decided in one: run one for each, with --partition 0 to {count - 1}",
            )
        if named is not None and named >= count:
            raise InvalidInput(
                "hello.partition", f"there is no partition {named}; there are {count}"
            )
        if named is not None and named != own:
            assert self._partitions is not None
            server = self._partitions.server_of(named)
            raise OtherPartition(f"another server has partition {named}", named, server)

    def _open_session(self, message: pb.ConnectRequest, context: Context) -> PlatformSession:
        """A session of the platform that says hello. Raises InvalidInput, PermissionDenied."""
        if not message.HasField("hello"):
            raise InvalidInput("hello", "the first message has to carry hello")
        hello = message.hello
        tenant = self._tenant_of(context, hello.tenant)
        self._check_partition(hello)
        ttl_s = hello.ttl.seconds + hello.ttl.nanos / 1e9
        if not 1 <= ttl_s <= 60:
            raise InvalidInput("hello.ttl", f"ttl is {ttl_s:g} s; use 1 to 60 s")
        if not 1 <= hello.capacity <= MOST_CAPACITY:
            raise InvalidInput("hello.capacity", f"capacity must be 1 to {MOST_CAPACITY}")
        if not hello.incarnation:
            raise InvalidInput("hello.incarnation", "incarnation is empty; name this run")
        if not 1 <= len(hello.wanted) <= MOST_WANTED:
            raise InvalidInput("hello.wanted", f"name 1 to {MOST_WANTED} applications to host")
        now_ms = self._wall_ms()
        return PlatformSession(
            facts=PlatformFacts(
                tenant=tenant,
                name=check_slug(hello.platform, "hello.platform"),
                incarnation=hello.incarnation,
                version=hello.version,
                capacity=hello.capacity,
                ttl_s=ttl_s,
                wanted=tuple((one.application, one.version) for one in hello.wanted),
                connected_at_ms=now_ms,
            ),
            leaving=message.leaving,
            last_seen_ms=now_ms,
        )

    async def _read(
        self, incoming: AsyncIterator[pb.ConnectRequest], session: PlatformSession
    ) -> None:
        """Until the platform ends its side, or falls silent. Raises InvalidInput."""
        while True:
            try:
                async with asyncio.timeout(session.facts.ttl_s):
                    message = await anext(incoming)
            except StopAsyncIteration:
                return
            except TimeoutError:
                log.warning("platform %s fell silent", session.facts.name)
                return
            session.last_seen_ms = self._wall_ms()
            session.leaving = message.leaving
            if message.ready:
                self._dispatcher.set_applications(
                    session,
                    {(one.application, one.version): one.sha256 for one in message.ready},
                )
            for report in message.reports:
                self._dispatcher.accept_report(
                    session, report_from_proto(report, session.facts.name)
                )

    def _next(self, session: PlatformSession) -> pb.ConnectResponse:
        """What has gathered for the platform; nothing: a sign of life."""
        message = pb.ConnectResponse()
        while session.tokens and len(message.instructions) < TOKENS_AT_ONCE:
            message.instructions.append(session.tokens.popleft())
        while session.recorded:
            instruction, attempt = session.recorded.popleft()
            message.recorded.add(instruction_id=instruction, attempt=attempt)
        while session.rejected and len(message.rejected) < TOKENS_AT_ONCE:
            instruction, attempt = session.rejected.popleft()
            message.rejected.add(instruction_id=instruction, attempt=attempt, message=NOT_GIVEN)
        if session.offers_due:
            session.offers_due = False
            message.offers.extend(self._offers(session))
        return message

    def _offers(self, session: PlatformSession) -> list[pb.Offer]:
        """What it wants, and earlier versions that instructions still wait for."""
        tenant = session.facts.tenant
        offers: list[pb.Offer] = []
        needed = self._needed(tenant)
        for application, wanted in session.facts.wanted:
            versions = [wanted]
            if not wanted:
                versions += [version for name, version in needed if name == application]
            found = [self._find(tenant, application, version) for version in versions]
            if found[0] is None:
                named = f"{application} {wanted}".strip()
                offers.append(
                    pb.Offer(
                        application=application,
                        version=wanted,
                        missing=f"tenant {tenant} has no application {named}",
                    )
                )
            offers += {
                one.manifest.version: _offer(one) for one in found if one is not None
            }.values()
        return offers


def _offer(version: Version) -> pb.Offer:
    manifest = version.manifest
    runtime = manifest.runtime
    if runtime is None or not version.artifact_sha256:
        return pb.Offer(
            application=manifest.application,
            version=manifest.version,
            missing=f"{manifest.application} {manifest.version} has no actions to host",
        )
    requested = runtime.requested
    return pb.Offer(
        application=manifest.application,
        version=manifest.version,
        sha256=version.artifact_sha256,
        kind=runtime.kind.value,
        size_bytes=version.artifact_size,
        limits_json=_encode(runtime.limits).decode(),
        requested_json=_encode(
            {
                "clock": requested.clock,
                "random": requested.random,
                "environment": requested.environment,
            }
        ).decode(),
    )


def _platform(session: PlatformSession) -> pb.Platform:
    facts = session.facts
    return pb.Platform(
        tenant=facts.tenant,
        platform=facts.name,
        incarnation=facts.incarnation,
        version=facts.version,
        capacity=facts.capacity,
        in_flight=len(session.in_flight),
        applications=[
            pb.HostedApplication(application=name, version=version, sha256=sha256)
            for (name, version), sha256 in sorted(session.ready.items())
        ],
        connect_time=timestamp(facts.connected_at_ms),
        last_seen_time=timestamp(session.last_seen_ms),
        outcomes=session.outcomes,
        refusals=session.refusals,
        leaving=session.leaving,
    )


async def _first(incoming: AsyncIterator[pb.ConnectRequest]) -> pb.ConnectRequest:
    """Raises InvalidInput where none comes."""
    try:
        async with asyncio.timeout(HELLO_S):
            return await anext(incoming)
    except (StopAsyncIteration, TimeoutError) as error:
        raise InvalidInput("hello", "no hello came") from error


async def _wait_for_output(session: PlatformSession, interval_s: float) -> None:
    """Until there is something to send, or a sign of life is due."""
    try:
        async with asyncio.timeout(interval_s):
            await session.output_ready.wait()
    except TimeoutError:
        return
