"""Reply addresses: `reply+<token>@host`, where the token says to which conversation an answer
belongs, and to whose mail it is one. Pure; the key is an argument.

    token = epoch "-" base32hex(HMAC-SHA256(key, label ‖ conversation ‖ participant ‖ address)[:20])

each part with its length before it. A token is found in the unit's tables by its digest; that it
is right can be checked by whoever has the key and knows conversation, participant and address.
Small letters and digits alone, for servers may change the case of what is before '@'.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32hexencode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

LEAST_KEY_BYTES = 32
PREFIX = "reply+"
_LABEL = b"homeport mail reply v1"
_TOKEN = re.compile(r"([1-9][0-9]{0,8})-([0-9a-v]{32})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyOwner:
    """Whose answers come to an address. conversation: its id; participant: the account; address:
    of theirs, in normal form, to which the mail went that is answered."""

    conversation: bytes
    participant: str
    address: str


def reply_token(key: bytes, epoch: int, owner: ReplyOwner) -> str:
    """epoch: of the key, from 1. Raises ValueError for a key that is too short."""
    if len(key) < LEAST_KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes; at least {LEAST_KEY_BYTES}")
    mac = hmac.new(key, digestmod=sha256)
    for part in (
        _LABEL, str(epoch).encode(), owner.conversation, owner.participant.encode(),
        owner.address.encode(),
    ):  # fmt: skip
        mac.update(len(part).to_bytes(4, "big") + part)
    return f"{epoch}-{b32hexencode(mac.digest()[:20]).decode().lower()}"


def token_of(recipient: str) -> str | None:
    """The token in an address of ours; None where there is none in it."""
    local = recipient.rpartition("@")[0].lower()
    if not local.startswith(PREFIX):
        return None
    token = local.removeprefix(PREFIX)
    return token if _TOKEN.match(token) else None


def token_fits(token: str, keys: Mapping[int, bytes], owner: ReplyOwner) -> bool:
    """Whether it is the token of such answers, under the key of its epoch."""
    found = _TOKEN.match(token)
    if found is None:
        return False
    key = keys.get(int(found[1]))
    if key is None:
        return False
    return hmac.compare_digest(reply_token(key, int(found[1]), owner), token)
