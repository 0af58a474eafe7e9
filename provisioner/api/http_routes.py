"""The HTTP routes of a provisioning server, each for a method of ProvisioningService.

docs/reference/openapi.json is made of them and of the contract, by proto/openapi.py.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from control_plane.http_serving.routes import Route
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.provisioning_service import NAME

CLIENTS = "/v1/tenants/{tenant}/clients"
CLIENT = f"{CLIENTS}/{{client_id}}"
TICKET = MappingProxyType({"Homeport-Ticket": "ticket"})
OPENAPI = "/openapi.json"

ROUTES = (
    Route(
        verb="GET",
        path=CLIENT,
        method=f"/{NAME}/GetAssignment",
        request=pb.GetAssignmentRequest,
        response=pb.GetAssignmentResponse,
        headers=TICKET,
    ),
    Route(
        verb="POST",
        path=f"{CLIENT}:provision",
        method=f"/{NAME}/Provision",
        request=pb.ProvisionRequest,
        response=pb.ProvisionResponse,
        headers=TICKET,
    ),
    Route(
        verb="POST",
        path=f"{CLIENT}:release",
        method=f"/{NAME}/ReleaseAssignment",
        request=pb.ReleaseAssignmentRequest,
        response=pb.ReleaseAssignmentResponse,
        headers=TICKET,
    ),
    Route(
        verb="POST",
        path=f"{CLIENT}:explain",
        method=f"/{NAME}/ExplainPlacement",
        request=pb.ExplainPlacementRequest,
        response=pb.ExplainPlacementResponse,
        headers=TICKET,
    ),
    Route(
        verb="POST",
        path=f"{CLIENTS}:provisionMany",
        method=f"/{NAME}/ProvisionMany",
        request=pb.ProvisionManyRequest,
        response=pb.ProvisionManyResponse,
        query=("without_tickets",),
        lines=True,
    ),
)
METHODS = {(route.verb, route.path): route.method for route in ROUTES}
"""Each route, and the gRPC method by whose contract it is decided who may call it."""


def openapi() -> bytes:
    """The description of the routes, as JSON."""
    return (Path(__file__).parent / "openapi.json").read_bytes()
