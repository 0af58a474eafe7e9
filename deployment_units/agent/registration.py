"""Registration: registers a unit with the control plane and sends its heartbeats.

Applies the unit's record if it has one, once; opens a heartbeat stream, hands the keys that it
brings to the verifier, and sends heartbeats for as long as it runs. When a server goes, it
tries the next endpoint, with back-off and jitter. Whatever becomes of the control plane, a
unit that was registered once goes on admitting with the keys it has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import grpc
from grpc import aio

from control_plane.backoff import Backoff
from control_plane.errors import InvalidInput
from control_plane.fleet.unit import UnitSpec
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.tickets import VerifyingKey
from control_plane.serving.tls_probe import one_sided_tls
from deployment_units.agent.admitted import AdmittedHolds
from deployment_units.agent.capacity_limit import CapacityLimit
from deployment_units.agent.load import LoadSource
from homeport.api.fleet.v1 import fleet_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)

CALL_S = 5.0
RECONNECT = Backoff(first_s=0.2, most_s=5.0)
# What no other server would answer differently: the unit's own record or rights are wrong.
_HOPELESS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
# An operator removed the unit, or never applied it.
_NO_SUCH_UNIT = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitIdentity:
    """Which unit this is. `spec` None: an operator applies the record."""

    unit_id: str
    incarnation: str  # later runs sort after earlier ones
    version: str
    ttl_s: int = 10
    spec: UnitSpec | None = None
    endpoint: str = ""  # host:port where clients reach it; empty: as the record says


class Registration:
    """One unit's registration. `run` is a task of the owner's; `registered` is set while a
    heartbeat stream stands and keys are there, `settled` from then on, or once it is known that
    an operator removed the unit; `removed`: that is so. A removed unit asks again now and then,
    so that it is back soon after an operator applies it.

    on_departures is called with clients that left the unit: at first all that still matter, then
    each. spec_to_proto: the record as the message that is applied.
    secured: whether `connect` speaks TLS. jitter: a number between 0 and 1, new at each call.
    wall: Unix seconds; `answered_at` is when a heartbeat was answered last, 0: never.
    """

    def __init__(
        self,
        identity: UnitIdentity,
        servers: Sequence[str],
        verifier: TicketVerifier,
        load: LoadSource,
        holds: AdmittedHolds | None = None,
        limit: CapacityLimit | None = None,
        *,
        token: str = "",
        jitter: Callable[[], float],
        spec_to_proto: Callable[[UnitSpec], pb.UnitSpec],
        connect: Callable[[str], aio.Channel] = aio.insecure_channel,
        secured: bool = False,
        on_departures: Callable[[Sequence[pb.Departure]], None] = lambda departures: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._servers = list(servers)
        self._verifier = verifier
        self._load = load
        self._holds = holds if holds is not None else AdmittedHolds()
        self._limit = limit if limit is not None else CapacityLimit(None)
        self._refused_seen = 0
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._jitter = jitter
        self._spec_to_proto = spec_to_proto
        self._connect = connect
        self._secured = secured
        self._one_sided: set[str] = set()
        self._on_departures = on_departures
        self._wall = wall
        self._applied = identity.spec is None
        self._leaving = asyncio.Event()
        self.registered = asyncio.Event()
        self.settled = asyncio.Event()
        self.removed = False
        self.keys_seen = 0
        self.answered_at = 0.0

    async def run(self) -> None:
        """Registers and sends heartbeats until `leave`. Raises grpc.RpcError for a unit that
        never was registered, where trying again cannot help: for a record that is refused."""
        failures = 0  # in a row: a stream that stood begins them anew
        turn = 0
        while not self._leaving.is_set():
            server = self._servers[turn % len(self._servers)]
            try:
                async with self._connect(server) as channel:
                    await self._register(pb_grpc.FleetServiceStub(channel))
            except aio.AioRpcError as error:
                if error.code() in _HOPELESS and not self.keys_seen:
                    error.add_note(f"unit {self._identity.unit_id} at {server}")
                    raise
                if error.code() in _NO_SUCH_UNIT:
                    self._note_removed(error.details() or "it is not there")
                else:
                    why = await one_sided_tls(error, server, secured=self._secured)
                    if why and server not in self._one_sided:
                        self._one_sided.add(server)
                        log.warning(
                            "unit %s is without %s: %s", self._identity.unit_id, server, why
                        )
                    self._log_lost(server, why or f"{error.code().name}: {error.details()}")
            except TimeoutError:
                self._log_lost(server, "it fell silent")
            except InvalidInput as error:
                self._log_lost(server, error.message)
            finally:
                failures = 1 if self.registered.is_set() else failures + 1
                self.registered.clear()
            turn += 1
            pause_s = RECONNECT.pause_s(failures, self._jitter())
            try:
                async with asyncio.timeout(pause_s):
                    await self._leaving.wait()
            except TimeoutError:
                continue

    def leave(self) -> None:
        """Says goodbye: the control plane knows at once that the unit is gone."""
        self._leaving.set()

    def _note_removed(self, why: str) -> None:
        """Said once, and not at each vain try."""
        if not self.removed:
            log.warning("unit %s is not registered: %s", self._identity.unit_id, why)
        self.removed = True
        if self._identity.spec is not None:
            self.settled.set()

    def _log_lost(self, server: str, why: str) -> None:
        """A stream that stood is worth a warning, another vain try is not."""
        level = logging.WARNING if self.registered.is_set() else logging.INFO
        log.log(
            level, "unit %s is without %s (%s); trying the next server",
            self._identity.unit_id, server, why,
        )  # fmt: skip

    def _log_refused(self) -> None:
        """How many were turned away since the last time it was said."""
        refused = self._limit.refused - self._refused_seen
        if refused:
            self._refused_seen = self._limit.refused
            log.warning(
                "unit %s is full: %d clients with a good ticket were turned away; %d are in, and "
                "at most %d are let in", self._identity.unit_id, refused, len(self._limit),
                self._limit.most,
            )  # fmt: skip

    async def _register(self, stub: pb_grpc.FleetServiceStub) -> None:
        """One heartbeat stream, until it ends; before the first, the record is applied."""
        identity = self._identity
        if identity.spec is not None and not self._applied:
            await stub.ApplyUnit(
                pb.ApplyUnitRequest(spec=self._spec_to_proto(identity.spec), registering=True),
                timeout=CALL_S,
                metadata=self._metadata,
            )
            # Once a run, and where the record is another one than the last time: an operator who
            # changed or removed the unit since has the last word.
            self._applied = True
        answered, over = asyncio.Event(), asyncio.Event()
        interval_s = [identity.ttl_s / 3]
        number = self._holds.begin_stream()
        stream = stub.Heartbeat(
            self._heartbeats(answered, over, interval_s, number), metadata=self._metadata
        )
        answers = aiter(stream)
        try:
            while True:
                # An answer comes to each heartbeat. The next server has to hear of us within the
                # TTL, or the unit counts as lost: silence is noticed after two thirds of it.
                answer_within_s = (
                    interval_s[0] + identity.ttl_s / 3 if answered.is_set() else CALL_S
                )
                async with asyncio.timeout(answer_within_s):
                    try:
                        answer = await anext(answers)
                    except StopAsyncIteration:
                        return
                self.answered_at = self._wall()
                if answer.HasField("interval"):
                    interval_s[0] = answer.interval.seconds + answer.interval.nanos / 1e9
                if answer.keys:
                    self._verifier.use([_key(key) for key in answer.keys])
                    self.keys_seen += 1
                if answer.capacity:
                    self._limit.use_capacity(answer.capacity)
                if answer.departures:
                    self._on_departures(answer.departures)
                if self._verifier.has_keys:
                    self.registered.set()
                    self.settled.set()
                    self.removed = False
                self._holds.acknowledge(number, answer.recorded_admissions)
                answered.set()
        finally:
            # grpc reads heartbeats in a task of its own, and leaves that waiting for the next one
            # when the server has ended the stream.
            over.set()
            answered.set()
            stream.cancel()

    async def _heartbeats(
        self, answered: asyncio.Event, over: asyncio.Event, interval_s: list[float], number: int
    ) -> AsyncIterator[pb.HeartbeatRequest]:
        """Each once the one before is answered and its time has come, until we leave or the
        stream is `over`."""
        identity = self._identity
        while not (self._leaving.is_set() or over.is_set()):
            self._log_refused()
            heartbeat = pb.HeartbeatRequest(
                unit_id=identity.unit_id,
                status=pb.UnitStatus(
                    health=pb.UNIT_HEALTH_SERVING,
                    load=self._load.load(),
                    version=identity.version,
                    incarnation=identity.incarnation,
                    endpoint=identity.endpoint,
                    admitted_clients=len(self._limit),
                    refused_full=self._limit.refused,
                ),
            )
            heartbeat.ttl.seconds = identity.ttl_s
            for tenant, client_id, epoch in (
                self._holds.next_batch(number) if answered.is_set() else ()
            ):
                heartbeat.admissions.add(tenant=tenant, client_id=client_id, epoch=epoch)
            yield heartbeat
            await answered.wait()
            await self._wait_until_due(interval_s[0], over)

    async def _wait_until_due(self, interval_s: float, over: asyncio.Event) -> None:
        """Until the next heartbeat is due: earlier for admissions to report, to leave, or where
        the stream is over."""
        reasons = [
            asyncio.ensure_future(over.wait()),
            asyncio.ensure_future(self._leaving.wait()),
            asyncio.ensure_future(self._holds.wait_for_batch()),
        ]
        try:
            await asyncio.wait(reasons, timeout=interval_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for reason in reasons:
                reason.cancel()


def _key(message: pb.TicketKey) -> VerifyingKey:
    return VerifyingKey(
        key_id=message.key_id,
        algorithm=message.algorithm,
        key=message.key,
        expires_at=(
            message.expire_time.seconds + message.expire_time.nanos / 1e9
            if message.HasField("expire_time")
            else None
        ),
    )
