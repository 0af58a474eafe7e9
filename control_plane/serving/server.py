"""Server: one listening gRPC endpoint, on whichever transport, with all that goes with it.

Servicers and hot methods go in; health, reflection, message limits, keepalive, error
mapping and a graceful end come from here. `auto` is native on Linux and macOS, with TLS and
without, and grpcio elsewhere.
"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from control_plane.errors import InvalidInput
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.call_statistics import CallCounter, CallStatistics
from control_plane.serving.calls import HotForSome, HotMethod
from control_plane.serving.connection_limits import (
    FLOOD_BYTES,
    TLS_FLOOD_BYTES,
    ConnectionLimits,
)
from control_plane.serving.connection_watch import ConnectionWatch
from control_plane.serving.connections import Connections
from control_plane.serving.errors_to_status import ErrorsToStatus
from control_plane.serving.first_message import FirstMessage
from control_plane.serving.grpcio import MAX_STREAMS, register_hot, secured
from control_plane.serving.grpcio_server import GrpcioServer
from control_plane.serving.peers import Proxies, peer_end, peer_group
from control_plane.serving.reflection import enable_reflection
from control_plane.serving.tls import TlsFiles
from control_plane.serving.traced_calls import TraceInterceptor, traced_hot
from control_plane.serving.wasted_calls import Excess, WastedCalls
from control_plane.tracing.tracer import Tracer

END_WITHIN_S = 5.0  # for ending what is left after the grace and the last answers
LAST_ANSWERS_S = 1.0  # for telling those whose calls are not finished within the grace
PENDING_CALLS = 1_000_000  # connections and their streams are bounded; grpcio cancels any beyond
# Of one connection. grpcio still counts calls that have just ended, and refuses as many of those
# that its clients open in their place: of 2,000 at once every third, where it takes 1,000, and none
# where it takes 2,500. As many are begun for nothing where a client resets them.
STREAMS = {"native": 1_000, "grpcio": 2_500}
MAX_MESSAGE_BYTES = 1 << 20  # a batch of 1,000 clients takes about 100 kB


class Transport(StrEnum):
    AUTO = "auto"
    NATIVE = "native"
    GRPCIO = "grpcio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One servicer: the generated `add_…_to_server`, the object, its full name, and those
    of its unary methods that are hot (method name -> function). hot_for_some: those that are so on
    the native transport alone, for calls that they take; else the servicer answers. queues: those
    that stand before hot methods."""

    add: Callable[[Any, Any], None]
    servicer: object
    name: str
    hot: Mapping[str, HotMethod]
    hot_for_some: Mapping[str, HotForSome] = field(default_factory=dict)
    queues: Mapping[str, AdmissionQueue] = field(default_factory=dict)


