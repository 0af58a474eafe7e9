"""Documents of messages, profiles and rules: read strictly, each fault with its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.channels.channel import Channel, ContentKind
from deployment_units.services.conversations.handling import MessageClass, Urgency
from deployment_units.services.gateway.documents import message_of, recipient_of, rules_of
from deployment_units.services.gateway.message import (
    RoutedMessage,
)

MAIL = {"channel": "mail", "address": "anna@mail.example"}


def test_a_message_says_what_differs_from_the_usual() -> None:
    assert message_of({}) == RoutedMessage()
    read = message_of(
        {
            "class": "notice",
            "urgency": "urgent",
            "content": ["text", "card"],
            "size_bytes": 900,
            "expire_time": "2026-11-28T13:00:00+01:00",
            "sender": {"identifier": "acct:roastery@talk.example", "application": True},
        }
    )
    assert read.message_class is MessageClass.NOTICE
    assert read.urgency is Urgency.URGENT
    assert read.content == {ContentKind.TEXT, ContentKind.CARD}
    assert read.expires_ms == 1_795_867_200_000
    assert read.sender.application


def test_a_profile_is_read_with_what_is_known_of_its_owner() -> None:
    read = recipient_of(
        {
            "addresses": [MAIL, {"channel": "in_app"}],
            "prefers": ["in_app"],
            "never": ["push"],
            "quiet_hours": {"from": "22:00", "to": "07:30", "time_zone": "Europe/London"},
            "active": {"in_app": "2026-11-28T12:00:00Z"},
            "down_until": {"mail": "2026-11-28T13:00:00Z"},
        }
    )
    assert [one.channel for one in read.profile.addresses] == [Channel.IN_APP, Channel.MAIL]
    assert read.profile.quiet_hours is not None
    assert read.profile.quiet_hours.to_minute == 450
    assert read.activity == {Channel.IN_APP: 1_795_867_200_000}
    assert read.health == {Channel.MAIL: 1_795_870_800_000}


QUIET = {"from": "22:00", "to": "07:00", "time_zone": "Europe/London"}


def with_quiet(**changes: Any) -> dict[str, Any]:
    return {"addresses": [MAIL], "quiet_hours": {**QUIET, **changes}}


@pytest.mark.parametrize(
    ("read", "document", "place"),
    [
        pytest.param(message_of, [], "message", id="no mapping"),
        pytest.param(message_of, None, "message", id="nothing"),
        pytest.param(message_of, {"colour": 1}, "message", id="an unknown key"),
        pytest.param(message_of, {"class": "spam"}, "message.class", id="no such class"),
        pytest.param(message_of, {"class": "code"}, "message.channel", id="a code's channel"),
        pytest.param(message_of, {"content": []}, "message.content", id="no content"),
        pytest.param(message_of, {"content": ["sound"]}, "message.content[0]", id="no kind"),
        pytest.param(message_of, {"size_bytes": -1}, "message.size_bytes", id="a negative size"),
        pytest.param(
            message_of, {"expire_time": "2026-11-28T13:00"}, "message.expire_time", id="no zone"
        ),
        pytest.param(
            message_of, {"sender": {"identifier": "x" * 513}}, "message.sender.identifier",
            id="a long identifier",
        ),
        pytest.param(recipient_of, {}, "profile", id="no addresses"),
        pytest.param(
            recipient_of, {"addresses": [MAIL] * 2}, "profile.addresses", id="an address twice"
        ),
        pytest.param(
            recipient_of,
            {"addresses": [{"channel": "mail", "address": str(one)} for one in range(65)]},
            "profile.addresses",
            id="many addresses",
        ),
        pytest.param(
            recipient_of, {"addresses": [MAIL], "prefers": ["mail", "mail"]}, "profile.prefers",
            id="preferred twice",
        ),
        pytest.param(
            recipient_of, {"addresses": [], "active": {"radio": "2026-11-28T13:00:00Z"}},
            "profile.active", id="no such channel",
        ),
        pytest.param(
            recipient_of, with_quiet(to="24:00"), "profile.quiet_hours.to", id="no time of a day"
        ),
        pytest.param(
            recipient_of, with_quiet(to="22:00"), "profile.quiet_hours", id="no window"
        ),
        *(
            pytest.param(
                recipient_of, with_quiet(time_zone=zone), "profile.quiet_hours.time_zone",
                id=f"the zone {zone!r}",
            )
            for zone in ("Mars", "", "localtime", "/etc/passwd", "../UTC", "europe/london")
        ),
        pytest.param(rules_of, {}, "rules", id="no rules"),
        pytest.param(
            rules_of, {"rules": [{"name": "a", "when": "true"}]}, "rules.rules[0]",
            id="no consequence",
        ),
        pytest.param(
            rules_of, {"rules": [{"name": "a", "when": "tru", "then": {"withhold": True}}]},
            "rules[0].when", id="no CEL",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(
    read: Callable[[Any], object], document: Any, place: str
) -> None:
    with pytest.raises(InvalidInput, match=r".") as raised:
        read(document)
    assert raised.value.field == place
    assert raised.value.message.startswith(place)
