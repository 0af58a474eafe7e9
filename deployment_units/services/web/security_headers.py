"""What each answer tells a browser to refuse, and what a page of another site may not have done.

Pages here show what strangers wrote. So nothing runs or is styled that is not a file of ours, no
page of others frames them, and none of them learns where a visitor came from. The policy is that of
CSP Level 3 (https://www.w3.org/TR/CSP3/). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from control_plane.errors import PermissionDenied

_NOTHING: Final = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
POLICY_OF_DATA: Final = f"{_NOTHING}; form-action 'none'"
POLICY_OF_CLIENT: Final = (
    f"{_NOTHING}; form-action 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'"
)
POLICY_OF_FORM: Final = f"{_NOTHING}; form-action 'self'; style-src 'self'"

EVERYWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "Server": "homeport",  # and not which versions of what
    }
)
"""Of every answer, beside the policy of its kind."""


def check_same_origin(*, site: Sequence[str], origins: Sequence[str], host: str) -> None:
    """Of a request that changes something: raises PermissionDenied where a page of another origin
    makes it, its own sister sites included. site, origins: its headers Sec-Fetch-Site and Origin;
    host: its Host. A browser sends one of the first two, and a page sets neither."""
    if site:
        if list(site) == ["same-origin"]:
            return
    elif not origins or (len(origins) == 1 and host and _netloc(origins[0]) == host.lower()):
        return
    raise PermissionDenied("a page of another site may not do this; open the client of this unit")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
