"""A channel that fails again and again is down for a while, longer each time, until it answers."""

from __future__ import annotations

from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.activity import ClientActivity
from deployment_units.services.gateway.health import FIRST_MS, LONGEST_MS, ChannelHealth


def test_three_failures_in_a_row_and_longer_each_time() -> None:
    health = ChannelHealth()
    for _ in range(2):
        health.note(Channel.MAIL, False, 0)
    assert health.down() == {}
    now_ms, lasted = 0, []
    for _ in range(12):
        health.note(Channel.MAIL, False, now_ms)
        lasted.append(health.down()[Channel.MAIL] - now_ms)
        now_ms = health.down()[Channel.MAIL]
    assert lasted[:3] == [FIRST_MS, 2 * FIRST_MS, 4 * FIRST_MS]
    assert lasted[-1] == LONGEST_MS


def test_what_fails_while_it_is_down_makes_it_no_longer() -> None:
    health = ChannelHealth()
    for _ in range(20):
        health.note(Channel.MAIL, False, 0)
    assert health.down() == {Channel.MAIL: FIRST_MS}
    health.note(Channel.MAIL, False, FIRST_MS)
    assert health.down() == {Channel.MAIL: 3 * FIRST_MS}


def test_an_answer_about_the_message_says_that_it_is_up() -> None:
    health = ChannelHealth()
    for _ in range(3):
        health.note(Channel.TEXT, False, 0)
    health.note(Channel.TEXT, True, 1)
    assert health.down() == {}
    health.note(Channel.TEXT, False, 2)
    assert health.down() == {}


def test_what_says_nothing_of_the_channel_changes_nothing() -> None:
    health = ChannelHealth()
    for up in (*[None] * 9, False, None, False, None):
        health.note(Channel.TEXT, up, 0)
    assert health.down() == {}
    health.note(Channel.TEXT, False, 0)
    health.note(Channel.TEXT, None, 1)
    assert health.down() == {Channel.TEXT: FIRST_MS}


def test_who_follows_is_there_now_and_who_showed_something_was_then() -> None:
    following: set[str] = set()
    activity = ClientActivity(lambda tenant, account: account in following, most_accounts=2)
    for number, account in enumerate(("anna", "ben", "carla")):
        activity.shown("talk", account, number)
    assert activity.last_ms("talk", "anna", 9) is None  # of as many as it remembers
    assert activity.last_ms("talk", "ben", 9) == 1
    assert activity.last_ms("other", "ben", 9) is None
    following.add("ben")
    assert activity.last_ms("talk", "ben", 9) == 9
