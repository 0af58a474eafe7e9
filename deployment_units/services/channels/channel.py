"""Channel: one way of delivering, what it can carry, and how much it can ever tell.

Values only. `strongest` bounds what a delivery claims: a push service that says "delivered" has
told of itself, not of the person's device. Deadlines are how long one waits there before the
next way is taken: long where no receipt is usual (mail), short where the client answers itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_MINUTE_MS = 60_000


class Channel(StrEnum):
    """The value is what documents and rules call it; values never change."""

    IN_APP = "in_app"
    MAIL = "mail"
    TEXT = "text"
    PUSH = "push"


class ContentKind(StrEnum):
    """What a message has that a channel must bring across, converted if need be."""

    TEXT = "text"
    HTML = "html"
    CARD = "card"
    ATTACHMENT = "attachment"


class Proof(StrEnum):
    """How much a channel can tell at most of what became of a message there."""

    HANDED_OVER = "handed_over"  # somebody else took charge of it
    DELIVERED = "delivered"  # it is where the person looks
    SEEN = "seen"  # a client showed it


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTraits:
    """carries: kinds that come across, as they are or converted. max_bytes: of the whole, before
    conversion. wait_ms: for a receipt, before the next channel is taken."""

    carries: frozenset[ContentKind]
    max_bytes: int
    wait_ms: int
    strongest: Proof


_ALL = frozenset(ContentKind)
TRAITS: Final[dict[Channel, ChannelTraits]] = {
    Channel.IN_APP: ChannelTraits(
        carries=_ALL, max_bytes=32 << 20, wait_ms=2 * _MINUTE_MS, strongest=Proof.SEEN
    ),
    Channel.MAIL: ChannelTraits(
        # RFC 5321, 4.5.4.1: servers try for days; a report of a delay comes within hours.
        carries=_ALL, max_bytes=20 << 20, wait_ms=24 * 60 * _MINUTE_MS, strongest=Proof.DELIVERED
    ),
    # What is too long for a text message goes as its beginning and a link.
    Channel.TEXT: ChannelTraits(
        carries=_ALL - {ContentKind.ATTACHMENT}, max_bytes=64 << 10, wait_ms=10 * _MINUTE_MS,
        strongest=Proof.DELIVERED,
    ),
    Channel.PUSH: ChannelTraits(
        carries=frozenset({ContentKind.TEXT, ContentKind.HTML}), max_bytes=64 << 10,
        wait_ms=5 * _MINUTE_MS, strongest=Proof.HANDED_OVER,
    ),
}  # fmt: skip
