"""Homeport's client library: gives every client of a service its home.

    import homeport

    with homeport.Client("127.0.0.1:7700") as client:
        home = client.provision("phone-4711", address="203.0.113.9")
        print(home.unit_id, homeport.admit(home.endpoint, home.ticket).admitted)

AsyncClient is the same on asyncio. Needs nothing but grpcio and protobuf.
"""

from homeport.async_client import AsyncClient
from homeport.async_watch import AsyncAssignmentWatch, AsyncFollower
from homeport.cache import user_cache_dir
from homeport.channels import Tls
from homeport.client import Client
from homeport.enrolment import hmac_token
from homeport.errors import (
    Conflict,
    DeadlineExceeded,
    HomeportError,
    InvalidRequest,
    NoRoom,
    NotFound,
    PermissionDenied,
    Refused,
    ServerFault,
    Unauthenticated,
    Unavailable,
    Unsupported,
    WaitingForRoom,
)
from homeport.event_publisher import EventPublisher, Published
from homeport.failure import Code, Violation
from homeport.own_consents import GivenConsent, OwnConsents
from homeport.retrying import RetryPolicy
from homeport.sync_watch import AssignmentWatch, Follower
from homeport.units import AsyncUnit, Unit, admit
from homeport.values import (
    Admission,
    AdmitReason,
    Assignment,
    AssignmentChange,
    AssignmentChangeKind,
    ClientAt,
    ConsideredUnit,
    ExplainedCap,
    ExplainedHook,
    ExplainedPin,
    ExplainedPolicy,
    ExplainedRule,
    Explanation,
    LatencyReport,
    Location,
    LocationSource,
    MeasuredFigure,
    PlacementVerdict,
    ProvisionResult,
    RecordedDecision,
    Redirect,
)
from homeport.version import __version__

__all__ = [
    "Admission",
    "AdmitReason",
    "Assignment",
    "AssignmentChange",
    "AssignmentChangeKind",
    "AssignmentWatch",
    "AsyncAssignmentWatch",
    "AsyncClient",
    "AsyncFollower",
    "AsyncUnit",
    "Client",
    "ClientAt",
    "Code",
    "Conflict",
    "ConsideredUnit",
    "DeadlineExceeded",
    "EventPublisher",
    "ExplainedCap",
    "ExplainedHook",
    "ExplainedPin",
    "ExplainedPolicy",
    "ExplainedRule",
    "Explanation",
    "Follower",
    "GivenConsent",
    "HomeportError",
    "InvalidRequest",
    "LatencyReport",
    "Location",
    "LocationSource",
    "MeasuredFigure",
    "NoRoom",
    "NotFound",
    "OwnConsents",
    "PermissionDenied",
    "PlacementVerdict",
    "ProvisionResult",
    "Published",
    "RecordedDecision",
    "Redirect",
    "Refused",
    "RetryPolicy",
    "ServerFault",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "Unit",
    "Unsupported",
    "Violation",
    "WaitingForRoom",
    "__version__",
    "admit",
    "hmac_token",
    "user_cache_dir",
]
