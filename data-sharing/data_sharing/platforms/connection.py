"""PlatformConnection: a platform's connection to the decision service, which the platform opens.

Says what it can run, accepts instructions, reports outcomes, and sends something often enough for
its lease to hold. When the service goes, it tries again, or the next server, with back-off and
jitter; what runs meanwhile runs on, and outcomes that the service has not recorded are reported
again. Leaving means finishing what was accepted and reporting it first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import grpc
from grpc import aio

from control_plane.backoff import Backoff
from control_plane.errors import InvalidInput, ServiceError
from control_plane.serving.tls_probe import one_sided_tls
from data_sharing.platforms.host import PlatformHost
from data_sharing.platforms.installer import Installer
from data_sharing.platforms.journal import Journal
from data_sharing.platforms.messages import report_to_proto
from data_sharing.platforms.reports import ReportQueue
from data_sharing.signing import InstructionVerifier
from homeport.api.datasharing.v1 import platform_pb2 as pb
from homeport.api.datasharing.v1 import platform_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)

CALL_S = 5.0
RECONNECT = Backoff(first_s=0.2, most_s=5.0)
RECORDED_WITHIN_S = 5.0  # how long a leaving platform waits for its outcomes to be recorded
REPORTS_AT_ONCE = 256
_PERMANENT = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.ABORTED,  # a newer run of this platform took over
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformIdentity:
    """Which platform this is, and what it is to host: (application, version or "")."""

    tenant: str
    name: str
    incarnation: str  # later runs sort after earlier ones
    version: str
    ttl_s: int
    wanted: tuple[tuple[str, str], ...]
    partition: int | None = None  # where keys are spread: of which it performs instructions


class PlatformConnection:
    """`run` is a task of the owner's; `connected` is set while the service knows this platform.

    jitter: a number between 0 and 1, new at each call; pinned_keys: the keys of instructions
    come from an operator, so those that a server sends are not used.
    """

    def __init__(
        self,
        identity: PlatformIdentity,
        servers: Sequence[str],
        host: PlatformHost,
        journal: Journal,
        verifier: InstructionVerifier,
        installer: Installer,
        reports: ReportQueue,
        *,
        token: str = "",
        pinned_keys: bool = False,
        jitter: Callable[[], float],
        wall_ms: Callable[[], int],
        connect: Callable[[str], aio.Channel],
        secured: bool = False,
    ) -> None:
        self._identity = identity
        self._servers = list(servers)
        self._host = host
        self._journal = journal
        self._verifier = verifier
        self._installer = installer
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._pinned = pinned_keys
        self._jitter = jitter
        self._wall_ms = wall_ms
        self._connect = connect
        self._secured = secured  # whether `connect` speaks TLS
        self._one_sided: set[str] = set()  # servers that do not agree about TLS, each said once
        self._reports = reports
        self._leaving = asyncio.Event()
        self._finished = asyncio.Event()  # nothing is left to report
        self.connected = asyncio.Event()
        self.ready = asyncio.Event()  # connected, and all that is wanted is installed
        self._stream: asyncio.Event | None = None  # the `welcomed` of the stream that is open

    async def run(self) -> None:
        """Until `leave`, and until what was accepted is reported. Raises grpc.aio.AioRpcError where
        the service will not have this platform, and trying again cannot help."""
        failures = turn = 0
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(self._finish(), name="platform leaving")
            while not self._finished.is_set():
                server = self._servers[turn % len(self._servers)]
                try:
                    async with self._connect(server) as channel:
                        await self._run_stream(channel, group)
                except aio.AioRpcError as error:
                    if error.code() in _PERMANENT:
                        leaving.cancel()
                        error.add_note(f"platform {self._identity.name} at {server}")
                        raise
                    why = await one_sided_tls(error, server, secured=self._secured)
                    if why and server not in self._one_sided:
                        self._one_sided.add(server)
                        log.warning(
                            "platform %s is without %s: %s", self._identity.name, server, why
                        )
                    self._log_lost(server, why or f"{error.code().name}: {error.details()}")
                except TimeoutError:
                    self._log_lost(server, "it fell silent")
                except ServiceError as error:
                    self._log_lost(server, error.message)
                finally:
                    failures = 1 if self.connected.is_set() else failures + 1
                    self.connected.clear()
                    self._reports.set_connected(False)
                    self.ready.clear()
                turn += 1
                await self._back_off(failures)

    def leave(self) -> None:
        """Accepts nothing more; `run` ends once what was accepted is reported."""
        self._leaving.set()
        self._reports.changed.set()

    def _log_lost(self, server: str, why: str) -> None:
        level = logging.WARNING if self.connected.is_set() else logging.INFO
        log.log(level, "platform %s is without %s (%s)", self._identity.name, server, why)

    async def _back_off(self, failures: int) -> None:
        pause_s = RECONNECT.pause_s(failures, self._jitter())
        try:
            async with asyncio.timeout(pause_s):
                await self._finished.wait()
        except TimeoutError:
            return

    async def _finish(self) -> None:
        """Once told to leave: finishes, reports, and ends the stream."""
        await self._leaving.wait()
        finished = await self._host.drain(self._installer.longest_s() + RECORDED_WITHIN_S)
        if not finished:
            log.warning("leaving while actions run that do not end")
        try:
            async with asyncio.timeout(RECORDED_WITHIN_S):
                while self._reports or self._journal.unrecorded():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except TimeoutError:
            log.warning("leaving with outcomes that are not recorded; the next run reports them")
        self._finished.set()
        self._reports.changed.set()

    async def _run_stream(self, channel: aio.Channel, group: asyncio.TaskGroup) -> None:
        """One stream, until it ends or nothing is left to report."""
        identity = self._identity
        welcomed = self._stream = asyncio.Event()
        interval_s = [identity.ttl_s / 3]
        self._reports.begin_stream()
        stub = pb_grpc.PlatformServiceStub(channel)
        stream = stub.Connect(self._messages(welcomed, interval_s), metadata=self._metadata)
        answers = aiter(stream)
        try:
            while True:
                silence_s = float(identity.ttl_s) if welcomed.is_set() else CALL_S
                async with asyncio.timeout(silence_s):
                    try:
                        answer = await anext(answers)
                    except StopAsyncIteration:
                        return
                if answer.HasField("welcome"):
                    self._accept_welcome(answer.welcome, interval_s)
                    welcomed.set()
                for offer in answer.offers:
                    self._installer.install(offer, channel, self._metadata, group)
                if welcomed.is_set() and self._installer.complete:
                    self.ready.set()
                for token in answer.instructions:
                    self._host.accept(token)
                if answer.recorded:
                    recorded = [(one.instruction_id, one.attempt) for one in answer.recorded]
                    await self._journal.mark_recorded(recorded, self._wall_ms())
                if answer.rejected:
                    for one in answer.rejected:
                        log.warning(
                            "the outcome of %s is not taken: %s", one.instruction_id, one.message
                        )
                    # Where the instruction comes again, the journal answers with it again.
                    told = [(one.instruction_id, one.attempt) for one in answer.rejected]
                    await self._journal.mark_recorded(told, self._wall_ms())
        finally:
            stream.cancel()
            self._stream = None
            self._reports.changed.set()

    def _accept_welcome(self, welcome: pb.Welcome, interval_s: list[float]) -> None:
        if welcome.HasField("interval"):
            interval_s[0] = welcome.interval.seconds + welcome.interval.nanos / 1e9
        if not self._pinned:
            if not welcome.keys:
                raise InvalidInput("keys", "the service told no keys for its instructions")
            self._verifier.use({key.key_id: key.public_key for key in welcome.keys})
        self.connected.set()
        self._reports.set_connected(True)
        self._host.report_unrecorded()

    async def _messages(
        self, welcomed: asyncio.Event, interval_s: list[float]
    ) -> AsyncIterator[pb.ConnectRequest]:
        identity = self._identity
        hello = pb.Hello(
            tenant=identity.tenant,
            platform=identity.name,
            incarnation=identity.incarnation,
            version=identity.version,
            capacity=self._host.capacity,
            wanted=[pb.Wanted(application=name, version=of) for name, of in identity.wanted],
        )
        hello.ttl.seconds = identity.ttl_s
        if identity.partition is not None:
            hello.partition = identity.partition
        yield pb.ConnectRequest(hello=hello, leaving=self._leaving.is_set())
        await welcomed.wait()
        # gRPC lets the requests of a stream that ended go on; they must not take reports along.
        while self._stream is welcomed:
            message = pb.ConnectRequest(leaving=self._leaving.is_set())
            if self._reports.pop_applications_changed():
                if self._installer.complete:
                    self.ready.set()
                for one in self._host.hosted:
                    message.ready.add(
                        application=one.application, version=one.version, sha256=one.sha256
                    )
            reports = self._reports
            while reports and len(message.reports) < REPORTS_AT_ONCE:
                message.reports.append(report_to_proto(reports.pop()))
            yield message
            if self._finished.is_set() and not reports:
                return
            if not reports:
                self._reports.changed.clear()
                await self._wait(interval_s[0])

    async def _wait(self, interval_s: float) -> None:
        """Until there is something to say, or the next sign of life is due."""
        try:
            async with asyncio.timeout(interval_s):
                await self._reports.changed.wait()
        except TimeoutError:
            return
