"""Enrolment tokens: made by whoever has a group's key, for clients to show once.

A tenant's groups are made by `homeport enrolment groups add`, which prints their key.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

HMAC_PREFIX = "hmac"
MIN_KEY_BYTES = 32


def hmac_token(*, group: str, key: str | bytes, tenant: str, client_id: str) -> str:
    """The token with which one client may enrol: `hmac.<group>.<HMAC-SHA256>`, over
    `<tenant>/<client_id>`. key: as it was printed, or its bytes. Raises ValueError for a key
    that is none.

    >>> hmac_token(group="line-3", key=bytes(32), tenant="city", client_id="meter-1")
    'hmac.line-3.8zk8RDAzvu8fJf4GqqRS1AqLrBoc-GLxtVdNnGnaiN0'
    """
    secret = _decode(key) if isinstance(key, str) else key
    if len(secret) < MIN_KEY_BYTES:
        raise ValueError(f"the group's key has {len(secret)} bytes; it has {MIN_KEY_BYTES} or more")
    made = hmac.digest(secret, f"{tenant}/{client_id}".encode(), hashlib.sha256)
    return f"{HMAC_PREFIX}.{group}.{urlsafe_b64encode(made).rstrip(b'=').decode('ascii')}"


def _decode(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise ValueError("the group's key is not base64url; give it as it was printed") from error