class Server:
    """`bind`, `start`, then `stop`. Not ready (health NOT_SERVING) until told so.
    interceptors: see messages that are decoded and checked, and may raise ServiceErrors; hot
    methods are not behind them on the native transport."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        interceptors: Sequence[aio.ServerInterceptor] = (),
        transport: Transport = Transport.AUTO,
        tls: TlsFiles | None = None,
        share_port: bool = False,
        limits: ConnectionLimits | None = None,
        proxies: Proxies | None = None,
        watch: ConnectionWatch | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """proxies: trusted ones, which may have more connections than others. watch: of the
        process, where it has several servers. tracer: None: calls are not traced."""
        self.tls = tls
        self._share_port = share_port
        self._limits = limits or ConnectionLimits()
        self._proxies = proxies or Proxies()
        self.watch = watch or ConnectionWatch()
        self._ports: list[int] = []
        self.transport = choose_transport(transport)
        hot = {f"/{s.name}/{name}": method for s in services for name, method in s.hot.items()}
        for_some = {
            f"/{s.name}/{n}": method for s in services for n, method in s.hot_for_some.items()
        }
        queues = {f"/{s.name}/{n}": queue for s in services for n, queue in s.queues.items()}
        if tracer is not None:
            hot = {path: traced_hot(path, method, tracer) for path, method in hot.items()}
            for_some = {path: traced_hot(path, one, tracer) for path, one in for_some.items()}
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", 4 * MAX_MESSAGE_BYTES),
            (MAX_STREAMS, self._limits.streams or STREAMS[self.transport]),
            # By itself grpcio cancels calls at random, anybody's, once 1,000 wait to be begun.
            ("grpc.server.max_pending_requests", PENDING_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS),
            ("grpc.server_handshake_timeout_ms", int(self._limits.handshake_s * 1000)),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.so_reuseport", 1 if share_port else 0),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ]
        # grpcio knows its peers itself.
        listens_before = tls is not None and self.transport is Transport.NATIVE
        connections = Connections(partial(secrets.token_urlsafe, 16)) if listens_before else None
        self._errors_to_status = (
            ErrorsToStatus() if connections is None else ErrorsToStatus(connections.dressed)
        )
        # What the native transport tells of has its message, except for streams.
        self._wasted = WastedCalls(
            is_proxy=self._proxies.is_trusted, waits=self.transport is Transport.GRPCIO
        )
        first_message = FirstMessage(
            self._limits.first_message_s,
            unary=self.transport is Transport.GRPCIO,
            wasted=self._wasted,
            on_excess=self._close_wasteful,
        )
        self.statistics = CallStatistics()
        counter = CallCounter(self.statistics)
        traces = [] if tracer is None else [TraceInterceptor(tracer, hot.keys())]
        behind = [first_message, counter, *traces, self._errors_to_status, *interceptors]
        self._server: Any
        if self.transport is Transport.NATIVE:
            from control_plane.serving.native import NativeServer

            self._server = NativeServer(
                hot={**hot, **for_some},
                interceptors=behind,
                options=options,
                connections=connections,
                statistics=self.statistics,
                limits=self._limits,
                queues=queues,
            )
        else:
            self._server = GrpcioServer(
                interceptors=behind,
                options=options,
                clock=time.monotonic,
                is_closed=self._is_closed,
            )
        for service in services:
            service.add(service.servicer, self._server)
        if hot:
            register_hot(self._server, hot)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = [s.name for s in services]
        enable_reflection(self._server, [*self._names, health.SERVICE_NAME])

    def bind(self, address: str) -> int:
        """Listens on host:port (port 0: any) and returns the port. Raises InvalidInput when
        that cannot be had."""
        try:
            port: int
            if self.tls is None:
                port = self._server.add_insecure_port(address)
            elif self.transport is Transport.NATIVE:
                port = self._server.add_tls_port(address, self.tls, share_port=self._share_port)
            else:
                port = self._server.add_secure_port(address, secured(self.tls))
        except (RuntimeError, OSError, ValueError) as error:
            raise _cannot_listen(address) from error
        if port == 0:
            raise _cannot_listen(address)
        self._ports.append(port)
        return port

    async def start(self) -> None:
        """Serves. Health says NOT_SERVING until `ready`."""
        await self.ready(False)
        await self._server.start()
        for port in self._ports:
            self.watch.hold(port, self._limits, self._proxies.is_trusted)

    async def ready(self, serving: bool = True) -> None:
        """What health answers from now on, for every service and for the whole."""
        kind = health_pb2.HealthCheckResponse
        status = kind.SERVING if serving else kind.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """Says NOT_SERVING, refuses new calls, gives those under way `grace_s` seconds; what is
        not finished by then ends with UNAVAILABLE, and RetryInfo."""
        for port in self._ports:
            await asyncio.to_thread(self.watch.release, port)
        await self._health.enter_graceful_shutdown()
        async with asyncio.timeout(grace_s + LAST_ANSWERS_S + END_WITHIN_S):
            stopping = asyncio.ensure_future(self._server.stop(grace_s + LAST_ANSWERS_S))
            try:
                await asyncio.wait([stopping], timeout=grace_s)
                self._errors_to_status.end_calls()
                await stopping
            finally:
                stopping.cancel()

    def _is_closed(self, peer: str) -> bool:
        end = peer_end(peer)
        return end is not None and self.watch.is_closed(*end)

    def _close_wasteful(self, peer: str, excess: Excess) -> None:
        end = peer_end(peer)
        if end is None:
            return
        if not self._proxies.is_trusted(end[0]):  # who is behind one comes from elsewhere
            self.watch.refuse(peer_group(peer), self._ports)
        if Excess.CONNECTION in excess:
            self.watch.close_peer(*end)
        if Excess.ADDRESS in excess:
            beyond = FLOOD_BYTES if self.tls is None else TLS_FLOOD_BYTES
            self.watch.close_unheard(peer_group(peer), self._wasted.has_called, beyond=beyond)


def choose_transport(wanted: Transport) -> Transport:
    """Which transport serves. Raises InvalidInput where the one wanted cannot."""
    available = importlib.util.find_spec("pygrpc_native") is not None
    if wanted is Transport.NATIVE and not available:
        raise InvalidInput("transport", "pygrpc-native is not installed; use --transport grpcio")
    if wanted is Transport.AUTO:
        return Transport.NATIVE if available else Transport.GRPCIO
    return wanted


def _cannot_listen(address: str) -> InvalidInput:
    return InvalidInput(
        "listen", f"cannot listen on {address}: taken by another program, or not an address here"
    )
