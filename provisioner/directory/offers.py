"""HandleOffer: that who has a handle gives it to another account, signed by the directory for them.

A text that whoever has it hands on; nothing is stored. It names the account that may take it and
the revision of the claim, so that it is good once, and void as soon as anything else happened.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from hmac import compare_digest

import msgspec

from control_plane.identity.pepper_ring import DirectorySecrets
from control_plane.store.damaged import UNREADABLE

MAX_OFFER = 2_048  # characters
_PURPOSE = "handle offer v1"


class HandleOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed."""

    tenant: str
    handle: str
    holder: str
    to: str
    revision: int  # of the claim
    until_ms: int  # Unix ms
    key: int = 0  # epoch of the pepper that signs


class OfferSigner:
    """secrets(): those of this server now."""

    def __init__(self, secrets: Callable[[], DirectorySecrets]) -> None:
        self._secrets = secrets

    def sign(self, offer: HandleOffer) -> str:
        """`<payload>.<signature>`, in base64url. Raises Unavailable."""
        secrets = self._secrets()
        body = msgspec.json.encode(msgspec.structs.replace(offer, key=secrets.epoch))
        mac = secrets.mac(_PURPOSE, body)
        assert mac is not None
        return f"{_text(body)}.{_text(mac)}"

    def read(self, token: str) -> HandleOffer | None:
        """The offer of a token; None: nobody has signed it. Raises Unavailable."""
        if len(token) > MAX_OFFER or not token.isascii():
            return None
        payload, _, signature = token.partition(".")
        try:
            body, mac = _octets(payload), _octets(signature)
            offer = msgspec.json.decode(body, type=HandleOffer)
        except UNREADABLE:
            return None
        wanted = self._secrets().mac(_PURPOSE, body, epoch=offer.key) if offer.key else None
        return offer if wanted is not None and compare_digest(wanted, mac) else None


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
