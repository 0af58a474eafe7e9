"""A user's own consents over HTTP and JSON: the routes, each a method of SharingService. The user's
ticket is the bearer.

    GET  /v1/tenants/{tenant}/consents
    POST /v1/tenants/{tenant}/consents
    POST /v1/tenants/{tenant}/consents/{consent_id}:withdraw
"""

from __future__ import annotations

from control_plane.http_serving.routes import Route
from data_sharing.api.sharing_service import NAME
from homeport.api.datasharing.v1 import sharing_pb2 as pb

CONSENTS = "/v1/tenants/{tenant}/consents"
ROUTES = (
    Route(
        verb="GET",
        path=CONSENTS,
        method=f"/{NAME}/ListOwnConsents",
        request=pb.ListOwnConsentsRequest,
        response=pb.ListConsentsResponse,
    ),
    Route(
        verb="POST",
        path=CONSENTS,
        method=f"/{NAME}/GiveOwnConsent",
        request=pb.GiveOwnConsentRequest,
        response=pb.Consent,
    ),
    Route(
        verb="POST",
        path=f"{CONSENTS}/{{consent_id}}:withdraw",
        method=f"/{NAME}/WithdrawOwnConsent",
        request=pb.WithdrawOwnConsentRequest,
        response=pb.Consent,
    ),
)
