"""What routing looks at: a message, its sender, its recipient's profile, and what is known of
activity and of channels. Values only; instants are Unix ms, durations ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from deployment_units.services.channels.channel import Channel, ContentKind
from deployment_units.services.conversations.handling import (
    NEVER_ELSEWHERE,
    MessageClass,
    Urgency,
)
from deployment_units.services.gateway.quiet_hours import QuietHours

MOST_ADDRESSES = 64  # of one profile


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderTraits:
    """What the recipient's rules may know of a sender. identifier: a URI. organisation: the domain
    of its organisation, empty where it has none."""

    identifier: str = ""
    contact: bool = False
    application: bool = False
    organisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedMessage:
    """A message for one recipient. channel: the only one it may take, which classes that never go
    elsewhere must name; address: with it, where it goes, for one that is no part of the profile
    (a code goes to what is being proved). all_at_once: every channel at the same time. expires_ms:
    after that it is not worth delivering."""

    message_class: MessageClass = MessageClass.CHAT
    urgency: Urgency = Urgency.NORMAL
    content: frozenset[ContentKind] = frozenset({ContentKind.TEXT})
    size_bytes: int = 0
    channel: Channel | None = None
    address: str = ""
    all_at_once: bool = False
    expires_ms: int | None = None
    sender: SenderTraits = field(default_factory=SenderTraits)

    def __post_init__(self) -> None:
        if self.message_class in NEVER_ELSEWHERE and self.channel is None:
            raise ValueError(f"a {self.message_class} names its channel")
        if self.address and self.channel is None:
            raise ValueError("an address goes with its channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAddress:
    """Where somebody is reached over a channel. address: as the channel takes it; in-app has none
    but the account's own."""

    channel: Channel
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachProfile:
    """How somebody wants to be reached. addresses: the preferred first, see `in_preference`.
    never: channels that are not used for them, whatever else is said."""

    addresses: tuple[ChannelAddress, ...]
    never: frozenset[Channel] = frozenset()
    quiet_hours: QuietHours | None = None


Activity: TypeAlias = Mapping[Channel, int]  # when somebody was last active there
Health: TypeAlias = Mapping[Channel, int]  # channels that are down: until when, at the least
NOTHING_KNOWN: Mapping[Channel, int] = MappingProxyType({})


def in_preference(
    addresses: tuple[ChannelAddress, ...], prefers: tuple[Channel, ...]
) -> tuple[ChannelAddress, ...]:
    """Addresses in the order in which they are wanted: by the channels named, in their order;
    then the others. Those of one channel stay in theirs."""
    rank = {channel: place for place, channel in enumerate(prefers)}
    return tuple(sorted(addresses, key=lambda one: rank.get(one.channel, len(rank))))
