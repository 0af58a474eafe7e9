"""Routing by the built-in rules: a table of what each says, and what no plan ever does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.channels.channel import TRAITS, Channel, ContentKind
from deployment_units.services.conversations.handling import MessageClass, Urgency
from deployment_units.services.gateway.message import (
    ChannelAddress,
    ReachProfile,
    RoutedMessage,
    in_preference,
)
from deployment_units.services.gateway.quiet_hours import QuietHours
from deployment_units.services.gateway.route import (
    ACTIVE_MS,
    NoRoute,
    RoutePlan,
    route,
)

NOON = 1_795_867_200_000  # 2026-11-28T12:00:00Z
NIGHT = NOON + 11 * 3_600_000
MORNING = NOON + 19 * 3_600_000
IN_APP, MAIL, TEXT, PUSH = Channel.IN_APP, Channel.MAIL, Channel.TEXT, Channel.PUSH
NIGHTS = QuietHours(from_minute=22 * 60, to_minute=7 * 60, time_zone="UTC")


def reached(*channels: Channel, **others: Any) -> ReachProfile:
    return ReachProfile(
        addresses=tuple(ChannelAddress(channel=one, address=f"{one}-1") for one in channels),
        **others,
    )


def channels(plan: RoutePlan) -> list[Channel]:
    return [step.channel for step in plan.steps]


def rules(plan: RoutePlan) -> list[str]:
    return [reason.rule for reason in plan.why]


@pytest.mark.parametrize("kind", [MessageClass.CODE, MessageClass.SECRET])
def test_a_class_that_never_goes_elsewhere_has_one_step_on_the_channel_named(
    kind: MessageClass,
) -> None:
    message = RoutedMessage(message_class=kind, channel=TEXT)
    plan = route(message, reached(IN_APP, TEXT, MAIL), {IN_APP: NOON}, now_ms=NOON)
    assert channels(plan) == [TEXT]
    assert rules(plan) == [f"class-{kind}"]


def test_without_an_address_there_it_goes_nowhere() -> None:
    message = RoutedMessage(message_class=MessageClass.CODE, channel=TEXT)
    plan = route(message, reached(IN_APP, MAIL), now_ms=NOON)
    assert (plan.steps, plan.no_route) == ((), NoRoute.UNREACHABLE)


def test_a_code_goes_to_the_address_that_is_being_proved() -> None:
    message = RoutedMessage(message_class=MessageClass.CODE, channel=TEXT, address="tel:+1")
    plan = route(message, reached(TEXT), now_ms=NOON)
    assert [step.address for step in plan.steps] == ["tel:+1"]


def test_a_code_comes_at_night() -> None:
    message = RoutedMessage(message_class=MessageClass.CODE, channel=TEXT)
    plan = route(message, reached(TEXT, quiet_hours=NIGHTS), now_ms=NIGHT)
    assert plan.steps[0].at_ms == NIGHT


@pytest.mark.parametrize(
    ("ago_ms", "first"),
    [
        pytest.param(0, IN_APP, id="now"),
        pytest.param(ACTIVE_MS, IN_APP, id="two minutes ago"),
        pytest.param(ACTIVE_MS + 1, MAIL, id="longer ago"),
        pytest.param(-5_000, IN_APP, id="by a clock that is ahead"),
    ],
)
def test_who_is_active_gets_it_there(ago_ms: int, first: Channel) -> None:
    plan = route(RoutedMessage(), reached(MAIL, IN_APP), {IN_APP: NOON - ago_ms}, now_ms=NOON)
    assert channels(plan)[0] is first
    assert len(plan.steps) == 2


def test_of_two_signs_the_later_one_counts() -> None:
    activity = {IN_APP: NOON - 50_000, TEXT: NOON - 20_000}
    plan = route(RoutedMessage(), reached(MAIL, IN_APP, TEXT), activity, now_ms=NOON)
    assert channels(plan) == [TEXT, MAIL, IN_APP]


def test_active_where_it_cannot_be_carried_does_not_count() -> None:
    message = RoutedMessage(content=frozenset({ContentKind.TEXT, ContentKind.ATTACHMENT}))
    plan = route(message, reached(TEXT, MAIL), {TEXT: NOON}, now_ms=NOON)
    assert channels(plan) == [MAIL]
    assert ("can-carry", "cannot carry attachment", "text") in plan.why


def test_in_quiet_hours_it_waits_for_their_end() -> None:
    plan = route(RoutedMessage(), reached(PUSH, MAIL, quiet_hours=NIGHTS), now_ms=NIGHT)
    assert plan.steps[0].at_ms == MORNING
    assert "quiet-hours" in rules(plan)


def test_who_is_active_in_quiet_hours_gets_it_there_and_nowhere_else_before_their_end() -> None:
    profile = reached(PUSH, IN_APP, quiet_hours=NIGHTS)
    plan = route(RoutedMessage(), profile, {IN_APP: NIGHT}, now_ms=NIGHT)
    assert [(step.channel, step.at_ms) for step in plan.steps] == [
        (IN_APP, NIGHT), (PUSH, MORNING)
    ]  # fmt: skip


def test_a_second_step_that_would_fall_into_quiet_hours_waits_too() -> None:
    evening = NIGHT - 3_600_000 - 60_000  # a minute before 22:00
    plan = route(RoutedMessage(), reached(IN_APP, PUSH, quiet_hours=NIGHTS), now_ms=evening)
    assert [step.at_ms for step in plan.steps] == [evening, MORNING]


def test_what_is_urgent_does_not_wait() -> None:
    message = RoutedMessage(urgency=Urgency.URGENT)
    plan = route(message, reached(PUSH, quiet_hours=NIGHTS), now_ms=NIGHT)
    assert plan.steps[0].at_ms == NIGHT
    assert ("quiet-hours", "the message is urgent", "UTC") in plan.why


def test_each_step_begins_at_the_deadline_of_the_one_before() -> None:
    plan = route(RoutedMessage(), reached(IN_APP, TEXT, MAIL), now_ms=NOON)
    assert channels(plan) == [IN_APP, TEXT, MAIL]
    assert [step.at_ms for step in plan.steps][1:] == [step.deadline_ms for step in plan.steps[:-1]]


def test_all_at_once_where_the_message_says_so() -> None:
    plan = route(RoutedMessage(all_at_once=True), reached(IN_APP, TEXT, MAIL), now_ms=NOON)
    assert {step.at_ms for step in plan.steps} == {NOON}


def test_a_channel_that_is_down_comes_last_and_not_before_it_is_up() -> None:
    until = NOON + 3_600_000
    plan = route(RoutedMessage(), reached(MAIL, IN_APP), {}, {MAIL: until}, now_ms=NOON)
    assert channels(plan) == [IN_APP, MAIL]
    assert plan.steps[1].at_ms == until
    assert ("health", "is down: comes last", "mail") in plan.why


def test_down_in_the_past_is_up() -> None:
    plan = route(RoutedMessage(), reached(MAIL, IN_APP), {}, {MAIL: NOON}, now_ms=NOON)
    assert channels(plan) == [MAIL, IN_APP]


def test_nobody_is_taken_to_be_active_on_a_channel_that_is_down() -> None:
    profile = reached(MAIL, IN_APP, quiet_hours=NIGHTS)
    plan = route(RoutedMessage(), profile, {IN_APP: NIGHT}, {IN_APP: NIGHT + 1}, now_ms=NIGHT)
    assert channels(plan) == [MAIL, IN_APP]
    assert plan.steps[0].at_ms == MORNING
    assert "active" not in rules(plan)


def test_what_expires_is_not_tried_after_it_did() -> None:
    message = RoutedMessage(expires_ms=NOON + 60_000)
    plan = route(message, reached(IN_APP, TEXT), now_ms=NOON)
    assert [(step.channel, step.deadline_ms) for step in plan.steps] == [(IN_APP, NOON + 60_000)]
    assert ("expiry", "expires before its turn", "text") in plan.why
    assert route(message, reached(IN_APP), now_ms=NOON + 60_000).no_route is NoRoute.EXPIRED


def test_what_expires_before_quiet_hours_are_over_has_no_step() -> None:
    message = RoutedMessage(expires_ms=NIGHT + 60_000)
    plan = route(message, reached(PUSH, quiet_hours=NIGHTS), now_ms=NIGHT)
    assert (plan.steps, plan.no_route) == ((), NoRoute.EXPIRED)


def test_a_channel_that_somebody_never_wants_is_not_used() -> None:
    plan = route(RoutedMessage(), reached(TEXT, never=frozenset({TEXT})), now_ms=NOON)
    assert (plan.steps, plan.no_route) == ((), NoRoute.UNREACHABLE)
    assert plan.why == (("preference", "never there", "text"),)


def test_what_is_too_large_for_a_channel_goes_over_another() -> None:
    message = RoutedMessage(size_bytes=TRAITS[TEXT].max_bytes + 1)
    assert channels(route(message, reached(TEXT, MAIL), now_ms=NOON)) == [MAIL]


def test_a_notice_may_name_its_channel_too() -> None:
    message = RoutedMessage(message_class=MessageClass.NOTICE, channel=MAIL)
    assert channels(route(message, reached(IN_APP, MAIL), now_ms=NOON)) == [MAIL]


def test_without_any_address_it_is_unreachable() -> None:
    plan = route(RoutedMessage(), reached(), now_ms=NOON)
    assert plan.no_route is NoRoute.UNREACHABLE
    assert plan.why


def test_preference_orders_channels_and_leaves_addresses_of_one_in_their_order() -> None:
    given_order = tuple(
        ChannelAddress(channel=channel, address=address)
        for channel, address in [(MAIL, "1"), (TEXT, "2"), (MAIL, "3"), (IN_APP, "")]
    )
    ordered = in_preference(given_order, (TEXT, MAIL))
    assert [one.address for one in ordered] == ["2", "1", "3", ""]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"message_class": MessageClass.CODE}, id="a code without a channel"),
        pytest.param({"message_class": MessageClass.SECRET}, id="a secret without a channel"),
        pytest.param({"address": "x"}, id="an address without a channel"),
    ],
)
def test_messages_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="channel"):
        RoutedMessage(**fields)


some_channels = st.lists(st.sampled_from(Channel), max_size=6)
instants = st.integers(NOON - 300_000, NOON + 48 * 3_600_000)
per_channel = st.dictionaries(st.sampled_from(Channel), instants, max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> RoutedMessage:
    kind = draw(st.sampled_from(MessageClass))
    named = draw(st.sampled_from(Channel))
    return RoutedMessage(
        message_class=kind,
        urgency=draw(st.sampled_from(Urgency)),
        content=frozenset(draw(st.sets(st.sampled_from(ContentKind), min_size=1))),
        size_bytes=draw(st.sampled_from((0, 70_000, 30 << 20, 40 << 20))),
        channel=named if kind in (MessageClass.CODE, MessageClass.SECRET) else None,
        all_at_once=draw(st.booleans()),
        expires_ms=draw(st.none() | instants),
    )


@st.composite
def profiles(draw: st.DrawFn) -> ReachProfile:
    return ReachProfile(
        addresses=tuple(
            ChannelAddress(channel=channel, address=str(place))
            for place, channel in enumerate(draw(some_channels))
        ),
        never=frozenset(draw(st.sets(st.sampled_from(Channel)))),
        quiet_hours=draw(st.sampled_from((None, NIGHTS))),
    )


@given(messages(), profiles(), per_channel, per_channel, instants)
def test_what_no_plan_ever_does(
    message: RoutedMessage,
    profile: ReachProfile,
    activity: dict[Channel, int],
    health: dict[Channel, int],
    now_ms: int,
) -> None:
    plan = route(message, profile, activity, health, now_ms=now_ms)
    assert (plan.no_route is None) is bool(plan.steps)
    assert plan.why
    known = {(one.channel, one.address) for one in profile.addresses}
    assert {(step.channel, step.address) for step in plan.steps} <= known
    assert len({(step.channel, step.address) for step in plan.steps}) == len(plan.steps)
    elsewhere = message.message_class in (MessageClass.NOTICE, MessageClass.CHAT)
    for step in plan.steps:
        assert now_ms <= step.at_ms < step.deadline_ms
        assert message.content <= TRAITS[step.channel].carries
        assert message.size_bytes <= TRAITS[step.channel].max_bytes
        assert step.at_ms >= health.get(step.channel, 0)
        if message.expires_ms is not None:
            assert step.deadline_ms <= message.expires_ms
        if not elsewhere:
            assert step.channel is message.channel
        else:
            assert step.channel not in profile.never
    if not elsewhere:
        assert len(plan.steps) <= 1
    elif not message.all_at_once:
        for earlier, later in zip(plan.steps, plan.steps[1:], strict=False):
            assert later.at_ms >= earlier.deadline_ms
    if elsewhere and message.urgency is Urgency.NORMAL and profile.quiet_hours is not None:
        held = [step for step in plan.steps if profile.quiet_hours.hold(step.at_ms)]
        assert len(held) <= 1
        for step in held:
            assert now_ms - activity[step.channel] <= ACTIVE_MS


@given(messages(), profiles(), per_channel, per_channel, instants)
def test_whoever_can_be_reached_is(
    message: RoutedMessage,
    profile: ReachProfile,
    activity: dict[Channel, int],
    health: dict[Channel, int],
    now_ms: int,
) -> None:
    plan = route(message, profile, activity, health, now_ms=now_ms)
    able = [
        one
        for one in profile.addresses
        if message.content <= TRAITS[one.channel].carries
        and message.size_bytes <= TRAITS[one.channel].max_bytes
        and (one.channel not in profile.never if message.channel is None
             else one.channel is message.channel)
    ]  # fmt: skip
    if message.expires_ms is None:
        assert bool(plan.steps) is bool(able)
        if message.channel is None:
            assert len(plan.steps) == len(able)
