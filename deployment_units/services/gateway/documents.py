"""Messages, profiles and rules as documents have them: plain values in, checked values out. Pure.

Of what YAML or JSON says. Unknown keys are errors, so that a misspelt one is not lost in silence;
each message of InvalidInput names the key. Sizes of texts and lists are bounded here, and the
document as a whole by whoever reads it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar
from zoneinfo import available_timezones

import msgspec

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from deployment_units.services.channels.channel import Channel, ContentKind
from deployment_units.services.conversations.handling import MessageClass, Urgency
from deployment_units.services.gateway.convert.converting import Content
from deployment_units.services.gateway.message import (
    MOST_ADDRESSES,
    Activity,
    ChannelAddress,
    Health,
    ReachProfile,
    RoutedMessage,
    SenderTraits,
    in_preference,
)
from deployment_units.services.gateway.quiet_hours import QuietHours
from deployment_units.services.gateway.rules import RouteRule, RouteRules

_T = TypeVar("_T")
_PLACE = re.compile(r" - at `(?:key` in `)?\$\.?(.*)`$")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Text = Annotated[str, msgspec.Meta(max_length=512)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Sender(_Strict, frozen=True):
    identifier: _Text = ""
    contact: bool = False
    application: bool = False
    organisation: _Text = ""


class _Message(_Strict, frozen=True):
    class_: MessageClass = msgspec.field(name="class", default=MessageClass.CHAT)
    urgency: Urgency = Urgency.NORMAL
    content: frozenset[ContentKind] = frozenset({ContentKind.TEXT})
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)] = 0
    channel: Channel | None = None
    address: _Text = ""
    all_at_once: bool = False
    expire_time: _Instant | None = None
    sender: _Sender = _Sender()


class _Address(_Strict, frozen=True):
    channel: Channel
    address: _Text = ""


class _Quiet(_Strict, frozen=True):
    from_: _Text = msgspec.field(name="from")
    to: _Text
    time_zone: _Text


class _Profile(_Strict, frozen=True):
    addresses: Annotated[list[_Address], msgspec.Meta(max_length=MOST_ADDRESSES)]
    prefers: tuple[Channel, ...] = ()
    never: frozenset[Channel] = frozenset()
    quiet_hours: _Quiet | None = None
    active: dict[Channel, _Instant] = {}
    down_until: dict[Channel, _Instant] = {}


class _Then(_Strict, frozen=True):
    via: tuple[Channel, ...] = ()
    withhold: bool = False
    in_quiet_hours: bool = False
    wait_s: Annotated[int, msgspec.Meta(ge=0, le=1 << 32)] | None = None


class _Rule(_Strict, frozen=True):
    name: str
    when: str
    then: _Then


class _Rules(_Strict, frozen=True):
    rules: list[_Rule]


class _Reaching(_Strict, frozen=True):
    rules: list[_Rule] = []
    quiet_hours: _Quiet | None = None
    never: frozenset[Channel] = frozenset()


class _Content(_Strict, frozen=True):
    text: str = ""
    html: str = ""


class RecipientState(NamedTuple):
    """A recipient as a document has it: what it wants, and what is known of it and of channels."""

    profile: ReachProfile
    activity: Activity
    health: Health


class AccountReaching(NamedTuple):
    """How an account says that it is reached: by which rules, not in which hours, never where."""

    rules: RouteRules
    quiet_hours: QuietHours | None
    never: frozenset[Channel]


def message_of(document: Any) -> RoutedMessage:
    """Raises InvalidInput."""
    read = _read(document, _Message, "message")
    if not read.content:
        raise InvalidInput("message.content", "message.content: is empty; name what is in it")
    try:
        return RoutedMessage(
            message_class=read.class_,
            urgency=read.urgency,
            content=read.content,
            size_bytes=read.size_bytes,
            channel=read.channel,
            address=read.address,
            all_at_once=read.all_at_once,
            expires_ms=None if read.expire_time is None else _unix_ms(read.expire_time),
            sender=SenderTraits(
                identifier=read.sender.identifier,
                contact=read.sender.contact,
                application=read.sender.application,
                organisation=read.sender.organisation,
            ),
        )
    except ValueError as error:
        raise InvalidInput("message.channel", f"message.channel: {error}") from None


def recipient_of(document: Any) -> RecipientState:
    """Raises InvalidInput."""
    read = _read(document, _Profile, "profile")
    if len(set(read.prefers)) != len(read.prefers):
        raise InvalidInput("profile.prefers", "profile.prefers: names a channel twice")
    addresses = tuple(
        ChannelAddress(channel=one.channel, address=one.address) for one in read.addresses
    )
    if len(set(addresses)) != len(addresses):
        raise InvalidInput("profile.addresses", "profile.addresses: an address stands there twice")
    return RecipientState(
        profile=ReachProfile(
            addresses=in_preference(addresses, read.prefers),
            never=read.never,
            quiet_hours=None if read.quiet_hours is None else _quiet_hours(read.quiet_hours),
        ),
        activity={channel: _unix_ms(at) for channel, at in read.active.items()},
        health={channel: _unix_ms(at) for channel, at in read.down_until.items()},
    )


def content_of(document: Any) -> Content:
    """Raises InvalidInput."""
    read = _read(document, _Content, "content")
    return Content(text=read.text, html=read.html)


def rules_of(document: Any) -> RouteRules:
    """Compiled. Raises InvalidInput."""
    return _compiled(_read(document, _Rules, "rules").rules)


def reaching_of(document: Any) -> AccountReaching:
    """Rules, quiet hours and channels that are never used, compiled. Raises InvalidInput."""
    read = _read(document, _Reaching, "document")
    return AccountReaching(
        rules=_compiled(read.rules),
        quiet_hours=None
        if read.quiet_hours is None
        else _quiet_hours(read.quiet_hours, "document.quiet_hours"),
        never=read.never,
    )


def _compiled(rules: list[_Rule]) -> RouteRules:
    return RouteRules(
        [
            RouteRule(
                name=one.name,
                when=one.when,
                via=one.then.via,
                withhold=one.then.withhold,
                in_quiet_hours=one.then.in_quiet_hours,
                wait_ms=None if one.then.wait_s is None else one.then.wait_s * 1_000,
            )
            for one in rules
        ]
    )


def _quiet_hours(read: _Quiet, field: str = "profile.quiet_hours") -> QuietHours:
    if read.time_zone not in _zones():
        raise InvalidInput(
            f"{field}.time_zone",
            f"{field}.time_zone: {quoted(read.time_zone)} is no IANA time zone, as Europe/Berlin",
        )
    minutes = []
    for name, text in (("from", read.from_), ("to", read.to)):
        found = _CLOCK.match(text)
        if found is None:
            raise InvalidInput(
                f"{field}.{name}", f"{field}.{name}: {quoted(text)} is no time of a day, as 22:30"
            )
        minutes.append(int(found[1]) * 60 + int(found[2]))
    try:
        return QuietHours(from_minute=minutes[0], to_minute=minutes[1], time_zone=read.time_zone)
    except ValueError as error:
        raise InvalidInput(field, f"{field}: {error}") from None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def _read(document: Any, wanted: type[_T], name: str) -> _T:
    try:
        return msgspec.convert(document, wanted)
    except msgspec.ValidationError as error:
        said = str(error)
        found = _PLACE.search(said)
        place = f"{name}.{found[1]}" if found and found[1] else name
        raise InvalidInput(place, f"{place}: {_PLACE.sub('', said)}") from None


def _unix_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
