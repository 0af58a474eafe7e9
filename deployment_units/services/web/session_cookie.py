"""The cookie by which a browser is signed in: the client's ticket, where no script reads it.

There is no session beside the ticket, so nothing has to be kept, and a restart signs nobody out:
the cookie ends when the ticket does, and the ticket is judged anew with each request. It goes to
this host alone, with requests of its own pages alone (RFC 6265bis, SameSite=Strict). Its name says
the unit, for browsers keep one jar for all ports of a host. Pure.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

_NAME_BYTES = 8  # of the digest of a unit's id, which may have what a cookie's name may not


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookie:
    """Of one unit. secure: browsers send it over TLS alone, and take it from nobody else."""

    unit_id: str
    secure: bool

    @property
    def name(self) -> str:
        """`__Host-` where it is secure: so no sister site can have set it."""
        digest = hashlib.sha256(self.unit_id.encode()).hexdigest()[: 2 * _NAME_BYTES]
        return f"{'__Host-' if self.secure else ''}homeport-{digest}"

    def signed_in(self, ticket: str, *, left_s: float) -> str:
        """The value of Set-Cookie. left_s: until the ticket ends."""
        return self._header(ticket, max(1, math.floor(left_s)))

    def signed_out(self) -> str:
        """The value of Set-Cookie that removes it."""
        return self._header("", 0)

    def _header(self, value: str, max_age_s: int) -> str:
        secure = "; Secure" if self.secure else ""
        return (
            f"{self.name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"
        )
