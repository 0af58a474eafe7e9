"""WaitingTokens: since when a client waits for room, as the client itself brings it along.

A server that turns a client away for now tells it this, signed; whichever server the client asks
next reads it, and none has to remember anybody. HMAC-SHA256 with a key derived from the master of a
key epoch (HKDF, RFC 5869), which no unit has, over tenant, client, the time and how long the token
is good. A token of another client, of another tenant or of another key says nothing, and neither
does one that is not brought back in time: who stays away begins to wait anew.
"""

from __future__ import annotations

import base64
import hmac
import re
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from control_plane.identity.keyring import KeyEpoch
from control_plane.identity.tickets import TicketIssuer

KEPT_S: Final = 90  # how long a client may stay away between two asks
SKEW_MS: Final = 5_000  # by which clocks of servers may differ
MOST_CHARACTERS: Final = 128
_FORM = re.compile(r"w1\.([0-9]{1,10})\.([0-9]{1,15})\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})")
_SALT = b"homeport waiting token v1"


class WaitingTokens:
    """issuer: of tickets, whose keys count here as well."""

    def __init__(self, issuer: TicketIssuer) -> None:
        self._issuer = issuer

    def issue(self, tenant: str, client_id: str, *, since_ms: int, now_ms: int) -> str:
        """What says that the client waits since then, Unix ms."""
        epoch = self._issuer.ring.signing(now_ms / 1000.0)
        until_s = now_ms // 1000 + KEPT_S
        signed = _signed(epoch, tenant, client_id, since_ms, until_s)
        return f"w1.{epoch.epoch}.{since_ms}.{until_s}.{signed}"

    def since_ms(self, token: str, tenant: str, client_id: str, *, now_ms: int) -> int:
        """Since when the client waits, Unix ms; 0: the token does not say so, whatever it is."""
        found = _FORM.fullmatch(token) if len(token) <= MOST_CHARACTERS else None
        if found is None:
            return 0
        number, since_ms, until_s = (int(text) for text in found.groups()[:3])
        if until_s * 1000 < now_ms or since_ms > now_ms + SKEW_MS:
            return 0
        for epoch in self._issuer.ring.valid(now_ms / 1000.0):
            if epoch.epoch == number:
                signed = _signed(epoch, tenant, client_id, since_ms, until_s)
                return since_ms if hmac.compare_digest(signed, found[4]) else 0
        return 0


def _signed(epoch: KeyEpoch, tenant: str, client_id: str, since_ms: int, until_s: int) -> str:
    said = f"{tenant}\0{since_ms}\0{until_s}\0{client_id}".encode()  # no tenant's id has a NUL
    made = hmac.digest(_key(epoch.epoch, epoch.master), said, sha256)
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


@lru_cache(maxsize=64)
def _key(number: int, master: str) -> bytes:
    info = f"waiting epoch {number}".encode()
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=_SALT, info=info)
    return derive.derive(base64.b64decode(master))
