"""Recipients: the routes that messages take, as what is known here says.

Of an account that lives here: by its profile, its rules, its quiet hours, who wrote, when somebody
was last at a client, and which channels are down. Of somebody without an account: over the one
channel that there is, once it is up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection

from control_plane.errors import InvalidInput
from control_plane.identifiers.identifier import Flaw, IdentifierKind
from control_plane.identifiers.uris import read_uri
from deployment_units.services.channels import push_kept
from deployment_units.services.channels.channel import Channel, ContentKind
from deployment_units.services.contacts import book
from deployment_units.services.conversations.addressing import addressing_in
from deployment_units.services.conversations.handling import Handling, decoded
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.gateway import account_rules
from deployment_units.services.gateway.account_rules import CompiledRules
from deployment_units.services.gateway.activity import ClientActivity
from deployment_units.services.gateway.kept import ITSELF
from deployment_units.services.gateway.message import (
    NOTHING_KNOWN,
    ChannelAddress,
    Health,
    ReachProfile,
    RoutedMessage,
    SenderTraits,
    in_preference,
)
from deployment_units.services.gateway.plans import profile_of_uri
from deployment_units.services.gateway.route import RoutePlan, route
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.profile import Mode, Viewer
from deployment_units.services.profiles.reaching import in_order, is_open
from deployment_units.services.profiles.relations import relation_of
from deployment_units.services.state.owners import Owner

_OF_MODE = {Mode.IN_APP: Channel.IN_APP, Mode.MAIL: Channel.MAIL, Mode.TEXT: Channel.TEXT}
_OF_KIND = {IdentifierKind.EMAIL: Channel.MAIL, IdentifierKind.PHONE: Channel.TEXT}


class Recipients:
    """Of one unit. channels: over which it sends, as they are when asked; activity: of clients;
    health: until when channels are down, Unix ms."""

    def __init__(
        self,
        channels: Collection[Channel],
        activity: ClientActivity,
        health: Callable[[], Health],
    ) -> None:
        self._channels = channels
        self._activity = activity
        self._health = health
        self._rules = CompiledRules()

    def is_ready(self, document: str) -> bool:
        """Whether `prepare` has nothing to do."""
        return self._rules.is_ready(document)

    async def prepare(self, document: str) -> None:
        """Has an account's rules ready, before they are asked. Raises InvalidInput."""
        await self._rules.prepare(document)

    def has_more_than_one_way(self, db: sqlite3.Connection, owner: int) -> bool:
        """Whether what comes to an account is routed: it has other ways than its clients, or rules
        that say something of them."""
        if not self._channels:
            return False
        if profiles.has_proved(db, owner) or account_rules.find(db, owner).revision > 0:
            return True
        return Channel.PUSH in self._channels and bool(push_kept.proved(db, owner))

    def plan(
        self,
        db: sqlite3.Connection,
        owner: Owner,
        message: KeptMessage,
        recipient: str,
        now_ms: int,
    ) -> RoutePlan:
        """recipient: a URI, or ITSELF."""
        handling = decoded(message.handling)
        size = len(message.content)
        if recipient != ITSELF:
            sender = SenderTraits(identifier=message.sender)
            routed = routed_message(handling, size, sender)
            reached = profile_of_uri(recipient)
            return route(routed, reached, health=self._health(), now_ms=now_ms)
        writer = message.via or message.sender
        sender = SenderTraits(
            identifier=message.sender, contact=book.knows(db, owner.number, writer)
        )
        routed = routed_message(handling, size, sender)
        at = dict(addressing_in(message.content).contactees).get(owner.account, "")
        return self.plan_for(
            db, owner.number, owner.tenant, owner.account, routed, writer, now_ms, at=at
        )

    def plan_for(
        self,
        db: sqlite3.Connection,
        owner: int,
        tenant: str,
        account: str,
        routed: RoutedMessage,
        writer: str,
        now_ms: int,
        *,
        at: str = "",
    ) -> RoutePlan:
        """What a message of the writer's would take to reach an account that lives here. at: the
        URI that the writer chose, which comes before others of its channel; empty: none."""
        kept_rules = account_rules.find(db, owner)
        try:
            own = self._rules.of(kept_rules.document)
        except InvalidInput:  # of another version: the built-in rules decide
            own = self._rules.of(account_rules.NONE.document)
        profile = profiles.read(db, owner, account)
        viewer = Viewer(account=writer, relation=relation_of(db, owner, account, writer))
        addresses = [ChannelAddress(channel=Channel.IN_APP)]
        for one in sorted(profile.identifiers, key=lambda one: one.uri != at):
            channel = _OF_KIND.get(one.kind)
            address = _address(one.uri) if one.proved and channel in self._channels else ""
            if channel is None or not address:
                continue
            mode = Mode.MAIL if channel is Channel.MAIL else Mode.TEXT
            if is_open(profile, viewer, mode):
                addresses.append(ChannelAddress(channel=channel, address=address))
        prefers = [_OF_MODE[one] for one in in_order(profile.preferred) if one in _OF_MODE]
        if Channel.PUSH in self._channels and is_open(profile, viewer, Mode.IN_APP):
            # A notice of what is in the app: who may write there, and right behind it.
            addresses += [
                ChannelAddress(channel=Channel.PUSH, address=one)
                for one in push_kept.proved(db, owner)
            ]
            prefers.insert(prefers.index(Channel.IN_APP) + 1, Channel.PUSH)
        reached = ReachProfile(
            addresses=in_preference(tuple(addresses), tuple(prefers)),
            never=own.never,
            quiet_hours=own.quiet_hours,
        )
        last_ms = self._activity.last_ms(tenant, account, now_ms)
        activity = NOTHING_KNOWN if last_ms is None else {Channel.IN_APP: last_ms}
        return route(routed, reached, activity, self._health(), now_ms=now_ms, rules=own.rules)


def routed_message(handling: Handling, size_bytes: int, sender: SenderTraits) -> RoutedMessage:
    """A message as routing sees it."""
    return RoutedMessage(
        message_class=handling.message_class,
        urgency=handling.urgency,
        content=frozenset({ContentKind.TEXT}),
        size_bytes=size_bytes,
        channel=Channel(handling.channel) if handling.channel else None,
        expires_ms=handling.expires_ms,
        sender=sender,
    )


def _address(uri: str) -> str:
    """As channels take it; empty: it cannot be read."""
    found = read_uri(uri)
    return "" if isinstance(found, Flaw) else found.normal
