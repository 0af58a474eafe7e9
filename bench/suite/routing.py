"""Routing messages, in this process: by the built-in rules, and by an account's own in CEL."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from cel_expr_python import cel

from bench.suite.measurement import WARM_UP, Measurement, Ratio, Samples, divisor
from control_plane.expressions.values import instant
from deployment_units.services.channels.channel import Channel, ContentKind
from deployment_units.services.conversations.handling import MessageClass, Urgency
from deployment_units.services.gateway.message import (
    ChannelAddress,
    ReachProfile,
    RoutedMessage,
    SenderTraits,
)
from deployment_units.services.gateway.quiet_hours import QuietHours
from deployment_units.services.gateway.route import route
from deployment_units.services.gateway.rules import RouteRule, RouteRules

ROUTED = 100_000  # in a round by the built-in rules
RULED = 20_000  # by an account's
DISTINCT = 500
NOW_MS = 1_795_867_200_000
# As people write them; none holds of most messages, so that all are asked.
CONDITIONS = (
    'message.class == "notice" && !sender.contact',
    'sender.organisation == "contoso.example" && message.urgency == "urgent"',
    'sender.identifier.startsWith("mailto:boss@")',
    "message.size_bytes > 1000000",
    'sender.application && message.class == "chat" && recipient.quiet',
    '"card" in message.content && !sender.contact',
    'message.urgency == "urgent" && "text" in recipient.channels',
    'has(recipient.active_s.push) && recipient.active_s.push < 60 && message.class == "notice"',
)


def profile() -> ReachProfile:
    """Of somebody who can be reached over everything."""
    return ReachProfile(
        addresses=tuple(ChannelAddress(channel=one, address=f"{one}-1") for one in Channel),
        quiet_hours=QuietHours(from_minute=22 * 60, to_minute=7 * 60, time_zone="Europe/London"),
    )


def messages(count: int) -> list[tuple[RoutedMessage, dict[Channel, int]]]:
    """Messages with what is known of their recipient's activity, the same each time."""
    rng = random.Random(count)
    made = []
    for number in range(count):
        message = RoutedMessage(
            message_class=rng.choice((MessageClass.CHAT, MessageClass.CHAT, MessageClass.NOTICE)),
            urgency=rng.choice((Urgency.NORMAL, Urgency.NORMAL, Urgency.NORMAL, Urgency.URGENT)),
            content=frozenset({ContentKind.TEXT, rng.choice((ContentKind.TEXT, ContentKind.CARD))}),
            size_bytes=rng.randrange(20_000),
            sender=SenderTraits(
                identifier=f"mailto:somebody-{number}@mail.example",
                contact=rng.random() < 0.8,
                application=rng.random() < 0.2,
            ),
        )
        active = {Channel.IN_APP: NOW_MS - rng.randrange(600_000)} if rng.random() < 0.5 else {}
        made.append((message, active))
    return made


def bare_rules(given: Sequence[tuple[RoutedMessage, dict[Channel, int]]]) -> Callable[[], None]:
    """The same conditions over the same messages with nothing of ours: values made ahead, one
    activation a message, evaluated until one holds."""
    names = ("message", "sender", "recipient")
    types: dict[str, Any] = {name: cel.Type.Map(cel.Type.STRING, cel.Type.DYN) for name in names}
    env = cel.NewEnv(variables={**types, "now": cel.Type.TIMESTAMP})
    compiled = [env.compile(text) for text in CONDITIONS]
    values = [_values(message, active) for message, active in given]

    def run() -> None:
        for one in values:
            activation = env.Activation(one)
            for condition in compiled:
                if condition.eval(activation).value() is True:
                    break

    return run


def _values(message: RoutedMessage, active: dict[Channel, int]) -> dict[str, Any]:
    sender = message.sender
    return {
        "message": {
            "class": message.message_class.value, "urgency": message.urgency.value,
            "content": [one.value for one in message.content], "size_bytes": message.size_bytes,
        },
        "sender": {
            "identifier": sender.identifier, "contact": sender.contact,
            "application": sender.application, "organisation": sender.organisation,
        },
        "recipient": {
            "active_s": {one.value: (NOW_MS - at) // 1_000 for one, at in active.items()},
            "quiet": False, "channels": [one.value for one in Channel],
        },
        "now": instant(NOW_MS),
    }  # fmt: skip


def _rate(work: Callable[[], None], passes: int) -> float:
    began = time.perf_counter()
    for _ in range(passes):
        work()
    return passes * DISTINCT / (time.perf_counter() - began)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates the built-in rules, an account's, and bare CEL."""
    given, reached = messages(DISTINCT), profile()
    rules = RouteRules(
        [
            RouteRule(name=f"rule {number}", when=text, via=(Channel.MAIL,))
            for number, text in enumerate(CONDITIONS)
        ]
    )

    def routed(own: RouteRules | None) -> Callable[[], None]:
        def run() -> None:
            for message, active in given:
                route(message, reached, active, now_ms=NOW_MS, rules=own)

        return run

    native, ruled, bare = routed(None), routed(rules), bare_rules(given)
    for number in range(WARM_UP, rounds):
        kept = samples if number != WARM_UP else Samples()
        share = divisor(number, quick=quick)
        kept.add("route_native_per_s", _rate(native, ROUTED // DISTINCT // share))
        kept.add("route_ruled_per_s", _rate(ruled, RULED // DISTINCT // share))
        kept.add("bare_cel_rules_per_s", _rate(bare, RULED // DISTINCT // share))
        tick()


ROUTING = Measurement(
    name="routing messages",
    ratios=(
        Ratio(key="route_vs_cel", ours="route_ruled_per_s", ceiling="bare_cel_rules_per_s",
              target=0.70),
    ),
    units={
        "route_native_per_s": "messages/s, built-in rules",
        "route_ruled_per_s": "messages/s, eight rules of an account",
        "bare_cel_rules_per_s": "messages/s, the same CEL alone",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
