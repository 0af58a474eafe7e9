"""Rules of an account: in order, bounded, and never the reason why nothing is routed."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.channels.channel import Channel
from deployment_units.services.conversations.handling import MessageClass
from deployment_units.services.gateway.message import (
    ChannelAddress,
    ReachProfile,
    RoutedMessage,
    SenderTraits,
)
from deployment_units.services.gateway.quiet_hours import QuietHours
from deployment_units.services.gateway.route import NoRoute, RoutePlan, route
from deployment_units.services.gateway.rules import MOST_RULES, RouteRule, RouteRules

NOON = 1_795_867_200_000  # 2026-11-28T12:00:00Z, a Saturday
NIGHT = NOON + 11 * 3_600_000
IN_APP, MAIL, TEXT = Channel.IN_APP, Channel.MAIL, Channel.TEXT
PROFILE = ReachProfile(
    addresses=tuple(ChannelAddress(channel=one) for one in (IN_APP, MAIL, TEXT)),
    quiet_hours=QuietHours(from_minute=22 * 60, to_minute=7 * 60, time_zone="UTC"),
)


def rule(name: str, when: str, **then: Any) -> RouteRule:
    return RouteRule(name=name, when=when, **(then or {"via": (TEXT,)}))


def routed(
    *rules: RouteRule,
    message: RoutedMessage | None = None,
    activity: dict[Channel, int] | None = None,
    now_ms: int = NOON,
) -> RoutePlan:
    return route(
        message or RoutedMessage(),
        PROFILE,
        activity or {},
        now_ms=now_ms,
        rules=RouteRules(rules),
    )


def first(plan: RoutePlan) -> Channel:
    return plan.steps[0].channel


@pytest.mark.parametrize(
    "when",
    [
        "message.class == 'chat'",
        "message.urgency == 'normal'",
        "'text' in message.content",
        "message.size_bytes == 0",
        "sender.contact",
        "sender.identifier.startsWith('mailto:')",
        "sender.organisation == 'contoso.example'",
        "!sender.application",
        "recipient.active_s.in_app == 90",
        "has(recipient.active_s.in_app) && !has(recipient.active_s.mail)",
        "!recipient.quiet",
        "'mail' in recipient.channels",
        "now == timestamp('2026-11-28T12:00:00Z')",
        "now.getHours('Europe/Berlin') == 13",
        "now.getDayOfWeek('Europe/Berlin') in [0, 6]",
    ],
)
def test_conditions_read_what_is_documented(when: str) -> None:
    message = RoutedMessage(
        sender=SenderTraits(
            identifier="mailto:ben@contoso.example", contact=True, organisation="contoso.example"
        )
    )
    plan = routed(rule("a", when), message=message, activity={IN_APP: NOON - 90_000})
    assert first(plan) is TEXT
    assert plan.why[0] == ("rule a", when, "via text")


def test_the_first_that_holds_speaks() -> None:
    plan = routed(
        rule("a", "false"), rule("b", "true", via=(MAIL,)), rule("c", "true", via=(TEXT,))
    )
    assert [step.channel for step in plan.steps] == [MAIL]


def test_without_one_that_holds_the_built_in_rules_decide() -> None:
    assert [step.channel for step in routed(rule("a", "false")).steps] == [IN_APP, MAIL, TEXT]
    assert routed().steps == routed(rule("a", "false")).steps


def test_a_rule_outweighs_activity() -> None:
    assert first(routed(rule("a", "true"), activity={IN_APP: NOON})) is TEXT


def test_what_is_withheld_says_by_which_rule() -> None:
    plan = routed(rule("strangers", "!sender.contact", withhold=True))
    assert (plan.steps, plan.no_route) == ((), NoRoute.WITHHELD)
    assert plan.why == (("rule strangers", "!sender.contact", "withhold"),)


def test_quiet_hours_hold_for_what_a_rule_sends_but_where_it_says_otherwise() -> None:
    assert routed(rule("a", "true", via=(TEXT,)), now_ms=NIGHT).steps[0].at_ms > NIGHT
    plan = routed(rule("a", "true", via=(TEXT,), in_quiet_hours=True), now_ms=NIGHT)
    assert plan.steps[0].at_ms == NIGHT
    assert ("rule a", "also in quiet hours", "UTC") in plan.why


def test_a_rule_says_how_long_each_channel_is_waited_for() -> None:
    plan = routed(rule("a", "true", wait_ms=60_000))
    assert [step.deadline_ms - step.at_ms for step in plan.steps] == [60_000] * 3


def test_a_rule_whose_channels_have_no_address_leaves_the_profile_its_own() -> None:
    plan = routed(rule("a", "true", via=(Channel.PUSH,)))
    assert len(plan.steps) == 3
    assert ("rule a", "no address on its channels", "push") in plan.why


@pytest.mark.parametrize("kind", [MessageClass.CODE, MessageClass.SECRET])
def test_no_rule_turns_a_code_or_a_secret_elsewhere(kind: MessageClass) -> None:
    message = RoutedMessage(message_class=kind, channel=MAIL)
    plan = routed(rule("a", "true"), message=message)
    assert [step.channel for step in plan.steps] == [MAIL]


def test_a_rule_that_reads_what_is_not_there_does_not_hold_and_is_told() -> None:
    plan = routed(rule("a", "recipient.active_s.mail < 5"), rule("b", "true", via=(MAIL,)))
    assert first(plan) is MAIL
    assert plan.why[0] == (
        "rule a", "cannot be evaluated: the next is asked", "no field mail"
    )  # fmt: skip


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("1 / message.size_bytes > 0", id="division by zero"),
        pytest.param("sender.contact > 3", id="a truth value compared with a number"),
        pytest.param("sender.contact + 1 == 2", id="no such sum"),
    ],
)
def test_after_any_other_fault_the_built_in_rules_decide(when: str) -> None:
    plan = routed(rule("a", when), rule("b", "true", withhold=True))
    assert [step.channel for step in plan.steps] == [IN_APP, MAIL, TEXT]
    assert plan.why[0].clause == "cannot be evaluated: the built-in rules decide"
    assert plan.why[0].rule == "rule a"


LONG = "message.content.exists(x, recipient.channels.exists(y, x == y))"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param([rule("a", "message.")], "rules[0].when: line 1", id="no CEL"),
        pytest.param([rule("a", "1 + 1")], "must give bool", id="no truth value"),
        pytest.param([rule("a", "true " * 2_000)], "at most 4096", id="too long"),
        pytest.param([rule("a", "weather.sunny")], "weather", id="no such variable"),
        pytest.param([rule("", "true")], "1 to 64 characters", id="no name"),
        pytest.param([rule("x" * 65, "true")], "1 to 64 characters", id="a long name"),
        pytest.param([rule("a", "true"), rule("a", "true")], "another rule", id="a name twice"),
        pytest.param(
            [RouteRule(name="a", when="true")], "says nothing", id="no consequence"
        ),
        pytest.param(
            [rule("a", "true", withhold=True, via=(MAIL,))], "leave the rest out", id="both"
        ),
        pytest.param([rule("a", "true", via=(MAIL, MAIL))], "twice", id="a channel twice"),
        pytest.param([rule("a", "true", wait_ms=1)], "must be 10 to", id="no time to wait"),
        pytest.param([rule("a", "true", wait_ms=10**12)], "must be 10 to", id="too long to wait"),
        pytest.param(
            [rule(str(place), "true") for place in range(MOST_RULES + 1)], "at most 50", id="many"
        ),
        pytest.param(
            [rule(str(place), LONG) for place in range(MOST_RULES)], "steps for a message",
            id="too costly together",
        ),
    ],
)  # fmt: skip
def test_rules_are_checked_when_they_are_applied(rules: list[RouteRule], said: str) -> None:
    with pytest.raises(InvalidInput, match=r".") as raised:
        RouteRules(rules)
    assert said in raised.value.message
