"""Which channels a message takes, in which order and when, and why. Pure.

The built-in rules, the first that speaks wins:

1. a class that never goes elsewhere (code, secret): the channel that its sender named, or none;
   the rules of the account (`rules`) come after it;
2. active within two minutes on a channel that can carry it: there, also in quiet hours;
3. quiet hours, and not urgent: not before they are over;
4. the order that the profile prefers;
5. then any other that can carry it; channels that are down come last.

A step is taken when the one before it has brought no receipt by its deadline: never two at once,
unless the message says so. What a plan says is a proposal to the outbox, which asks again after
a move or a change of the profile.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol

from deployment_units.services.channels.channel import TRAITS, Channel
from deployment_units.services.conversations.handling import NEVER_ELSEWHERE, Urgency
from deployment_units.services.gateway.message import (
    NOTHING_KNOWN,
    Activity,
    ChannelAddress,
    Health,
    ReachProfile,
    RoutedMessage,
)
from deployment_units.services.gateway.quiet_hours import QuietHours

ACTIVE_MS = 2 * 60_000  # so long after the last sign somebody is taken to be there
MOST_STEPS = 16


class RouteReason(NamedTuple):
    """One thing that decided. rule: of the built-in ones or the account's; clause: what of it;
    value: what was found."""

    rule: str
    clause: str
    value: str


class RouteStep(NamedTuple):
    """One attempt to be made. Without a receipt by `deadline_ms`, the next one is."""

    channel: Channel
    address: str
    at_ms: int
    deadline_ms: int


class NoRoute(StrEnum):
    """Why a plan has no step."""

    WITHHELD = "withheld"  # a rule of the recipient's
    UNREACHABLE = "unreachable"  # no channel can carry it there
    EXPIRED = "expired"  # it is not worth delivering any more


class RoutePlan(NamedTuple):
    """no_route: None where there are steps."""

    steps: tuple[RouteStep, ...]
    why: tuple[RouteReason, ...]
    no_route: NoRoute | None


class Ruling(NamedTuple):
    """What the rules of an account say of a message. rule: which one spoke, empty where none
    does. via: channels, the first first; empty leaves the order alone. wait_ms: for a receipt
    on each of them; None leaves the channels' own."""

    rule: str
    via: tuple[Channel, ...]
    withhold: bool
    in_quiet_hours: bool
    wait_ms: int | None
    why: tuple[RouteReason, ...]


class AccountRules(Protocol):
    """The rules that a recipient wrote; see `rules`."""

    def ruling(
        self, message: RoutedMessage, profile: ReachProfile, activity: Activity, now_ms: int, /
    ) -> Ruling: ...


_ACTIVE = "active"
_QUIET = "quiet-hours"
_PREFERENCE = "preference"
_HEALTH = "health"
_EXPIRY = "expiry"
_CAN_CARRY = "can-carry"


def route(
    message: RoutedMessage,
    profile: ReachProfile,
    activity: Activity = NOTHING_KNOWN,
    health: Health = NOTHING_KNOWN,
    *,
    now_ms: int,
    rules: AccountRules | None = None,
) -> RoutePlan:
    """The plan for one recipient. Instants are Unix ms."""
    if message.expires_ms is not None and message.expires_ms <= now_ms:
        late = RouteReason(_EXPIRY, "expires before it is routed", str(message.expires_ms))
        return RoutePlan((), (late,), NoRoute.EXPIRED)
    if message.channel is not None and message.message_class in NEVER_ELSEWHERE:
        return _on_named(message, message.channel, profile, health, now_ms)
    ruling = None if rules is None else rules.ruling(message, profile, activity, now_ms)
    why: list[RouteReason] = [] if ruling is None else list(ruling.why)
    if ruling is not None and ruling.withhold:
        return RoutePlan((), tuple(why), NoRoute.WITHHELD)
    usable = _usable(message, profile, ruling, why)
    if not usable:
        return RoutePlan((), tuple(why), NoRoute.UNREACHABLE)
    here = None
    if activity and not (ruling is not None and ruling.via):
        here = _active(usable, activity, health, now_ms, why)
    quiet = _quiet_hours(message, profile, ruling, now_ms, why)
    ordered = _ordered(usable, here, health, now_ms, why)
    wait_ms = None if ruling is None else ruling.wait_ms
    return _planned(message, ordered, here, quiet, health, (now_ms, wait_ms), why)


def _on_named(
    message: RoutedMessage, channel: Channel, profile: ReachProfile, health: Health, now_ms: int
) -> RoutePlan:
    """Over the channel that the sender named: the address it named, or the profile's first."""
    rule = f"class-{message.message_class}"
    why = [RouteReason(rule, "never goes elsewhere", channel)]
    address = ChannelAddress(channel=channel, address=message.address) if message.address else None
    if address is None:
        address = next((one for one in profile.addresses if one.channel is channel), None)
    if address is None:
        why.append(RouteReason(rule, "has no address there", channel))
    elif flaw := _why_not_carried(message, channel):
        why.append(RouteReason(_CAN_CARRY, flaw, channel))
        address = None
    if address is None:
        return RoutePlan((), tuple(why), NoRoute.UNREACHABLE)
    return _planned(message, [address], None, None, health, (now_ms, None), why)


