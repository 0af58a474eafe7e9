"""Approvals over HTTP and JSON: the routes, each a method of ApprovalService.

GET  /v1/tenants/{tenant}/approvals
GET  /v1/tenants/{tenant}/approvals/{instruction_id}
POST /v1/tenants/{tenant}/approvals/{instruction_id}:approve
POST /v1/tenants/{tenant}/approvals/{instruction_id}:reject
"""

from __future__ import annotations

from control_plane.http_serving.routes import Route
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
