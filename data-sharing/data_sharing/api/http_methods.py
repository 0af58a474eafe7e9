"""HttpMethods: gRPC methods over HTTP and JSON, on the port that takes events.

Each route is a method behind the same checks as over gRPC: credentials, quotas, audit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from control_plane.http_serving.cross_origin import CrossOrigin
from control_plane.http_serving.in_process import InProcessContext, InProcessMethods
from control_plane.http_serving.json_door import JsonDoor
from control_plane.http_serving.routes import Route, path_and_query
from control_plane.serving.errors_to_status import ErrorsToStatus
from control_plane.serving.server import Service

_HEADERS = ("authorization", "content-type")
_PREFIX = "/v1/tenants/{tenant}/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpMethods:
    """A middleware of a listener: it answers what is for these routes, and leaves the rest. No
    pages of other origins are allowed."""

    def __init__(
        self, routes: Sequence[Route], services: Sequence[Service], interceptors: Sequence[Any]
    ) -> None:
        """routes: below a tenant. services: whose methods they are; interceptors: as the gRPC
        server beside it has them."""
        self._collections = frozenset(_collection(route) for route in routes)
        self._door = JsonDoor(
            routes,
            InProcessMethods(services, [ErrorsToStatus(), *interceptors]),
            CrossOrigin((), headers=_HEADERS),
            documents={},
            lines=_no_lines,
        )

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path, _ = path_and_query(request.raw_path)
        parts = path.split("/")
        ours = len(parts) >= 5 and (parts[1], parts[2]) == ("v1", "tenants")
        if ours and parts[4].partition(":")[0] in self._collections:
            return await self._door.middleware(request, handler)
        return await handler(request)


def _collection(route: Route) -> str:
    """What stands behind the tenant in its path."""
    return route.path.removeprefix(_PREFIX).partition("/")[0].partition(":")[0]


async def _no_lines(
    request: web.Request, route: Route, message: Any, context: InProcessContext
) -> web.Response:
    raise web.HTTPNotFound  # no route of these has them
