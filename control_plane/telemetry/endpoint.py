"""MetricsEndpoint: /metrics, /healthz and /readyz over HTTP, from a thread of its own.

Metrics are read when somebody scrapes; the hot path only counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from enum import StrEnum
from types import TracebackType
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.registry import Collector

from control_plane.errors import InvalidInput
from control_plane.printable import why_failed
from control_plane.supervision import Supervisor
from control_plane.telemetry.background_tasks import BackgroundTasks
from control_plane.telemetry.http_server import BoundedHandler, BoundedHttpServer


class Readiness(StrEnum):
    """What /readyz says. DEGRADED is 200 as well: a server that still answers known clients
    must not be taken out of the rotation, least of all when all of them are degraded."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not ready"


METRICS, ALIVE, READY = PATHS = ("/metrics", "/healthz", "/readyz")
"""What there is; for whoever can connect."""


class MetricsEndpoint:
    """Listens on host:port while entered; an empty address listens nowhere.

    Beside what the collectors tell there is how the tasks of `supervisor` fare. `ready` is asked by
    /readyz: 503 when not ready, else 200, and the word. /healthz is 200
    as long as the process answers.
    """

    def __init__(
        self,
        listen: str,
        collector: Collector,
        supervisor: Supervisor,
        *more: Collector,
        ready: Callable[[], Readiness],
    ) -> None:
        self._listen = listen
        self._ready = ready
        self.registry = registry = CollectorRegistry()
        for one in (collector, *more):
            registry.register(one)
        registry.register(BackgroundTasks(supervisor))
        ProcessCollector(registry=registry)
        self._metrics = make_wsgi_app(registry)
        self._server: WSGIServer | None = None
        self.address = ""

    def _application(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == METRICS:
            page: Iterable[bytes] = self._metrics(environ, start)
            return page
        if path == ALIVE:
            status, body = "200 OK", b"alive\n"
        elif path == READY:
            ready = self._ready()
            refused = ready is Readiness.NOT_READY
            status = "503 Service Unavailable" if refused else "200 OK"
            body = f"{ready}\n".encode()
        else:
            status, body = "404 Not Found", b"there are /metrics, /healthz and /readyz\n"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [body]

    def __enter__(self) -> MetricsEndpoint:
        if self._listen:
            host, _, port = self._listen.rpartition(":")
            try:
                self._server = make_server(
                    host.strip("[]"),
                    int(port),
                    self._application,
                    BoundedHttpServer,
                    handler_class=BoundedHandler,
                )
            except (OSError, ValueError) as error:
                raise InvalidInput(
                    "metrics_listen",
                    f"cannot listen on {self._listen} for metrics: {why_failed(error)}; "
                    "choose another --metrics-listen",
                ) from error
            self.address = f"{host}:{self._server.server_port}"
            threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
