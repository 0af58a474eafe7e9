"""WebServer: the HTTP port of one unit, built and served beside its gRPC server, with the TLS, the
limits and the statistics of that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from control_plane.exposure import is_loopback
from control_plane.http_serving.in_process import InProcessMethods
from control_plane.http_serving.listener import ConnectionObserver, HttpListener
from control_plane.http_serving.status_json import http_error
from control_plane.serving.call_statistics import CallCounter
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.errors_to_status import ErrorsToStatus
from control_plane.serving.server import LAST_ANSWERS_S, Server, Service
from control_plane.serving.tls import HTTP1, following
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.web.calls import MOST_BYTES, MethodCalls, is_secure
from deployment_units.services.web.client_files import client_files
from deployment_units.services.web.confirmations import Confirmations
from deployment_units.services.web.door import WebDoor
from deployment_units.services.web.event_streams import KEEP_ALIVE_S, EventStreams
from deployment_units.services.web.message_pages import MessagePages
from deployment_units.services.web.methods import web_methods
from deployment_units.services.web.sessions import Sessions

IDLE_S: Final = 3_600.0  # a browser that only listens says nothing


class WebServer:
    """Listens between `start` and `stop`; an empty address listens nowhere."""

    def __init__(
        self,
        unit_id: str,
        listen: str,
        services: Sequence[Service],
        callers: Callers,
        *,
        beside: Server,
        limits: ConnectionLimits,
        confirmations: Confirmations | None = None,
        messages: MessagePages | None = None,
        observer: ConnectionObserver | None = None,
        wall: Callable[[], float] = time.time,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        """beside: whose TLS, statistics and watch of connections these are as well. confirmations:
        behind /a/TOKEN, messages: behind /m/TOKEN; None: there are none. observer: of its
        connections. wall: Unix seconds. keep_alive_s: between two signs of life on a stream
        of events."""
        behind = [CallCounter(beside.statistics), ErrorsToStatus()]
        methods = InProcessMethods(services, behind)
        secure = bool(listen) and not is_loopback(listen)
        calls = MethodCalls(
            unit_id, methods, web_methods(services), is_secure=partial(is_secure, always=secure)
        )
        sessions = Sessions(unit_id, callers, calls, wall=wall)
        self.streams = EventStreams(calls, methods, keep_alive_s=keep_alive_s)
        self.door = WebDoor(
            callers, calls, sessions, self.streams, client_files(), confirmations, messages
        )
        self._listener = HttpListener(
            listen,
            what="the web client",
            add_routes=self.door.add_routes,
            middlewares=[self.door.middleware],
            error=http_error,
            max_body_bytes=MOST_BYTES,
            tls=following(beside.tls, HTTP1) if beside.tls and listen else None,
            watch=beside.watch,
            limits=replace(limits, idle_s=max(limits.idle_s, IDLE_S)),
            finish_within_s=LAST_ANSWERS_S,
            observer=observer,
        )

    @property
    def address(self) -> str:
        """host:port where it listens; empty: nowhere."""
        return self._listener.address

    async def start(self) -> None:
        """Raises InvalidInput where the address cannot be had."""
        await self._listener.start()

    async def stop(self) -> None:
        """Ends streams, finishes what is under way, and closes all connections."""
        self.streams.stop()
        await self._listener.stop()
