"""The native transport: pygrpc-native, HTTP/2 and framing in Rust outside the GIL.

Its aio server runs ordinary servicers; this adds hot methods, which are picked out of the
batch of events before a task or context is made for them. TLS ends in a listener before it
(`tls_listener`), which says whose connection each call came over. This leans on three private
names of pygrpc-native 0.5 (`_on_events`, `_table`, `_options`), for which pyproject.toml pins it;
docs/decisions/0002 says what it buys.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from types import MappingProxyType
from typing import Any

import grpc
import pygrpc_native.aio as native_aio  # `from pygrpc_native import aio` recurses in 0.5.0
from pygrpc_native import EVENT_CALL, NativeGrpcFront

from control_plane.errors import ServiceError, Unauthenticated
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.call_statistics import CallStatistics, MethodStatistics
from control_plane.serving.call_turns import HOT_BYTES, CallTurns, Event
from control_plane.serving.calls import HotForSome, HotMethod, Metadata
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.connections import Connections
from control_plane.serving.errors_to_status import draining
from control_plane.serving.grpcio import MAX_STREAMS
from control_plane.serving.native_call import NativeCall
from control_plane.serving.status import status_of
from control_plane.serving.tls import TlsFiles
from control_plane.serving.tls_listener import TlsListener

log = logging.getLogger(__name__)

BEHIND_STREAMS = (
    1_000_000  # the front bounds them; grpcio would refuse some too early (see `server`)
)
_UNAVAILABLE: int = grpc.StatusCode.UNAVAILABLE.value[0]
LAST_BYTES_S = 0.1  # for the front to write what it was handed; it does not say when it has


class NativeServer(native_aio.Server):
    """A grpc.aio server with hot methods: full method path -> function."""

    def __init__(
        self,
        *,
        hot: Mapping[str, HotMethod | HotForSome],
        interceptors: Sequence[Any],
        options: Sequence[tuple[str, Any]],
        connections: Connections | None = None,
        statistics: CallStatistics | None = None,
        limits: ConnectionLimits | None = None,
        queues: Mapping[str, AdmissionQueue] = MappingProxyType({}),
    ) -> None:
        """connections: those of the listener that ends TLS before this; None: nothing does.
        statistics: where hot calls are counted. limits: of TLS handshakes. queues: by path of
        a hot method, what stands before it."""
        super().__init__(interceptors=interceptors, options=options)
        self._options = [(name, value) for name, value in options if name != MAX_STREAMS]
        self._options.append((MAX_STREAMS, BEHIND_STREAMS))
        self._hot = hot
        self._hot_by_id: dict[int, tuple[HotMethod | HotForSome, MethodStatistics]] = {}
        self._statistics = statistics or CallStatistics()
        self._queues = queues
        self._queues_by_id: dict[int, tuple[AdmissionQueue, MethodStatistics]] = {}
        self._full_by_id: dict[int, Callable[[], bool]] = {}
        self._turns = CallTurns(
            self._begin,
            hot=self._hot_by_id,
            full=self._full_by_id,
            peer_of=_front_peer if connections is None else connections.peer_of,
            clock=time.monotonic,
        )
        self._draining = False
        self._connections = connections
        self._limits = limits or ConnectionLimits()
        self._listener: TlsListener | None = None
        self._folder = ""  # of the socket between the listener and the front
        self.outstanding = 0  # hot calls that wait for their answer

    def add_tls_port(self, address: str, files: TlsFiles, *, share_port: bool) -> int:
        """Listens on host:port with TLS, and returns the port. Raises OSError, ValueError."""
        if self._connections is None:
            raise ValueError("without connections there is nobody to end TLS")
        self._folder = tempfile.mkdtemp(prefix="homeport-tls-")  # for its owner alone
        try:
            path = f"{self._folder}/server.sock"
            self.add_insecure_port(f"unix:{path}")
            self._listener = TlsListener(files, self._connections, path, limits=self._limits)
            return self._listener.bind(address, share_port=share_port)
        except (OSError, ValueError, RuntimeError):
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    async def start(self) -> None:
        await super().start()
        if self._listener is not None:
            await asyncio.to_thread(self._listener.start)
        self._hot_by_id.update(
            {
                number: (self._hot[path], self._statistics.of(path))
                for number, (path, _) in enumerate(self._table)
                if path in self._hot
            }
        )
        for number, (path, _) in enumerate(self._table):
            if (queue := self._queues.get(path)) is not None:
                self._queues_by_id[number] = queue, self._statistics.of(path)
                self._full_by_id[number] = queue.is_full

    def _on_events(self, events: list[Event]) -> None:
        front: NativeGrpcFront | None = self._front
        for number, (queue, statistics) in self._queues_by_id.items():
            if queue.is_overfull() and not self._draining and front is not None:
                events = _turned_away(events, number, queue, statistics, front)
        if events:
            self._turns.take(events)

    def _begin(self, events: list[Event]) -> None:
        front: NativeGrpcFront | None = self._front
        methods, others = self._hot_by_id, []
        limit, connections = self._receive_limit, self._connections
        now, arrived = monotonic(), self._turns.arrived
        for event in events:
            hot = methods.get(event[2])
            if hot is None or event[0] != EVENT_CALL:
                if self._draining and event[0] == EVENT_CALL and front is not None:
                    status = status_of(draining())
                    front.fail(event[1], status.code.value[0], status.message, status.trailers)
                else:
                    others.append(event)
                continue
            payload = event[3]
            details, connection, stranger = event[5], None, None
            if connections is not None:
                try:
                    connection, metadata = connections.of(details[0])
                    details = metadata, connection.peer, details[2]
                except Unauthenticated as error:
                    stranger = error
            method, statistics = hot
            began = arrived.get(event[1], now) if arrived else now
            call = NativeCall(
                self, front, event[1], payload, details, connection, statistics, began
            )
            self.outstanding += 1
            if stranger is not None:
                call.fail(stranger)
            elif self._draining:
                call.fail(draining())
            elif limit is not None and len(payload) > limit:
                self.outstanding -= 1
                others.append(event)  # answers with grpcio's words
            else:
                try:
                    if method(call) is False:
                        self.outstanding -= 1
                        others.append(event)
                except Exception:  # the boundary: one bad call must not take its batch along
                    log.exception("a hot method failed")
                    call.fail(ServiceError("internal error; see the server's log"))
        if others:
            super()._on_events(others)

    async def stop(self, grace: float | None) -> None:
        """Refuses new calls, waits up to `grace` seconds for those under way, then ends. What is
        answered by then reaches the callers: the front would close on its last answers."""
        self._draining = True
        if self._listener is not None:
            self._listener.stop_accepting()
        loop = asyncio.get_running_loop()
        end = loop.time() + (grace or 0.0)
        streams = None
        if self._fallback is not None:
            streams = asyncio.ensure_future(self._fallback.stop(grace))
        # Polled, because an event would have to be seen to on every call.
        while (self.outstanding or self._calls or len(self._turns)) and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if streams is not None:
            await streams
        await asyncio.sleep(LAST_BYTES_S)
        await super().stop(max(0.0, end - loop.time()))
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close, LAST_BYTES_S)
            shutil.rmtree(self._folder, ignore_errors=True)


def _front_peer(metadata: Metadata, peer: str) -> str:
    """As the front says: the caller's connection is its own."""
    return peer


def _turned_away(
    events: list[Event],
    number: int,
    queue: AdmissionQueue,
    statistics: MethodStatistics,
    front: NativeGrpcFront,
) -> list[Event]:
    """Refuses those calls of a method that are refused with a status alone, for which nothing was
    made yet; the other events."""
    left: list[Event] = []
    fail, turn_away = front.fail, queue.turn_away
    for event in events:
        if event[2] == number and event[0] == EVENT_CALL and len(event[3]) < HOT_BYTES:
            status = turn_away(event[3])
            if status is not None:
                fail(event[1], _UNAVAILABLE, status.message, status.trailers)
                continue
        left.append(event)
    statistics.refused(grpc.StatusCode.UNAVAILABLE.name, len(events) - len(left))
    return left