def _usable(
    message: RoutedMessage, profile: ReachProfile, ruling: Ruling | None, why: list[RouteReason]
) -> list[ChannelAddress]:
    """The addresses that may be used, in the order that the rules or the profile want."""
    named = profile.addresses
    if ruling is not None and ruling.via:
        named = tuple(
            one for channel in ruling.via for one in profile.addresses if one.channel is channel
        )
        if not named:
            why.append(RouteReason(ruling.rule, "no address on its channels", _list(ruling.via)))
            named = profile.addresses
    elif message.channel is not None:
        named = tuple(one for one in named if one.channel is message.channel)
        why.append(RouteReason("sender", "names the channel", message.channel))
    usable = []
    for one in named:
        if one.channel in profile.never:
            why.append(RouteReason(_PREFERENCE, "never there", one.channel))
        elif flaw := _why_not_carried(message, one.channel):
            why.append(RouteReason(_CAN_CARRY, flaw, one.channel))
        else:
            usable.append(one)
    if not named:
        why.append(RouteReason(_CAN_CARRY, "no address", ""))
    return usable


def _why_not_carried(message: RoutedMessage, channel: Channel) -> str:
    """Empty: it can carry it."""
    traits = TRAITS[channel]
    if not message.content <= traits.carries:
        return f"cannot carry {_list(sorted(message.content - traits.carries))}"
    return "the message is too large for it" if message.size_bytes > traits.max_bytes else ""


def _active(
    usable: list[ChannelAddress],
    activity: Activity,
    health: Health,
    now_ms: int,
    why: list[RouteReason],
) -> ChannelAddress | None:
    """Where somebody is at this moment: the latest sign of several."""
    latest, here = now_ms - ACTIVE_MS - 1, None
    for one in usable:
        seen_ms = activity.get(one.channel)
        if seen_ms is not None and latest < seen_ms and health.get(one.channel, 0) <= now_ms:
            latest, here = seen_ms, one
    if here is not None:
        ago_s = max(0, now_ms - latest) // 1_000
        why.append(RouteReason(_ACTIVE, f"on {here.channel} {ago_s} s ago", here.channel))
    return here


def _quiet_hours(
    message: RoutedMessage,
    profile: ReachProfile,
    ruling: Ruling | None,
    now_ms: int,
    why: list[RouteReason],
) -> QuietHours | None:
    """Those that hold this message back where nobody is there; None: none do."""
    quiet = profile.quiet_hours
    if quiet is None:
        return None
    if message.urgency is not Urgency.URGENT and not (ruling is not None and ruling.in_quiet_hours):
        return quiet
    if quiet.hold(now_ms):
        if message.urgency is Urgency.URGENT:
            why.append(RouteReason(_QUIET, "the message is urgent", quiet.time_zone))
        elif ruling is not None:
            why.append(RouteReason(ruling.rule, "also in quiet hours", quiet.time_zone))
    return None


def _ordered(
    usable: list[ChannelAddress],
    here: ChannelAddress | None,
    health: Health,
    now_ms: int,
    why: list[RouteReason],
) -> list[ChannelAddress]:
    """Where somebody is, then as preferred, then what is down."""
    if here is None:
        why.append(RouteReason(_PREFERENCE, "in its order", usable[0].channel))
    else:
        usable = [here, *(one for one in usable if one is not here)]
    if not health:
        return usable
    up = [one for one in usable if health.get(one.channel, 0) <= now_ms]
    down = [one for one in usable if health.get(one.channel, 0) > now_ms]
    why += [RouteReason(_HEALTH, "is down: comes last", one.channel) for one in down]
    return up + down


def _planned(
    message: RoutedMessage,
    ordered: list[ChannelAddress],
    here: ChannelAddress | None,
    quiet: QuietHours | None,
    health: Health,
    times: tuple[int, int | None],  # now, and how long a rule waits for a receipt
    why: list[RouteReason],
) -> RoutePlan:
    """Each step begins at the deadline of the one before, or where all go at once, when it may."""
    now_ms, wait_ms = times
    expires_ms = message.expires_ms
    steps: list[RouteStep] = []
    free_ms = now_ms
    for one in ordered[:MOST_STEPS]:
        at_ms = now_ms if message.all_at_once else free_ms
        if health and (until_ms := health.get(one.channel, 0)) > at_ms:
            at_ms = until_ms
        if quiet is not None and one is not here and (end_ms := quiet.end_ms(at_ms)) > at_ms:
            late_min = (end_ms - at_ms) // 60_000
            why.append(RouteReason(_QUIET, f"over {late_min:,} min after its turn", one.channel))
            at_ms = end_ms
        deadline_ms = at_ms + (TRAITS[one.channel].wait_ms if wait_ms is None else wait_ms)
        if expires_ms is not None:
            if at_ms >= expires_ms:
                why.append(RouteReason(_EXPIRY, "expires before its turn", one.channel))
                continue
            deadline_ms = min(deadline_ms, expires_ms)
        steps.append(RouteStep(one.channel, one.address, at_ms, deadline_ms))
        free_ms = deadline_ms
    return RoutePlan(tuple(steps), tuple(why), None if steps else NoRoute.EXPIRED)


def _list(names: Iterable[StrEnum]) -> str:
    return ", ".join(names)
