"""Approvals over HTTP and JSON, on the port that takes events.

    GET  /v1/tenants/{tenant}/approvals
    GET  /v1/tenants/{tenant}/approvals/{instruction_id}
    POST /v1/tenants/{tenant}/approvals/{instruction_id}:approve
    POST /v1/tenants/{tenant}/approvals/{instruction_id}:reject

Each is a method of ApprovalService, behind the same checks: credentials, quotas, audit.
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
from data_sharing.api.approval_service import NAME
from homeport.api.datasharing.v1 import approval_pb2 as pb

APPROVALS = "/v1/tenants/{tenant}/approvals"
ONE = f"{APPROVALS}/{{instruction_id}}"
ROUTES = (
    Route(
        verb="GET",
        path=APPROVALS,
        method=f"/{NAME}/ListApprovals",
        request=pb.ListApprovalsRequest,
        response=pb.ListApprovalsResponse,
    ),
    Route(
        verb="GET",
        path=ONE,
        method=f"/{NAME}/GetApproval",
        request=pb.GetApprovalRequest,
        response=pb.Approval,
    ),
    Route(
        verb="POST",
        path=f"{ONE}:approve",
        method=f"/{NAME}/ApproveApproval",
        request=pb.ApproveApprovalRequest,
        response=pb.Approval,
    ),
    Route(
        verb="POST",
        path=f"{ONE}:reject",
        method=f"/{NAME}/RejectApproval",
        request=pb.RejectApprovalRequest,
        response=pb.Approval,
    ),
)
_HEADERS = ("authorization", "content-type")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpApprovals:
    """A middleware of a listener: it answers what is for approvals, and leaves the rest. No pages
    of other origins are allowed."""

    def __init__(self, service: Service, interceptors: Sequence[Any]) -> None:
        """interceptors: as the gRPC server beside it has them."""
        self._door = JsonDoor(
            ROUTES,
            InProcessMethods([service], [ErrorsToStatus(), *interceptors]),
            CrossOrigin((), headers=_HEADERS),
            documents={},
            lines=_no_lines,
        )

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path, _ = path_and_query(request.raw_path)
        parts = path.split("/")
        ours = len(parts) >= 5 and (parts[1], parts[2]) == ("v1", "tenants")
        if ours and parts[4].partition(":")[0] == "approvals":
            return await self._door.middleware(request, handler)
        return await handler(request)


async def _no_lines(
    request: web.Request, route: Route, message: Any, context: InProcessContext
) -> web.Response:
    raise web.HTTPNotFound  # no route of these has them
