"""Action tokens: what the link behind a button in a mail carries, so that the page it opens
knows what is to be pressed, by whom, and until when.

A token says message, whose it is, revision, action, tenant, account and expiry, and is signed with
HMAC-SHA256 (RFC 2104), so that any server of the unit can read it without having kept it. It is
an invitation to ask, not a press: opening it changes nothing, and it can be used again, for a
press is judged by what was pressed before (see `clicks`). Pure.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from deployment_units.services.cards.card import Card

MIN_KEY_BYTES = 32
MAX_TOKEN = 1_024  # characters
MESSAGE_BYTES = 16
_MAC_BYTES = 16
_FORM = 2
_TEXTS = {1: 3, _FORM: 4}  # by form: those of version 1 do not say whose card it is
_HEAD = 1 + 1 + MESSAGE_BYTES + 4 + 6  # form, key, message, revision, expiry
_PURPOSE = b"homeport card action v1\0"
_MOST_REVISION, _MOST_MS = 2**32 - 1, 2**48 - 1
_MOST_TEXT = 255  # bytes of tenant, account and action


# Its token has a head, a signature and three texts at least. Each part of an address is bounded.
_LINK = re.compile(r"https?://[^\s<>\"]{1,300}?/a/[A-Za-z0-9_-]{56,1024}")
LINK_LEFT_OUT = "(a link for the one it was sent to)"


class TokenRefusal(StrEnum):
    """Why a token is not taken."""

    FORGED = "this link was not made here, or is not whole"
    EXPIRED = "this link has expired; open the conversation to see the card"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A secret that signs tokens. Raises ValueError where it is too short or its number is none."""

    number: int  # 0 to 255; tokens name it, so that keys can be changed
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.number <= 255:
            raise ValueError(f"the number of a key is 0 to 255, not {self.number}")
        if len(self.secret) < MIN_KEY_BYTES:
            raise ValueError(
                f"a key has {MIN_KEY_BYTES} random bytes or more, not {len(self.secret)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionGrant:
    """What one token stands for."""

    tenant: str
    account: str  # who may press
    message: bytes  # 16 bytes
    revision: int  # of the card in it, 1 or more
    action: str = ""
    author: str = ""  # whose card it is; empty: not said
    expires_ms: int  # Unix time, in milliseconds


class ActionTokens:
    """Makes and reads tokens. Safe from several threads."""

    def __init__(self, current: TokenKey, *previous: TokenKey) -> None:
        """current: signs. previous: are still taken. Raises ValueError for two of one number."""
        keys = (current, *previous)
        self._keys = {one.number: one.secret for one in keys}
        if len(self._keys) != len(keys):
            raise ValueError("two keys have the same number")
        self._current = current

    def token(self, grant: ActionGrant) -> str:
        """Raises ValueError for what does not fit into one."""
        content = bytes((_FORM, self._current.number)) + _content(grant)
        return _text(content + _mac(self._current.secret, content))

    def tokens(self, card: Card, grant: ActionGrant) -> dict[str, str]:
        """By action: for each that can be pressed. grant: for any of them; its own action does
        not matter."""
        return {
            one.id: self.token(replace(grant, action=one.id)) for one in card.actions if one.enabled
        }

    def read(self, token: str, *, now_ms: int) -> ActionGrant | TokenRefusal:
        """What a token stands for, if it was made here and has not expired."""
        content = _bytes(token)
        if content is None or len(content) <= _HEAD + _MAC_BYTES or content[0] not in _TEXTS:
            return TokenRefusal.FORGED
        secret = self._keys.get(content[1])
        signed, mac = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        if secret is None or not hmac.compare_digest(_mac(secret, signed), mac):
            return TokenRefusal.FORGED
        grant = _grant(signed)
        if grant is None:
            return TokenRefusal.FORGED
        return grant if now_ms < grant.expires_ms else TokenRefusal.EXPIRED


def claimed_by(token: str) -> ActionGrant | None:
    """What a token says of itself, whoever made it: to find the keys of its account by. None: it
    is none."""
    content = _bytes(token)
    if content is None or len(content) <= _HEAD + _MAC_BYTES or content[0] not in _TEXTS:
        return None
    return _grant(content[:-_MAC_BYTES])


def without_links(text: str) -> str:
    """A text without addresses of pages at which somebody presses in the name of whom the link was
    sent to.

    >>> without_links("Yes! https://talk.example/a/" + "x" * 80)
    'Yes! (a link for the one it was sent to)'
    """
    return _LINK.sub(LINK_LEFT_OUT, text)


def _content(grant: ActionGrant) -> bytes:
    if len(grant.message) != MESSAGE_BYTES:
        raise ValueError(f"a message id has {MESSAGE_BYTES} bytes, not {len(grant.message)}")
    if not 0 < grant.revision <= _MOST_REVISION or not 0 < grant.expires_ms <= _MOST_MS:
        raise ValueError("the revision or the expiry of a token is out of range")
    texts = [one.encode() for one in (grant.tenant, grant.account, grant.action, grant.author)]
    if (longest := max(len(one) for one in texts)) > _MOST_TEXT:
        raise ValueError(
            f"tenant, account, action and author have {_MOST_TEXT} bytes each at most, "
            f"not {longest}"
        )
    return b"".join(
        [
            grant.message,
            grant.revision.to_bytes(4, "big"),
            grant.expires_ms.to_bytes(6, "big"),
            *(bytes((len(one),)) + one for one in texts),
        ]
    )


def _grant(signed: bytes) -> ActionGrant | None:
    message, rest = signed[2 : 2 + MESSAGE_BYTES], signed[_HEAD:]
    revision = int.from_bytes(signed[2 + MESSAGE_BYTES : 6 + MESSAGE_BYTES], "big")
    expires_ms = int.from_bytes(signed[6 + MESSAGE_BYTES : _HEAD], "big")
    texts = []
    for _ in range(_TEXTS[signed[0]]):
        if not rest or len(rest) < 1 + rest[0]:
            return None
        texts.append(rest[1 : 1 + rest[0]].decode(errors="replace"))
        rest = rest[1 + rest[0] :]
    tenant, account, action, author = (*texts, "")[:4]
    return ActionGrant(
        tenant=tenant,
        account=account,
        message=message,
        revision=revision,
        action=action,
        author=author,
        expires_ms=expires_ms,
    )


def _mac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + content, "sha256")[:_MAC_BYTES]


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(token: str) -> bytes | None:
    """None: no token, or not the one way to write its bytes."""
    if not token.isascii() or len(token) > MAX_TOKEN:
        return None
    try:
        content = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    return content if _text(content) == token else None
