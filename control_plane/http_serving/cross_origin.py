"""CrossOrigin: which web pages may call, by the Fetch standard's CORS protocol
(https://fetch.spec.whatwg.org/#http-cors-protocol).

A request with an Origin that is not allowed is refused, not merely kept from being read: a page
could otherwise have its visitor's certificate, or a server on the visitor's loopback, do something.
Cookies are never asked for, and credentials are headers that a page has to set itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.printable import quoted

ANY = "*"
MAX_AGE_S = 600
MOST_CHARACTERS = 300
_ORIGIN = re.compile(r"https?://[a-z0-9._-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")


def read_origins(texts: Sequence[str]) -> frozenset[str]:
    """Origins as browsers write them, or `*`. Raises InvalidInput."""
    for text in texts:
        if text != ANY and (len(text) > MOST_CHARACTERS or _ORIGIN.fullmatch(text) is None):
            raise InvalidInput(
                "http_allow_origins",
                f"{quoted(text)} is no origin; write it as browsers do, such as "
                "https://app.example.net, without a path and without the usual port, or *",
            )
    return frozenset(texts)


class CrossOrigin:
    """allowed: from `read_origins`; headers: those that a page may set."""

    def __init__(self, allowed: Iterable[str], *, headers: Iterable[str]) -> None:
        self._allowed = frozenset(allowed)
        self._headers = ", ".join(headers)

    def check(self, origins: Sequence[str]) -> str:
        """The origin of a request with these Origin headers; empty: it has none, and comes from no
        page of another site. Raises PermissionDenied, InvalidInput."""
        if not origins:
            return ""
        if len(origins) > 1:
            raise InvalidInput("origin", "origin is there more than once; send one")
        if ANY not in self._allowed and origins[0] not in self._allowed:
            raise PermissionDenied(
                f"pages of {quoted(origins[0][:MOST_CHARACTERS])} may not call this server; an "
                "operator allows it with --http-allow-origins"
            )
        return origins[0]

    def headers(self, origin: str) -> Mapping[str, str]:
        """What an answer to it says. Without any allowed origin all answers are alike."""
        if not self._allowed:
            return {}
        said = {"Vary": "Origin"}
        if origin:
            said["Access-Control-Allow-Origin"] = ANY if ANY in self._allowed else origin
            said["Access-Control-Expose-Headers"] = "Retry-After"
        return said

    def preflight(self, origin: str, verbs: Iterable[str]) -> Mapping[str, str]:
        """What the answer to its OPTIONS request says of a path with these verbs."""
        return {
            **self.headers(origin),
            "Access-Control-Allow-Methods": ", ".join(verbs),
            "Access-Control-Allow-Headers": self._headers,
            "Access-Control-Max-Age": str(MAX_AGE_S),
        }
