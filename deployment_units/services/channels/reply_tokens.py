"""Reply addresses: `reply+<token>.<home>@host`, where the token says to which conversation an
answer belongs, and to whose mail it is one. Pure; the key is an argument.

    token = epoch "-" base32hex(HMAC-SHA256(key, label ‖ conversation ‖ participant ‖ address)[:16])

each part with its length before it. A token is found in the tables of its account by its digest;
that it is right can be checked by whoever has the key and knows conversation, participant and
address. The home names the account whose answers these are, so that any unit that takes mail finds
where it lives, also after it has moved; ids that are too long for it have none, and their answers
are taken where they live alone. Small letters and digits alone, for servers may change the case of
what is before '@', and no more than the 64 characters that all of them take.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32hexdecode, b32hexencode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

LEAST_KEY_BYTES = 32
PREFIX = "reply+"
MOST_LOCAL = 64  # characters before '@' (RFC 5321, 4.5.3.1.1)
_MAC_BYTES = 16
_LABEL = b"homeport mail reply v1"
_TOKEN = re.compile(r"([1-9][0-9]{0,8})-([0-9a-v]{26})\Z")
_LOCAL = re.compile(r"([^.]+)(?:\.([a-z0-9-]+))?\Z")
_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_AS_IT_IS, _AS_UUID, _AS_BYTES = "n", "u", "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyOwner:
    """Whose answers come to an address. conversation: its id; participant: the account, or the URI
    of somebody without one; address: of theirs, in normal form, to which the mail went that is
    answered."""

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
    return f"{epoch}-{_base32(mac.digest()[:_MAC_BYTES])}"


def reply_address(token: str, account: str, host: str) -> str:
    """Where answers go. account: whose they are to come to; host: the domain of our mail."""
    local = PREFIX + token
    home = _home(account)
    if len(local) + 1 + len(home) <= MOST_LOCAL:
        local = f"{local}.{home}"
    return f"{local}@{host}"


def token_of(recipient: str) -> str | None:
    """The token in an address of ours; None where there is none in it."""
    found = _parts(recipient)
    return found[0] if found else None


def home_of(recipient: str) -> str | None:
    """The account that is named behind the token; None where there is none."""
    found = _parts(recipient)
    if found is None or not found[1]:
        return None
    kind, said = found[1][0], found[1][1:]
    try:
        if kind == _AS_IT_IS:
            return said if _PLAIN.match(said) else None
        content = b32hexdecode(said.upper() + "=" * (-len(said) % 8))
        if kind == _AS_UUID:
            return str(UUID(bytes=content))
        return content.decode() if kind == _AS_BYTES and content else None
    except (ValueError, UnicodeDecodeError):
        return None


def token_fits(token: str, keys: Mapping[int, bytes], owner: ReplyOwner) -> bool:
    """Whether it is the token of such answers, under the key of its epoch."""
    found = _TOKEN.match(token)
    if found is None:
        return False
    key = keys.get(int(found[1]))
    if key is None:
        return False
    return hmac.compare_digest(reply_token(key, int(found[1]), owner), token)


def _parts(recipient: str) -> tuple[str, str] | None:
    local = recipient.rpartition("@")[0].lower()
    found = _LOCAL.match(local.removeprefix(PREFIX)) if local.startswith(PREFIX) else None
    if found is None or not _TOKEN.match(found[1]):
        return None
    return found[1], found[2] or ""


def _home(account: str) -> str:
    if _PLAIN.match(account) and not _UUID.match(account):
        return _AS_IT_IS + account
    if _UUID.match(account):
        return _AS_UUID + _base32(UUID(account).bytes)
    return _AS_BYTES + _base32(account.encode())


def _base32(content: bytes) -> str:
    return b32hexencode(content).decode().rstrip("=").lower()
