"""Invite: what an account has of an invitation that it made or was brought, and what is to be done
about it next. Pure; times are Unix ms.

What holds is in the directory. What the account asks for is a state of its own, which is on disk
before the directory is asked, so that a unit that dies on the way goes on with it. What one of two
units knows by another's word alone it asks the directory.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256

import msgspec

SENT, RECEIVED = "sent", "received"
MAKE_AGAIN_MS = 30_000  # what whoever asked for it is about to see through itself
LOOK_AGAIN_MS = 6 * 3_600_000  # one that reached no account yet
ID_BYTES = 16


class InviteState(StrEnum):
    """How far it is. The values are kept; they never change."""

    MAKING = "making"
    OPEN = "open"
    ACCEPTING = "accepting"
    ACCEPTED = "accepted"
    DECLINING = "declining"
    DECLINED = "declined"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"


OVER = frozenset(
    {InviteState.ACCEPTED, InviteState.DECLINED, InviteState.WITHDRAWN, InviteState.REFUSED}
)


class InviteRow(msgspec.Struct, array_like=True, frozen=True):
    """One of an account's. other: of one that was sent who accepted or declined it; of one that was
    brought who made it. due_ms: when something is to be done, None: nothing is. why: JSON of the
    rules by which it goes here. words: why it was not taken last. message: in which it was brought,
    empty: in none; said: how often that was revised; press: that is answered by the next revision.
    letter: to somebody without an account: 0 none, 1 on its way, 2 sent."""

    side: str
    id: str
    uri: str
    organisation: str
    group_id: str
    other: str
    state: str
    due_ms: int | None
    tries: int
    why: str
    words: str
    made_ms: int
    expires_ms: int
    message: bytes
    said: int
    press: bytes
    letter: int

    @property
    def is_over(self) -> bool:
        return self.state in OVER


class InviteWhy(msgspec.Struct, frozen=True):
    """A step of the explanation of a route, as the directory has it."""

    rule: str
    clause: str
    value: str


class Step(StrEnum):
    """What is to be done."""

    CREATE = "create"
    BRING = "bring"  # to whom it goes, or that it was withdrawn
    WITHDRAW = "withdraw"
    ACCEPT = "accept"
    DECLINE = "decline"
    ANSWER = "answer"  # join the conversation, and tell who made it
    NOTHING = "nothing"


_STEPS = {
    (SENT, InviteState.MAKING): Step.CREATE,
    (SENT, InviteState.OPEN): Step.BRING,
    (SENT, InviteState.WITHDRAWING): Step.WITHDRAW,
    (SENT, InviteState.WITHDRAWN): Step.BRING,
    (RECEIVED, InviteState.ACCEPTING): Step.ACCEPT,
    (RECEIVED, InviteState.DECLINING): Step.DECLINE,
    (RECEIVED, InviteState.ACCEPTED): Step.ANSWER,
    (RECEIVED, InviteState.DECLINED): Step.ANSWER,
}
_ENDS = frozenset({Step.CREATE, Step.BRING, Step.ACCEPT, Step.DECLINE})


def next_step(row: InviteRow, now_ms: int) -> Step:
    """What of it is to be done now. Of what has expired nobody hears any more."""
    if row.due_ms is None or row.due_ms > now_ms:
        return Step.NOTHING
    step = _STEPS.get((row.side, InviteState(row.state)), Step.NOTHING)
    return Step.NOTHING if step in _ENDS and now_ms >= row.expires_ms else step


def invitation_of(account: str, request_id: bytes) -> str:
    """The id of an invitation, for an id of its inviter's that nobody can guess."""
    return sha256(b"invitation\0" + account.encode() + b"\0" + request_id).hexdigest()[:40]


def message_of(invitation: str, said: int = 0) -> bytes:
    """Of the message in which one is brought, or of a revision of it."""
    return _id("invite message", invitation, str(said))


def joined_message_of(invitation: str) -> bytes:
    """Of the message that says that somebody has joined."""
    return _id("invite joined", invitation)


def talk_of(invitation: str) -> bytes:
    """The conversation in which it is brought."""
    return _id("invite conversation", invitation)


def group_talk_of(tenant: str, organisation: str, group: str, members: list[str]) -> bytes:
    """The conversation of the members of a group: of these members, and no others."""
    return _id("group conversation", tenant, organisation, group, *sorted(members))


def group_talk_after(conversation: bytes) -> bytes:
    """The id that the conversation of a group has for who has another one by this id."""
    return _id("group conversation after", conversation.hex())


def _id(*parts: str) -> bytes:
    return sha256("\0".join(parts).encode()).digest()[:ID_BYTES]
