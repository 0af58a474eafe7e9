"""JsonServer: a JsonDoor on an address of its own, with the interceptors and limits of the gRPC
server that it stands beside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from control_plane.http_serving.cross_origin import CrossOrigin
from control_plane.http_serving.in_process import InProcessMethods
from control_plane.http_serving.json_door import JsonDoor, Lines
from control_plane.http_serving.listener import HttpListener
from control_plane.http_serving.routes import Route
from control_plane.http_serving.status_json import http_error
from control_plane.serving.call_statistics import CallCounter
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.errors_to_status import ErrorsToStatus
from control_plane.serving.peers import Proxies
from control_plane.serving.server import LAST_ANSWERS_S, Server, Service
from control_plane.serving.tls import HTTP1, following
from control_plane.serving.traced_calls import TraceInterceptor, traced_hot
from control_plane.tracing.tracer import Tracer

MOST_BYTES: Final = 1 << 20  # of any body, as of a message over gRPC
POLL_S: Final = 0.02
PAGE_HEADERS: Final = (
    "authorization", "content-type", "homeport-client-key", "homeport-ticket",
)  # fmt: skip


def _traced(service: Service, tracer: Tracer) -> Service:
    """The same, with a span for each call of its hot methods."""
    hot = {
        name: traced_hot(f"/{service.name}/{name}", method, tracer)
        for name, method in service.hot.items()
    }
    return replace(service, hot=hot)


class JsonServer:
    """Listens between `start` and `stop`; an empty address listens nowhere."""

    def __init__(
        self,
        listen: str,
        routes: Sequence[Route],
        services: Sequence[Service],
        *,
        beside: Server,
        interceptors: Sequence[Any],
        allowed_origins: frozenset[str],
        documents: Mapping[str, bytes],
        lines: Callable[[InProcessMethods], Lines],
        limits: ConnectionLimits,
        proxies: Proxies,
        share_port: bool = False,
        tracer: Tracer | None = None,
    ) -> None:
        """beside: whose TLS, statistics and watch of connections these are as well. interceptors:
        its own, see there. tracer: None: calls are not traced."""
        self._errors_to_status = ErrorsToStatus()
        counter, traces = CallCounter(beside.statistics), list[Any]()
        if tracer is not None:
            hot = [f"/{one.name}/{name}" for one in services for name in one.hot]
            traces = [TraceInterceptor(tracer, hot)]
            services = [_traced(one, tracer) for one in services]
        behind = [counter, *traces, self._errors_to_status, *interceptors]
        methods = InProcessMethods(services, behind)
        queues = {f"/{one.name}/{n}": queue for one in services for n, queue in one.queues.items()}
        self._door = JsonDoor(
            routes,
            methods,
            CrossOrigin(allowed_origins, headers=PAGE_HEADERS),
            documents=documents,
            lines=lines(methods),
        )
        self._listener = HttpListener(
            listen,
            what="HTTP",
            add_routes=self._door.add_routes,
            middlewares=[self._door.middleware],
            error=http_error,
            max_body_bytes=MOST_BYTES,
            tls=following(beside.tls, HTTP1) if beside.tls and listen else None,
            watch=beside.watch,
            limits=limits,
            is_proxy=proxies.is_trusted,
            share_port=share_port,
            finish_within_s=LAST_ANSWERS_S,
            early=self._door.early_refusals(queues, beside.statistics) if queues else None,
        )

    @property
    def address(self) -> str:
        """host:port where it listens; empty: nowhere."""
        return self._listener.address

    @property
    def under_way(self) -> int:
        """Requests that are read or answered now."""
        return self._door.under_way

    async def start(self) -> None:
        """Raises InvalidInput where the address cannot be had."""
        await self._listener.start()

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, gives those under way `grace_s` seconds; what is not finished by then
        ends with UNAVAILABLE."""
        self._door.draining = True
        await self._listener.stop_accepting()
        end = asyncio.get_running_loop().time() + grace_s
        while self._door.under_way and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        self._errors_to_status.end_calls()
        await self._listener.stop()
