"""RefusedCertificates: callers whom the client CA does not vouch for, in the operator's log.

They hear no more than that the handshake failed; the reason is OpenSSL's. A line for each reason,
network and minute, however many come. What else makes handshakes fail is strangers' noise, and is
not told.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable

from control_plane.once_per_address import OncePerAddress

log = logging.getLogger(__name__)

NO_CERTIFICATE = "PEER_DID_NOT_RETURN_A_CERTIFICATE"  # OpenSSL's name for it


class RefusedCertificates:
    """For one thread. clock: monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, OncePerAddress] = {}  # by reason, of which OpenSSL has some dozens

    def note(self, address: str, error: BaseException) -> None:
        """A handshake with this IP address that ended so."""
        why = why_refused(error)
        if why is None:
            return
        told = self._told.get(why)
        if told is None:
            told = self._told[why] = OncePerAddress(log, clock=self._clock)
        told.warn(address.partition("%")[0], f"handshakes refused: {why}")


def why_refused(error: BaseException) -> str | None:
    """What is wrong with the certificate; None: it failed for something else.

    >>> why_refused(ConnectionResetError()) is None
    True
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate: {error.verify_message}"
    # Errors that OpenSSL did not make have no reason.
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", None) == NO_CERTIFICATE:
        return "the client showed no certificate"
    return None
