"""Homeport's client library: gives every client of a service its home.

    import homeport

    with homeport.Client("127.0.0.1:7700") as client:
        home = client.provision("phone-4711", address="203.0.113.9")
        print(home.unit_id, homeport.admit(home.endpoint, home.ticket).admitted)

AsyncClient is the same on asyncio. Needs nothing but grpcio and protobuf.
"""

from homeport.async_client import AsyncClient
from homeport.async_watch import AsyncFollower, AsyncWatch
from homeport.cache import user_cache_dir
from homeport.channels import Tls
from homeport.client import Client
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
)
from homeport.failure import Code, Violation
from homeport.retrying import RetryPolicy
from homeport.sync_watch import Follower, Watch
from homeport.units import AsyncUnit, Unit, admit
from homeport.values import (
    Admission,
    AdmitReason,
    Assignment,
    Change,
    ChangeKind,
    ClientAt,
    ConsideredUnit,
    Explanation,
    Location,
    LocationSource,
    ProvisionResult,
    Redirect,
    Verdict,
)
from homeport.version import __version__

__all__ = [
    "Admission",
    "AdmitReason",
    "Assignment",
    "AsyncClient",
    "AsyncFollower",
    "AsyncUnit",
    "AsyncWatch",
    "Change",
    "ChangeKind",
    "Client",
    "ClientAt",
    "Code",
    "Conflict",
    "ConsideredUnit",
    "DeadlineExceeded",
    "Explanation",
    "Follower",
    "HomeportError",
    "InvalidRequest",
    "Location",
    "LocationSource",
    "NoRoom",
    "NotFound",
    "PermissionDenied",
    "ProvisionResult",
    "Redirect",
    "Refused",
    "RetryPolicy",
    "ServerFault",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "Unit",
    "Unsupported",
    "Verdict",
    "Violation",
    "Watch",
    "__version__",
    "admit",
    "user_cache_dir",
]
